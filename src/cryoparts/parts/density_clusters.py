"""DBSCAN with its radius taken from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

_RADII = 12
"""Radii tried, from where clusters appear to where they join."""


def candidate_clusterings(
    points: FloatArray, *, min_samples: int, min_size: int, most: int
) -> Iterator[IntArray]:
    """Different DBSCAN clusterings of the points, from a fine to a coarse radius.

    The radius runs in equal ratios from the median distance to the
    `min_samples`-th neighbour to eight times its 95th percentile: below, most
    points are noise; above, everything is one cluster (Ester et al. 1996).

    Parameters
    ----------
    points : array, shape (n, C)
    min_samples : int
        Neighbours that make a point a core point.
    min_size : int
        Smaller clusters become noise.
    most : int
        Clusterings with more clusters than this are left out.

    Yields
    ------
    array, shape (n,)
        Cluster of each point from 0, -1 for noise; at least one cluster.
    """
    neighbours = min(min_samples, len(points) - 1)
    if neighbours < 1:
        return
    distances, _ = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors()
    reach = distances[:, -1]
    smallest = max(float(np.median(reach)), 1e-12)
    largest = max(8 * float(np.quantile(reach, 0.95)), 2 * smallest)
    seen: set[bytes] = set()
    for radius in np.geomspace(smallest, largest, _RADII):
        labels = DBSCAN(eps=float(radius), min_samples=min_samples).fit_predict(points)
        labels = _without_small(labels.astype(np.int64), min_size)
        count = labels.max() + 1
        if 1 <= count <= most and labels.tobytes() not in seen:
            seen.add(labels.tobytes())
            yield labels
        if count == 1 and (labels == 0).all():
            return


def _without_small(labels: IntArray, min_size: int) -> IntArray:
    """Clusters below `min_size` as noise, the others renumbered from 0."""
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    number = np.where(sizes >= min_size, np.cumsum(sizes >= min_size) - 1, -1)
    kept: IntArray = np.where(labels >= 0, number[labels], -1)
    return kept
