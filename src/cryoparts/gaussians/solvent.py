"""Telling the molecule from the solvent around it in a density map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE_LEVELS = 4.0
"""Background deviations above the background that the threshold at least lies."""

SHARE_OF_OTSU = 0.5
"""Of the way from the background to Otsu's threshold. Otsu's lies about half way to
the density of a part that is always there; half of that keeps parts that a quarter of
the particles have."""

INVERSION_LEVELS = 2.0
"""Otsu's threshold lies that many deviations below the background only where protein is dark."""

MEDIAN_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Solvent:
    """Where the molecule is.

    Parameters
    ----------
    threshold : float
        Density above which a voxel belongs to the molecule.
    background : float
        The solvent's level (the median of the map).
    molecule : bool array, shape (D, D, D)
    """

    threshold: float
    background: float
    molecule: NDArray[np.bool_]


def find_threshold(density: NDArray[np.floating]) -> tuple[float, float]:
    """Density that parts molecule from solvent, and the solvent's level.

    The solvent fills most of a map, so its level is the map's median and its
    noise is read from the values below it (where no molecule adds to them):
    the median distance times 1.4826. The threshold is half way from that level
    to Otsu's (1979, IEEE Trans. SMC 9, 62), but at least four deviations of the
    noise above it: in noisy maps Otsu's parts noise from noise.

    Returns
    -------
    threshold, background : float
    """
    background, noise, otsu = _levels(density)
    return background + max(SHARE_OF_OTSU * (otsu - background), NOISE_LEVELS * noise), background


def is_hidden_by_noise(density: NDArray[np.floating]) -> bool:
    """Whether noise and not the molecule decides the threshold of `find_threshold`."""
    background, noise, otsu = _levels(density)
    return NOISE_LEVELS * noise > SHARE_OF_OTSU * (otsu - background)


def _levels(density: NDArray[np.floating]) -> tuple[float, float, float]:
    """The solvent's level, the deviation of its noise, and Otsu's threshold."""
    background = float(np.median(density))
    below = density[density < background]
    noise = MEDIAN_TO_DEVIATION * float(np.median(background - below)) if below.size else 0.0
    return background, noise, float(threshold_otsu(density))


def _require_bright(density: NDArray[np.floating], where: str) -> None:
    background, noise, otsu = _levels(density)
    if background - otsu > INVERSION_LEVELS * noise:
        raise InputError(
            where,
            f"protein must be bright, but the map looks inverted: what stands out lies below the "
            f"solvent (Otsu's threshold {otsu:.4g}, solvent {background:.4g})",
            "Multiply the map by -1; if protein is bright in it, give the density threshold.",
        )


def find_molecule(
    density: NDArray[np.floating],
    *,
    threshold: float | None,
    smallest_voxels: float,
    where: str,
) -> Solvent:
    """Voxels of the molecule: above the threshold, in pieces larger than dust.

    Parameters
    ----------
    density : array, shape (D, D, D)
        Low-pass filtered to the target resolution.
    threshold : float or None
        Default: `find_threshold`.
    smallest_voxels : float
        Connected pieces (26 neighbours) of fewer voxels are dust.
    where : str

    Raises
    ------
    InputError
        If protein is dark in the map or nothing is left above the threshold.
    """
    if threshold is None:
        _require_bright(density, where)
    found, background = find_threshold(density)
    level = found if threshold is None else threshold
    pieces, _ = ndimage.label(density > level, structure=np.ones((3, 3, 3), dtype=np.int8))
    sizes = np.bincount(pieces.ravel())
    keep = sizes >= smallest_voxels
    keep[0] = False
    if not keep.any():
        raise InputError(
            where,
            f"no density stands out of the solvent: at the threshold {level:.4g} (the map at the "
            f"target resolution reaches from {float(density.min()):.4g} to "
            f"{float(density.max()):.4g}) no piece has {smallest_voxels:.0f} voxels",
            "Give a lower threshold, a map of the particle with protein bright, or check the "
            "target resolution.",
        )
    return Solvent(level, background, keep[pieces])
