"""Which true segment each Gaussian stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import FloatArray

FARTHEST_MEDIAN_ANGSTROM = 10.0
"""If the Gaussians are farther from the atoms (median), the two frames differ."""


@dataclass(frozen=True)
class Assignment:
    """The true segments (or regions) of N Gaussians.

    Parameters
    ----------
    segment : int64 array, shape (N,)
        Of the nearest atom.
    border : bool array, shape (N,)
        Whether an atom of another segment is within `border_angstrom`.
    border_angstrom : float
    """

    segment: NDArray[np.int64]
    border: NDArray[np.bool_]
    border_angstrom: float


def assign_gaussians(
    gaussian_positions: ArrayLike,
    atom_positions: ArrayLike,
    atom_segment: ArrayLike,
    border_angstrom: float | None = None,
) -> Assignment:
    """Give each Gaussian the segment of its nearest atom.

    Parameters
    ----------
    gaussian_positions : array, shape (N, 3)
        About the box centre, Å.
    atom_positions : array, shape (A, 3)
        About the box centre, Å.
    atom_segment : int array, shape (A,)
    border_angstrom : float, optional
        Default: the median distance of a Gaussian from its nearest neighbour.

    Raises
    ------
    InputError
        If the Gaussians lie far from the atoms: they are in different frames.
    """
    points = np.asarray(gaussian_positions, dtype=np.float64)
    atoms = np.asarray(atom_positions, dtype=np.float64)
    labels = np.asarray(atom_segment, dtype=np.int64)
    distance, nearest = cKDTree(atoms).query(points)
    median = float(np.median(distance))
    if median > FARTHEST_MEDIAN_ANGSTROM:
        raise InputError(
            "the model",
            f"its Gaussians lie {median:.1f} Å (median) from the nearest atom of the ground "
            f"truth, at most {FARTHEST_MEDIAN_ANGSTROM:g} Å are expected",
            "Train on the model file that the simulation wrote; it shares the truth's frame.",
        )
    segment = labels[nearest]
    reach = _neighbour_distance(points) if border_angstrom is None else border_angstrom
    border = np.zeros(len(points), dtype=bool)
    for number in np.unique(segment):
        rows = np.flatnonzero(segment == number)
        others = atoms[labels != number]
        if len(others):
            distance, _ = cKDTree(others).query(points[rows])
            border[rows] = distance <= reach
    return Assignment(segment, border, reach)


def _neighbour_distance(points: FloatArray) -> float:
    if len(points) < 2:
        return 0.0
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(np.asarray(distance)[:, 1]))
