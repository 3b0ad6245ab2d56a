"""Nearest neighbours and interpolation weights between sets of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, IntArray

PAPER_SHARPNESS = 50.0
"""The published program's exp(-50 d²), d in units of the box."""

WIDTH_PER_SPACING = 0.6
"""Standard deviation of the weights over the spacing of the coarse points."""


@dataclass(frozen=True)
class Interpolation:
    """Values at T targets as weighted means of values at coarse points.

    Parameters
    ----------
    indices : int64 array, shape (T, K)
        Rows of the coarse points, nearest first.
    weights : float32 array, shape (T, K)
        Non-negative; each row sums to 1.
    """

    indices: IntArray
    weights: NDArray[np.float32]

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Interpolate `values` (m, C) to (T, C)."""
        return np.asarray(np.einsum("tk,tkc->tc", self.weights, values[self.indices]))


def nearest_neighbours(points: FloatArray, count: int) -> IntArray:
    """The nearest points of each point, itself first (also where points coincide).

    Parameters
    ----------
    points : array, shape (m, 3)
    count : int
        At most m are given.

    Returns
    -------
    int64 array, shape (m, min(count, m))
    """
    found = _query(points, points, count)[1]
    own = np.arange(len(points))[:, None]
    # Among coincident points the tree may not return the point itself: it then
    # takes the place of the farthest.
    missing = ~(found == own).any(axis=1)
    found[missing, -1] = own[missing, 0]
    order = np.argsort(found != own, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def interpolate_between(
    coarse: FloatArray, targets: FloatArray, count: int, paper_box_angstrom: float | None = None
) -> Interpolation:
    """Weights of the `count` nearest coarse points for each target.

    The weights are exp(-d² / (2 h²)), normalised to sum to 1, with h 0.6 of the
    coarse points' spacing (the median distance to the nearest other one). The
    published ones, exp(-50 d²) with d in units of the box, are nearly uniform
    at fine levels and blur the borders between parts.

    Parameters
    ----------
    coarse : array, shape (m, 3)
    targets : array, shape (T, 3)
    count : int
        At most m are used.
    paper_box_angstrom : float, optional
        Side of the box, Å: use the published weights.
    """
    distances, indices = _query(coarse, targets, count)
    if paper_box_angstrom is not None:
        exponent = PAPER_SHARPNESS * np.square(distances / paper_box_angstrom)
    else:
        width = WIDTH_PER_SPACING * spacing(coarse)
        exponent = 0.5 * np.square(distances / width)
    # Relative to the nearest, so that far targets do not end in 0 / 0.
    raw = np.exp(exponent[:, :1] - exponent)
    return Interpolation(indices, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32))


def identity_of(points: FloatArray, count: int) -> Interpolation:
    """Interpolation of points to themselves: all the weight on the point itself."""
    indices = nearest_neighbours(points, count)
    weights = np.zeros(indices.shape, dtype=np.float32)
    weights[:, 0] = 1.0
    return Interpolation(indices, weights)


def spacing(points: FloatArray) -> float:
    """Median distance of a point to the nearest other one that is not in the same place."""
    distinct = np.unique(points, axis=0)
    if len(distinct) < 2:
        return 1.0
    return float(np.median(_query(distinct, distinct, 2)[0][:, 1]))


def _query(points: FloatArray, targets: FloatArray, count: int) -> tuple[FloatArray, IntArray]:
    """Distances and indices of the nearest points, both (T, min(count, m))."""
    distances, indices = cKDTree(points).query(
        targets, k=list(range(1, min(count, len(points)) + 1))
    )
    return np.asarray(distances), np.asarray(indices, dtype=np.int64)
