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

OWN_SHARE = 2 / 3
"""A Gaussian with less of its atoms in one segment straddles two."""


@dataclass(frozen=True)
class Assignment:
    """The true segments (or regions) of N Gaussians.

    Parameters
    ----------
    segment : int64 array, shape (N,)
        That most of the Gaussian's atoms belong to: those nearer to it than to any
        other Gaussian. A Gaussian without atoms has its nearest atom's.
    own_share : array, shape (N,)
        Of its atoms, those of its segment.
    border : bool array, shape (N,)
        Whether an atom of another segment is within `border_angstrom`.
    border_angstrom : float
    """

    segment: NDArray[np.int64]
    own_share: FloatArray
    border: NDArray[np.bool_]
    border_angstrom: float

    @property
    def straddling(self) -> NDArray[np.bool_]:
        """Gaussians (N,) with less than `OWN_SHARE` of their atoms in one segment."""
        return self.own_share < OWN_SHARE


def assign_gaussians(
    gaussian_positions: ArrayLike,
    atom_positions: ArrayLike,
    atom_segment: ArrayLike,
    border_angstrom: float | None = None,
) -> Assignment:
    """Give each Gaussian the segment that most of its atoms belong to.

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
    segment, own_share = _majority(points, atoms, labels, labels[nearest])
    reach = _neighbour_distance(points) if border_angstrom is None else border_angstrom
    border = np.zeros(len(points), dtype=bool)
    for number in np.unique(segment):
        rows = np.flatnonzero(segment == number)
        others = atoms[labels != number]
        if len(others):
            distance, _ = cKDTree(others).query(points[rows])
            border[rows] = distance <= reach
    return Assignment(segment, own_share, border, reach)


def _majority(
    points: FloatArray,
    atoms: FloatArray,
    labels: NDArray[np.int64],
    otherwise: NDArray[np.int64],
) -> tuple[NDArray[np.int64], FloatArray]:
    """Commonest label (N,) among the atoms nearest to each point, and their share."""
    kinds, kind = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(points), len(kinds)))
    np.add.at(counts, (cKDTree(points).query(atoms)[1], kind), 1.0)
    atoms_of = counts.sum(axis=1)
    segment = np.where(atoms_of > 0, kinds[counts.argmax(axis=1)], otherwise)
    return segment, np.where(atoms_of > 0, counts.max(axis=1) / np.maximum(atoms_of, 1.0), 1.0)


def _neighbour_distance(points: FloatArray) -> float:
    if len(points) < 2:
        return 0.0
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(np.asarray(distance)[:, 1]))
