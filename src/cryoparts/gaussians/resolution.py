"""How many Gaussians, and how wide, a target resolution asks for."""

from __future__ import annotations

import math

from cryoparts.errors import InputError

GAUSSIANS_PER_RESOLUTION_VOLUME = 4.0
"""Gaussians in a cube of one resolution side: a spacing of 0.63 of the resolution."""

FEWEST_GAUSSIANS = 64
"""The coarsest level of the decoder's points."""

MOST_GAUSSIANS = 8192
"""Beyond this the networks' time and memory grow and the images seldom hold more."""

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
