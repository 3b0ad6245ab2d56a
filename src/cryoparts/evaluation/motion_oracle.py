"""The best that the images allow of a motion: a solver that is told the regions and axes.

Each particle's image is fitted, in its true pose and CTF, by the projections of the
regions turned about their true axes; unknown are one angle a region and the image's
scale. Gauss-Newton steps, from coarse waves to fine, solve for the most probable angles:
least squares, each frequency weighted by the inverse of the noise's power as in the
composition's oracle, and a normal prior of the true angles' variance. Where this errs by
an ångström, no method can do much better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoparts.evaluation.oracle import (
    BATCH,
    PARTICLES_FOR_NOISE,
    FitInputs,
    ImagesOf,
    estimate_noise,
)
from cryoparts.evaluation.part_agreement import coordinate_agreement
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import transform
from cryoparts.simulation.atom_projection import AtomGroups, project_groups
from cryoparts.simulation.rigid_motion import Hinges, placements

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.conventions import CtfParameters, FloatArray, Poses
    from cryoparts.simulation.ground_truth import MotionTruth
    from cryoparts.simulation.options import Progress

FINEST_ANGSTROM = (20.0, 10.0, 5.0, 0.0)
"""Finest resolution of one round of steps after the other: a region that is turned by more than
half a period of a fine wave is drawn to the wrong crest unless coarse waves have led it."""

STEPS = 3
"""Gauss-Newton steps a round."""

DIFFERENCE_DEGREES = 0.5
"""Step of the numerical derivative by an angle; motions of interest are of degrees."""


@dataclass(frozen=True)
class MotionOracle:
    """Angles that the told solver finds.

    Parameters
    ----------
    rows : int array, shape (n,)
        The particles solved.
    angles_degrees : float64 array, shape (n, R)
    correlation : dict of str to float
        Of each region's angles with the true ones.
    """

    rows: NDArray[np.int64]
    angles_degrees: FloatArray
    correlation: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return {
            "rows": self.rows.tolist(),
            "angles_degrees": self.angles_degrees.tolist(),
            "correlation": self.correlation,
        }


def motion_oracle(
    images_of: ImagesOf,
    truth: MotionTruth,
    poses: Poses,
    ctf: CtfParameters,
    box_size: int,
    pixel_size_angstrom: float,
    rows: NDArray[np.int64],
    progress: Progress | None = None,
) -> MotionOracle:
    """Solve the angles of chosen particles.

    Parameters
    ----------
    images_of : callable
        Gives the images of chosen particles, of either contrast and any scale.
    truth : MotionTruth
        Of the P particles, in their order. Used of it: regions, axes, the mean
        square of all angles, and the largest, beyond which no solution goes.
    poses, ctf
        Of the P particles.
    box_size, pixel_size_angstrom
        Of the images.
    rows : int array, shape (n,)
        The particles to solve.
    progress : callable, optional
        Called with particles done and all particles.
    """
    if len(truth.names) != len(poses) or len(ctf) != len(poses):
        raise ValueError("truth, poses and CTFs must be of the same particles")
    projector = _Projector(truth, poses, ctf, box_size, pixel_size_angstrom, images_of)
    spread = np.unique(np.linspace(0, len(poses) - 1, min(len(poses), PARTICLES_FOR_NOISE)))
    still = np.zeros((1, len(truth.axes)))
    noise = estimate_noise(
        lambda chosen: projector.inputs(chosen, still.repeat(len(chosen), axis=0)),
        spread.astype(np.int64),
        box_size,
    )
    limit = float(np.abs(truth.angles_degrees).max())
    variance = float(np.mean(truth.angles_degrees**2))
    found = np.zeros((len(rows), len(truth.axes)))
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        for finest in np.repeat(FINEST_ANGSTROM, STEPS):
            inputs = projector.inputs(rows[part], found[part])
            shown = noise.ring * finest <= box_size * pixel_size_angstrom
            weights = noise.weights(inputs.squared_ctf) * shown
            moved = found[part] + most_probable_step(inputs, weights, found[part], variance)
            found[part] = np.clip(moved, -limit, limit)
        if progress is not None:
            progress(part.stop, len(rows))
    true = truth.angles_degrees[rows]
    return MotionOracle(
        rows=rows,
        angles_degrees=found,
        correlation={
            str(name): coordinate_agreement(found[:, number], true[:, number]).pearson
            for number, name in enumerate(truth.region_names)
        },
    )


def most_probable_step(
    inputs: FitInputs, weights: Tensor, angles_degrees: FloatArray, variance: float
) -> FloatArray:
    """Change of the angles (B, R), degrees, to the maximum of the linearised posterior.

    Minimises ``sum_k w |Y - s (M + sum_r D_r d_r)|² + sum_r (t_r + d_r)² / variance`` for
    the scale s and the steps d, with M the model at the angles t and D its derivatives.

    Parameters
    ----------
    inputs : FitInputs
        Of B images; its templates are M and D.
    weights : Tensor, shape (B, D, D // 2 + 1)
        Inverse noise power, conjugate pairs counted twice; 0 leaves out.
    angles_degrees : array, shape (B, R)
        t.
    variance : float
        Of the prior, degrees².
    """
    root = weights.sqrt()
    rows = torch.view_as_real(inputs.templates * root[:, None]).flatten(2).double()
    right = torch.view_as_real(inputs.images * root).flatten(1).double()
    normal = (rows @ rows.transpose(1, 2)).numpy()
    target = (rows @ right[..., None])[..., 0].numpy()
    scale = target[:, 0] / np.maximum(normal[:, 0, 0], 1e-30)
    scale = np.where(np.abs(scale) > 1e-12, scale, 1e-12)
    # Solved for (s, s d): the prior on t + d is one on s d, with the scale found so far.
    precision = 1.0 / (scale**2 * variance)
    prior = np.eye(normal.shape[1])
    prior[0, 0] = 0.0
    normal = normal + precision[:, None, None] * prior
    target[:, 1:] -= (precision * scale)[:, None] * angles_degrees
    solved = np.linalg.solve(normal, target[..., None])[..., 0]
    found = np.where(np.abs(solved[:, :1]) > 1e-12, solved[:, :1], 1e-12)
    step: FloatArray = solved[:, 1:] / found
    return step


class _Projector:
    """Makes the linearised model of each particle at given angles."""

    def __init__(
        self,
        truth: MotionTruth,
        poses: Poses,
        ctf: CtfParameters,
        box_size: int,
        pixel_size_angstrom: float,
        images_of: ImagesOf,
    ) -> None:
        self._hinges = Hinges(truth.axes, truth.pivots)
        self._atoms = AtomGroups.of(
            truth.atom_positions, truth.atom_masses, truth.atom_region, len(truth.axes) + 1
        )
        self._poses, self._ctf, self._images_of = poses, ctf, images_of
        self._box, self._pixel = box_size, pixel_size_angstrom

    def inputs(self, rows: NDArray[np.int64], angles_degrees: FloatArray) -> FitInputs:
        """Images, and as templates the whole model and its derivative by each angle (1/degree)."""
        transfer = contrast_transfer(self._ctf.take(rows), self._box, self._pixel)
        columns = [self._project(rows, angles_degrees, None)]
        for region in range(1, self._atoms.n_groups):
            step = np.zeros(self._atoms.n_groups - 1)
            step[region - 1] = DIFFERENCE_DEGREES
            ahead = self._project(rows, angles_degrees + step, region)
            behind = self._project(rows, angles_degrees - step, region)
            columns.append((ahead - behind) / (2.0 * DIFFERENCE_DEGREES))
        templates = torch.stack(columns, dim=1) * transfer[:, None]
        images = torch.as_tensor(self._images_of(rows), dtype=torch.float32)
        return FitInputs(transform(images), templates, transfer.abs().square())

    def _project(
        self, rows: NDArray[np.int64], angles_degrees: FloatArray, only: int | None
    ) -> Tensor:
        """Half planes (n, D, D // 2 + 1) of all groups, or of one."""
        turns, moves = placements(self._hinges, angles_degrees)
        view = self._poses.rotation[rows][:, None, :2, :]
        offsets = (view @ moves[..., None])[..., 0] + self._poses.shift_angstrom[rows][:, None, :]
        groups = np.arange(self._atoms.n_groups)
        chosen = groups >= 0 if only is None else groups == only
        weights = np.repeat(chosen[None].astype(np.float64), len(rows), axis=0)
        planes = project_groups(self._atoms, view @ turns, offsets, weights, self._box, self._pixel)
        return torch.from_numpy(planes)
