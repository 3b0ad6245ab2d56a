"""How many Gaussians, and how wide, a target resolution asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAUSSIANS_PER_RESOLUTION_VOLUME = 4.0
"""Gaussians in a cube of one resolution side: a spacing of 0.63 of the resolution."""

FEWEST_GAUSSIANS = 64
"""The coarsest level of the decoder's points."""

MOST_GAUSSIANS = 8192
"""Beyond this the networks' time and memory grow and the images seldom hold more."""

SEEN_OVER_TRUE_VOLUME = 1.25
"""Volume of a molecule in a map over that of its atoms: blurred edges and channels that are
filled. Measured: 1.07 (adenylate kinase at 6 Å), 1.25 (a transporter at 8 Å), 1.23 to 1.36
(50S at 11.4 Å, a consensus map of it and its atoms)."""

VOLUME_PER_ATOM = 17.0
"""Å³ of molecule for each atom that is not hydrogen: protein 17.3 (1.35 g/cm³,
14.0 Da an atom), RNA 15 to 16."""

WIDTH_PER_RESOLUTION = 1.0 / (math.pi * math.sqrt(2.0))
"""0.225: the Gaussian whose transform falls to 1/e at the frequency 1 / resolution."""


def require_resolution(resolution_angstrom: float) -> None:
    """Refuse a target resolution that is not a positive number.

    Raises
    ------
    InputError
    """
    if not (math.isfinite(resolution_angstrom) and resolution_angstrom > 0):
        raise InputError(
            "--max-resolution",
            f"the target resolution must be a positive number of Å, got {resolution_angstrom!r}",
            "Give the finest resolution to model, 10 for example.",
        )


def require_count(n_gaussians: int) -> None:
    """Refuse a number of Gaussians below 1.

    Raises
    ------
    InputError
    """
    if n_gaussians < 1:
        raise InputError(
            "--n-gaussians",
            f"must be at least 1, got {n_gaussians}",
            "Leave it out to have the number chosen from the target resolution.",
        )


def width_for_resolution(resolution_angstrom: float) -> float:
    """Standard deviation (Å) of a point seen at a resolution (Å)."""
    return WIDTH_PER_RESOLUTION * resolution_angstrom


def molecule_volume(density: NDArray[np.floating], voxel_size: float) -> float:
    """Volume (Å³) of a molecule in a map, as that of its atoms would be.

    The volume that the molecule would fill if its density were even, (sum rho)² / sum rho²
    (the participation ratio; its inverse is the effective number of components), over
    `SEEN_OVER_TRUE_VOLUME`. Faint voxels at the edge count little, and a part that half of the
    particles have counts less than one that all have. The volume above a threshold counts both
    in full: it gave the consensus map of a 50S 6,400 Gaussians where its atoms get 4,100. What
    the Gaussians can tell of the particles is the same: told the true segments, least squares
    of 800 images call those of 3.3, 2.6, 1.6 and 1.1% of the mass rightly in

    ========= ======== ======== ======== ======== ======== ============
    Gaussians 512      1,024    2,048    4,096    6,437    4,142, atoms
    ========= ======== ======== ======== ======== ======== ============
    3.3%      94.9     97.3     98.2     98.5     98.5     98.5
    2.6%      93.4     95.4     96.0     96.2     96.4     96.3
    1.6%      89.9     91.3     92.7     93.5     93.3     93.8
    1.1%      78.1     83.6     86.8     88.7     88.1     88.8
    ========= ======== ======== ======== ======== ======== ============

    Parameters
    ----------
    density : array, shape (D, D, D)
        Above the solvent, which is 0.
    voxel_size : float
        Å.
    """
    positive = np.maximum(np.asarray(density, dtype=np.float64), 0.0)
    filled = float(positive.sum()) ** 2 / float(np.square(positive).sum())
    return filled * voxel_size**3 / SEEN_OVER_TRUE_VOLUME


def count_for_resolution(volume_angstrom3: float, resolution_angstrom: float) -> int:
    """Number of Gaussians that describe a molecule of this volume to a resolution.

    A lattice needs 5.7 (body-centred) to 8 (cubic) points in a resolution
    volume to carry every wave up to the resolution; k-means centres, which sit
    where the mass is, manage with fewer. Grouped atoms of the 50S ribosome
    against the atoms themselves, at 8, 13 and 20 Å alike: the Fourier shell
    correlation at the resolution is 0.3 to 0.4 with 1 Gaussian in a resolution
    volume, 0.7 with 2, 0.91 with 4, 0.96 with 6 and 0.97 with 8. So 4 are
    taken. The number is kept between 64 and 8,192.

    Parameters
    ----------
    volume_angstrom3 : float
        Volume of the molecule, Å³.
    resolution_angstrom : float
        Finest resolution to describe, Å.
    """
    wanted = GAUSSIANS_PER_RESOLUTION_VOLUME * volume_angstrom3 / resolution_angstrom**3
    return round(min(max(wanted, FEWEST_GAUSSIANS), MOST_GAUSSIANS))


def resolution_for_count(volume_angstrom3: float, n_gaussians: int) -> float:
    """Finest resolution (Å) to which so many Gaussians describe a molecule of this volume (Å³)."""
    return float((GAUSSIANS_PER_RESOLUTION_VOLUME * volume_angstrom3 / n_gaussians) ** (1 / 3))
