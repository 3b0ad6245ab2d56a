"""The molecule to be simulated: a structure, moved to the centre of the box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.structure import Structure

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

    from cryoparts.conventions import FloatArray
    from cryoparts.simulation.scene_options import Centre


LARGEST_FRACTION_OUTSIDE = 0.01
"""Share of the mass that may leave the box in some orientation (a loose tail)."""


def load_molecule(
    source: Path | Structure, centre: Centre, box_size: int, pixel_size_angstrom: float
) -> tuple[Structure, FloatArray]:
    """Read a structure (unless one is given) and move its centre to the origin.

    Parameters
    ----------
    source : Path or Structure
    centre : "mass" or (x, y, z)
        The point of the file, Å, that goes to the box centre.
    box_size, pixel_size_angstrom
        Of the images.

    Returns
    -------
    structure : Structure
        Coordinates about the box centre.
    origin : float64 array, shape (3,)
        What was subtracted, Å.

    Raises
    ------
    InputError
        If the structure cannot be read or sticks out of the box when rotated.
    """
    if isinstance(source, Structure):
        where, structure = "the structure", source
    else:
        where, structure = str(source), read_structure(source)
    positions = np.asarray(structure.positions, dtype=np.float64)
    masses = np.asarray(structure.masses, dtype=np.float64)
    if len(positions) == 0:
        raise InputError(where, "holds no atoms", "Give a structure with atoms.")
    origin = (
        np.average(positions, axis=0, weights=masses)
        if centre == "mass"
        else np.asarray(centre, dtype=np.float64)
    )
    if origin.shape != (3,) or not np.isfinite(origin).all():
        raise InputError(
            "--centre", f"must be 'mass' or three numbers, got {centre!r}", "Give x y z in Å."
        )
    centred = positions - origin
    require_room(centred, masses, box_size, pixel_size_angstrom, where)
    return replace(structure, positions=centred.astype(np.float32)), origin


def require_room(
    positions: FloatArray,
    masses: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    where: str,
) -> None:
    """Refuse a molecule that sticks out of the box in some orientation.

    Parameters
    ----------
    positions : array, shape (A, 3)
        About the box centre, Å.
    masses : array, shape (A,)
    box_size, pixel_size_angstrom
        Of the images.
    where : str
        The file, for the message.

    Raises
    ------
    InputError
        If over 1% of the mass is farther from the centre than half the box.
    """
    mass = np.asarray(masses, dtype=np.float64)
    radius = np.linalg.norm(positions, axis=1)
    half_box = 0.5 * box_size * pixel_size_angstrom
    outside = mass[radius > half_box].sum() / mass.sum()
    if outside > LARGEST_FRACTION_OUTSIDE:
        raise InputError(
            where,
            f"reaches {radius.max():.1f} Å from the box centre, the box of {box_size} pixels of "
            f"{pixel_size_angstrom:g} Å only {half_box:.1f} Å ({100 * outside:.1f}% of the mass "
            f"is farther out, at most {100 * LARGEST_FRACTION_OUTSIDE:g}% may be)",
            "Take a larger --box-size or --pixel-size.",
        )
