"""A Gaussian model of a density map."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.gaussians.density import render
from cryoparts.gaussians.map_fit import refine_model, starting_model
from cryoparts.gaussians.map_grid import low_pass, resample
from cryoparts.gaussians.resolution import (
    count_for_resolution,
    molecule_volume,
    require_count,
    require_resolution,
    width_for_resolution,
)
from cryoparts.gaussians.solvent import Solvent, find_molecule, is_hidden_by_noise
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.imaging.soft_mask import mask_of_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray
    from cryoparts.gaussians.model import GaussianModel

logger = logging.getLogger(__name__)

VOXELS_PER_RESOLUTION = 3.0
"""Working grid: fine enough that the narrowest Gaussian (0.68 voxel) is sampled well."""

LARGEST_WIDTH_PER_RESOLUTION = 1.0
"""A Gaussian as wide as the resolution is background, not a piece of the molecule."""

COARSER = (1.0, 1.5, 2.25)
"""Resolutions, over the one aimed at, at which a molecule is looked for until its noise hides
it no longer."""

DEFAULT_ITERATIONS = 300
"""Steps of the fit to a map."""


@dataclass(frozen=True)
class MapModelFsc:
    """Fourier shell correlation of a map (solvent masked softly) and its Gaussian model.

    Parameters
    ----------
    frequency : array, shape (R,)
        Centre of each shell, 1/Å.
    correlation : array, shape (R,)
    threshold : float
        Density that was taken to part molecule from solvent.
    """

    frequency: FloatArray
    correlation: FloatArray
    threshold: float

    def resolution_at(self, level: float = 0.5) -> float:
        """Resolution (Å) where the curve first falls below `level`, interpolated linearly.

        If it never does, the resolution of the last shell; if the first shells
        already are below, infinity.
        """
        inner = slice(1, None)
        frequency, correlation = self.frequency[inner], self.correlation[inner]
        below = np.flatnonzero(correlation < level)
        if len(below) == 0:
            return float(1.0 / frequency[-1])
        last = int(below[0])
        if last == 0:
            return float("inf")
        high, low = correlation[last - 1], correlation[last]
        share = (high - level) / (high - low)
        crossing = frequency[last - 1] + share * (frequency[last] - frequency[last - 1])
        return float(1.0 / crossing)


def gaussians_from_map(
    density: NDArray[np.floating],
    voxel_size: float,
    n_gaussians: int | None,
    resolution_angstrom: float,
    *,
    threshold: float | None = None,
    iterations: int = DEFAULT_ITERATIONS,
    seed: int = 0,
    where: str = "the map",
) -> tuple[GaussianModel, MapModelFsc]:
    """Fit Gaussians to a map.

    The map is brought to voxels of a third of the resolution and filtered to
    the resolution (a Gaussian of 0.225 resolution); solvent is cut off
    (`find_threshold`, unless `threshold` is given; found in the map at up to 2.25
    times the resolution where noise hides it) with a soft edge; the remaining
    voxels are grouped by density-weighted k-means; positions, amplitudes and
    widths are then refined together by least squares.

    Parameters
    ----------
    density : array, shape (D, D, D), axes [z, y, x]
        Protein bright.
    voxel_size : float
        Å.
    n_gaussians : int or None
        Default: chosen from the molecule's volume and the resolution.
    resolution_angstrom : float
        Finest resolution to model, Å; two voxels at best are taken from the map.
    threshold : float or None
        Of the map filtered to the resolution, in the map's own unit.
    iterations : int
        Of the least-squares refinement.
    seed : int
    where : str
        The file's name, for messages.

    Returns
    -------
    model : GaussianModel
        About the map's centre voxel (D // 2), Å, whatever the particles' box.
    fsc : MapModelFsc

    Raises
    ------
    InputError
        If the map is not a cube of finite, varying values, has no voxel size or
        shows nothing above the solvent, or an option is impossible.
    """
    if n_gaussians is not None:
        require_count(n_gaussians)
    seen = _seen(density, voxel_size, resolution_angstrom, threshold, where)
    resolution, voxel, width = seen.resolution, seen.voxel, width_for_resolution(seen.resolution)
    if n_gaussians is None:
        n_gaussians = count_for_resolution(molecule_volume(seen.target, voxel), resolution)
    start = starting_model(seen.target, seen.solvent.molecule, voxel, n_gaussians, width, seed)
    model = refine_model(
        start,
        seen.target,
        voxel,
        least_width=width,
        largest_width=LARGEST_WIDTH_PER_RESOLUTION * resolution,
        iterations=iterations,
    )
    masked = (seen.working - seen.solvent.background) * seen.mask
    correlation = np.asarray(
        fourier_shell_correlation(masked, render(model, len(masked), voxel)), dtype=np.float64
    )
    # Shells past the map's own Nyquist frequency hold only what the mask put there.
    correlation = correlation[: min(len(correlation), len(density) // 2 + 1)]
    frequency = np.arange(len(correlation)) / (len(density) * voxel_size)
    fsc = MapModelFsc(frequency, correlation, seen.solvent.threshold)
    logger.info(
        "%s: %d Gaussians, solvent below %.4g, map-model FSC 0.5 at %.1f Å",
        where,
        len(model),
        fsc.threshold,
        fsc.resolution_at(0.5),
    )
    return model, fsc


def volume_of_map(
    density: NDArray[np.floating],
    voxel_size: float,
    resolution_angstrom: float,
    *,
    threshold: float | None = None,
    where: str = "the map",
) -> float:
    """Volume (Å³) of the molecule in a map seen at a resolution; see `gaussians_from_map`."""
    seen = _seen(density, voxel_size, resolution_angstrom, threshold, where)
    return molecule_volume(seen.target, seen.voxel)


@dataclass(frozen=True)
class _Seen:
    """A map at a resolution: voxels of a third of it, and what of them is molecule."""

    resolution: float
    voxel: float
    working: NDArray[np.float32]
    solvent: Solvent
    mask: NDArray[np.float32]
    target: NDArray[np.float32]


def _seen(
    density: NDArray[np.floating],
    voxel_size: float,
    resolution_angstrom: float,
    threshold: float | None,
    where: str,
) -> _Seen:
    require_map(density, voxel_size, where)
    require_resolution(resolution_angstrom)
    resolution = _attainable(resolution_angstrom, voxel_size, where)
    box_length = len(density) * voxel_size
    working_size = max(8, 2 * round(0.5 * box_length * VOXELS_PER_RESOLUTION / resolution))
    voxel = box_length / working_size
    working = resample(density, working_size)
    filtered = low_pass(working, voxel, width_for_resolution(resolution))
    solvent = _solvent(filtered, working, voxel, resolution, threshold, where)
    mask = mask_of_voxels(solvent.molecule, max(resolution / voxel, 1.0))
    target = np.asarray((filtered - solvent.background) * mask, dtype=np.float32)
    return _Seen(resolution, voxel, working, solvent, mask, target)


def _solvent(
    filtered: NDArray[np.float32],
    working: NDArray[np.float32],
    voxel: float,
    resolution: float,
    threshold: float | None,
    where: str,
) -> Solvent:
    """Solvent of a map filtered to the resolution, or coarser where noise hides the molecule."""
    for factor in COARSER:
        seen = filtered
        if factor != 1.0:
            seen = low_pass(working, voxel, width_for_resolution(factor * resolution))
        if threshold is not None or not is_hidden_by_noise(seen):
            break
    smallest = (factor * resolution / voxel) ** 3
    return find_molecule(seen, threshold=threshold, smallest_voxels=smallest, where=where)


def _attainable(resolution_angstrom: float, voxel_size: float, where: str) -> float:
    finest = 2.0 * voxel_size
    # Headers round voxel sizes: two voxels are two voxels to within a thousandth.
    if resolution_angstrom >= 0.999 * finest:
        return resolution_angstrom
    logger.warning(
        "%s: voxels of %g Å hold no detail finer than %g Å; the Gaussians are made for that",
        where,
        voxel_size,
        finest,
    )
    return finest


def require_map(density: NDArray[np.floating], voxel_size: float, where: str) -> None:
    """Refuse what is not a cubic map of finite, varying values with a voxel size.

    Raises
    ------
    InputError
    """
    if density.ndim != 3 or len(set(density.shape)) != 1:
        raise InputError(
            where,
            f"a map must be a cube, got {' x '.join(str(n) for n in density.shape)} voxels",
            "Give a cubic 3-D map (pad or crop it), not a stack of images.",
        )
    broken = int(density.size - np.isfinite(density).sum())
    if broken:
        raise InputError(
            where,
            f"every voxel must be a finite number, {broken} of {density.size} are NaN or infinite",
            "Repair the map or make it again.",
        )
    if float(density.max()) == float(density.min()):
        raise InputError(
            where,
            f"all voxels have the same value, {float(density.flat[0]):g}",
            "Give a map with density in it.",
        )
    if not (np.isfinite(voxel_size) and voxel_size > 0):
        raise InputError(
            where,
            f"the voxel size must be a positive number of Å, the header says {voxel_size:g}",
            "Give it with --model-pixel-size.",
        )
