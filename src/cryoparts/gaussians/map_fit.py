"""Fitting Gaussians to a density map by least squares over the voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from cryoparts.conventions import box_centre
from cryoparts.gaussians.clustering import mean_axis_variance, weighted_lloyd
from cryoparts.gaussians.density import add_gaussians, density_gradient
from cryoparts.gaussians.model import GaussianModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

SUPPORT = 3.5
"""Widths within which the fit sees a Gaussian: 0.2% of its height is beyond."""

STARTING_POINTS_PER_GAUSSIAN = 4
"""Fewer voxels than that for a Gaussian are divided before they are grouped."""


def starting_model(
    target: NDArray[np.float32],
    molecule: NDArray[np.bool_],
    voxel_size: float,
    n_gaussians: int,
    least_width: float,
    seed: int,
) -> GaussianModel:
    """Group the molecule's voxels, weighted by their density, to Gaussians.

    Parameters
    ----------
    target : array, shape (D, D, D)
        Density above the solvent.
    molecule : bool array, shape (D, D, D)
    voxel_size, least_width : float
        Å. Widths are the group's extent and `least_width` added in quadrature.
    n_gaussians, seed : int
    """
    voxels = np.argwhere(molecule)[:, ::-1].astype(np.float64)
    wanted = STARTING_POINTS_PER_GAUSSIAN * n_gaussians
    divisions = max(1, int(np.ceil((wanted / len(voxels)) ** (1.0 / 3.0))))
    steps = (np.arange(divisions) + 0.5) / divisions - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    points = (voxels[:, None, :] + offsets).reshape(-1, 3)
    density = ndimage.map_coordinates(target, points[:, ::-1].T, order=1, mode="nearest")
    # A part fainter than the solvent's own noise still gets a say in where Gaussians go.
    density = np.maximum(density, 1e-3 * density.max()) / divisions**3
    clusters = weighted_lloyd(points, density, n_gaussians, seed=seed)
    extents = mean_axis_variance(points, density, clusters) * voxel_size**2
    return GaussianModel.of(
        (clusters.centres - box_centre(len(target))) * voxel_size,
        np.bincount(clusters.labels, density) * voxel_size**3,
        np.sqrt(extents + least_width**2),
    )


def refine_model(
    start: GaussianModel,
    target: NDArray[np.float32],
    voxel_size: float,
    *,
    least_width: float,
    largest_width: float,
    iterations: int,
) -> GaussianModel:
    """Least squares of the model's density against a map, by Adam with falling steps.

    Positions move freely, amplitudes stay positive (their logarithm moves) and
    widths stay between their limits.

    Parameters
    ----------
    start : GaussianModel
        Å, about voxel D // 2.
    target : float32 array, shape (D, D, D)
    voxel_size : float
        Å.
    least_width, largest_width : float
        Å.
    iterations : int
    """
    centre = box_centre(len(target))
    scale = float(np.abs(target).max())
    scaled = np.asarray(target / scale, dtype=np.float32)
    floor = 1e-3 * float(start.amplitudes.max())
    positions = torch.from_numpy(np.asarray(start.positions, np.float64) / voxel_size + centre)
    logs = torch.from_numpy(
        np.log(np.maximum(np.asarray(start.amplitudes, np.float64), floor) / scale / voxel_size**3)
    )
    widths = torch.from_numpy(np.asarray(start.widths, np.float64) / voxel_size)
    limits = (least_width / voxel_size, largest_width / voxel_size)
    optimiser = torch.optim.Adam(
        [
            {"params": [positions], "lr": 0.08},
            {"params": [logs], "lr": 0.05},
            {"params": [widths], "lr": 0.03},
        ],
        betas=(0.9, 0.99),
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, iterations))
    for _ in range(iterations):
        by_centre, by_amplitude, by_width = _loss_gradient(
            scaled, positions.numpy(), np.exp(logs.numpy()), widths.numpy()
        )
        positions.grad = torch.from_numpy(by_centre)
        logs.grad = torch.from_numpy(by_amplitude * np.exp(logs.numpy()))
        widths.grad = torch.from_numpy(by_width)
        optimiser.step()
        schedule.step()
        widths.clamp_(*limits)
        positions.clamp_(0.0, len(target) - 1.0)
    return GaussianModel.of(
        (positions.numpy() - centre) * voxel_size,
        np.exp(logs.numpy()) * scale * voxel_size**3,
        widths.numpy() * voxel_size,
    )


def _loss_gradient(
    target: NDArray[np.float32], positions: FloatArray, amplitudes: FloatArray, widths: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradient of half the sum of squares of (model - target)."""
    residual = -target
    add_gaussians(residual, positions, amplitudes, widths, SUPPORT)
    gradient: tuple[FloatArray, FloatArray, FloatArray] = density_gradient(
        residual, positions, amplitudes, widths, SUPPORT
    )
    return gradient
