"""Which regions of a molecule move, and about which axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.errors import InputError
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.structures.cutting import cut_structure
from cryoparts.simulation.structures.region_table import read_region_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray
    from cryoparts.io.structure import Structure

CONTACT_ANGSTROM = 6.0
"""Atoms closer than this to atoms that do not move along are in contact."""


@dataclass(frozen=True)
class MovingRegions:
    """The R regions that move.

    Parameters
    ----------
    label : int64 array, shape (A,)
        0 still, 1..R moving.
    names : tuple of str, length R
    given : tuple of dict, length R
        The axis_* and pivot_* columns that the table fills in, as text.
    source : str
        The table, for messages.
    """

    label: NDArray[np.int64]
    names: tuple[str, ...]
    given: tuple[dict[str, str], ...]
    source: str


def choose_regions(
    molecule: Structure, table: Path | None, n_regions: int, rng: np.random.Generator
) -> MovingRegions:
    """The regions of the table, or all but the largest of automatic pieces.

    Raises
    ------
    InputError
        If the table is malformed.
    """
    if table is None:
        label = cut_structure(molecule, n_regions + 1, rng)
        names = tuple(f"region_{number + 1}" for number in range(n_regions))
        return MovingRegions(label, names, ({},) * n_regions, "the automatic regions")
    read = read_region_table(table, molecule, "region")
    given = tuple(read.extra[name] for name in read.names)
    return MovingRegions(read.label + 1, read.names, given, str(table))


def find_hinges(
    molecule: Structure, regions: MovingRegions, origin: FloatArray, rng: np.random.Generator
) -> Hinges:
    """Axis and pivot of every region, given or chosen.

    An axis that is not given is drawn uniformly from all directions. A pivot
    that is not given is the centroid of the region's atoms in contact with the
    rest, or the region's own centroid where it touches nothing.

    Parameters
    ----------
    molecule : Structure
        About the box centre.
    regions : MovingRegions
    origin : array, shape (3,)
        What was subtracted from the file's coordinates, Å; given pivots are in
        the file's frame.
    rng : numpy Generator

    Raises
    ------
    InputError
        If an axis or a pivot is incomplete or no direction.
    """
    axes, pivots = [], []
    for number, (name, given) in enumerate(zip(regions.names, regions.given, strict=True)):
        where = f"{regions.source}, region {name}"
        drawn = rng.normal(size=3)
        axis = _vector(given, "axis", where)
        axis = drawn if axis is None else axis
        length = float(np.linalg.norm(axis))
        if length == 0.0:
            raise InputError(where, "the axis is 0 0 0, which is no direction", "Give a direction.")
        pivot = _vector(given, "pivot", where)
        axes.append(axis / length)
        pivots.append(
            _contact_centre(molecule.positions, regions.label == number + 1)
            if pivot is None
            else pivot - origin
        )
    return Hinges(np.array(axes), np.array(pivots))


def _vector(given: dict[str, str], what: str, where: str) -> FloatArray | None:
    texts = [given.get(f"{what}_{letter}", "") for letter in "xyz"]
    if not any(texts):
        return None
    try:
        vector = np.array([float(text) for text in texts])
    except ValueError:
        vector = np.full(3, np.nan)
    if not np.isfinite(vector).all():
        raise InputError(
            where,
            f"{what}_x, {what}_y, {what}_z must be three numbers, got {texts}",
            "Give all three in the region's first row, or none.",
        )
    return vector


def _contact_centre(positions: NDArray[np.float32], inside: NDArray[np.bool_]) -> FloatArray:
    own, others = positions[inside].astype(np.float64), positions[~inside]
    if len(others):
        distance, _ = cKDTree(others).query(own, distance_upper_bound=CONTACT_ANGSTROM)
        if np.isfinite(distance).any():
            own = own[np.isfinite(distance)]
    centre: FloatArray = own.mean(axis=0)
    return centre
