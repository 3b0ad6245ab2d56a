"""What holds for every border that the images move, whatever they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

KEPT = 0.5
"""Share of its Gaussians that a part keeps at the least. Of one that would lose more, the images
say that it is no part, and nothing of its border."""


def neighbours(positions: NDArray[np.floating], count: int) -> IntArray:
    """Each point (N, 3) and those nearest to it (N, at most `count` in all)."""
    nearest: IntArray = cKDTree(positions).query(positions, k=min(count, len(positions)))[1]
    return nearest.reshape(len(positions), -1)


def most_kept(given: IntArray, found: IntArray, parts: Iterable[int]) -> IntArray:
    """What was found (N,), but for the Gaussians of those parts that would lose too many."""
    for part in parts:
        own = given == part
        if (found[own] == part).sum() < KEPT * own.sum():
            found = np.where(own, part, found)
    return found
