"""Weighted Lloyd k-means of points in space, on a k-d tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, IntArray

DEFAULT_ITERATIONS = 40
"""Enough for the mean squared distance to settle within 1% on molecules of 10^5 atoms."""


@dataclass(frozen=True)
class Clusters:
    """K non-empty clusters of A points.

    Parameters
    ----------
    centres : array, shape (K, 3)
        Weighted mean of each cluster's points.
    labels : int64 array, shape (A,)
        The cluster of each point, 0 to K - 1; every cluster occurs.
    """

    centres: FloatArray
    labels: IntArray


def weighted_lloyd(
    points: NDArray[np.floating],
    weights: NDArray[np.floating],
    count: int,
    *,
    seed: int = 0,
    iterations: int = DEFAULT_ITERATIONS,
) -> Clusters:
    """Group points into `count` clusters of small weighted variance (Lloyd 1982).

    The start is a random draw of distinct points in proportion to their weights.
    A cluster that loses all its points is given the point that lies farthest
    (weight times squared distance) from its own centre. The same seed gives the
    same clusters, and moving all points moves the centres with them.

    Parameters
    ----------
    points : array, shape (A, 3)
    weights : array, shape (A,)
        Non-negative, at least one positive.
    count : int
        1 <= count <= A.
    seed : int
    iterations : int
        At most; it stops earlier when no point changes its cluster.

    Raises
    ------
    ValueError
        If `count` is not between 1 and the number of points, or the weights are unusable.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"cannot make {count} clusters of {len(points)} points")
    mass = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(mass).all() and (mass >= 0).all() and mass.sum() > 0):
        raise ValueError("weights must be finite, >= 0 and not all zero")
    mean = np.average(np.asarray(points, dtype=np.float64), axis=0, weights=mass)
    # About the centroid, so that a far-off origin costs no precision.
    local = np.asarray(points, dtype=np.float64) - mean
    if count == len(points):
        return Clusters(local + mean, np.arange(count, dtype=np.int64))
    # A floor keeps weightless points from making clusters of no weight.
    mass = np.maximum(mass, 1e-9 * mass.max())
    centres = local[_draw_distinct(mass, count, seed)]
    labels = np.full(len(local), -1, dtype=np.int64)
    for _ in range(iterations):
        distances, nearest = cKDTree(centres).query(local)
        updated = _refill_empty(
            np.asarray(nearest, dtype=np.int64), mass * np.square(distances), count
        )
        if np.array_equal(updated, labels):
            break
        labels = updated
        centres = _weighted_means(local, mass, labels, count)
    return Clusters(centres + mean, labels)


def _draw_distinct(mass: FloatArray, count: int, seed: int) -> IntArray:
    # Weights of a decoder belong to the levels that these draws give: they must stay what
    # they were when it was trained, in every later version.
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(mass), size=count, replace=False, p=mass / mass.sum())
    return np.sort(chosen).astype(np.int64)


def _refill_empty(labels: IntArray, costs: FloatArray, count: int) -> IntArray:
    """Move the costliest points that are not alone in their cluster into the empty clusters."""
    sizes = np.bincount(labels, minlength=count)
    empty = np.flatnonzero(sizes == 0)
    if len(empty) == 0:
        return labels
    refilled = labels.copy()
    waiting = iter(empty)
    target = next(waiting)
    for point in np.argsort(-costs, kind="stable"):
        if sizes[refilled[point]] < 2:
            continue
        sizes[refilled[point]] -= 1
        refilled[point] = target
        sizes[target] = 1
        following = next(waiting, None)
        if following is None:
            break
        target = following
    return refilled


def _weighted_means(
    points: FloatArray, mass: FloatArray, labels: IntArray, count: int
) -> FloatArray:
    total = np.bincount(labels, mass, minlength=count)
    sums = [np.bincount(labels, mass * points[:, axis], minlength=count) for axis in range(3)]
    return np.stack(sums, axis=1) / total[:, None]


def mean_axis_variance(
    points: NDArray[np.floating], weights: NDArray[np.floating], clusters: Clusters
) -> FloatArray:
    """Weighted variance of each cluster's points about its centre, averaged over x, y and z.

    Returns
    -------
    array, shape (K,)
        In the squared unit of the points.
    """
    offset = np.asarray(points, dtype=np.float64) - clusters.centres[clusters.labels]
    mass = np.maximum(np.asarray(weights, dtype=np.float64), 1e-9 * np.max(weights))
    count = len(clusters.centres)
    moment = np.bincount(clusters.labels, mass * np.square(offset).sum(axis=1), minlength=count)
    return moment / np.bincount(clusters.labels, mass, minlength=count) / 3.0
