"""Levels of points over the Gaussians, with neighbours and interpolation between levels.

The Point Transformer decoder works on these fixed points. Each level is a
subset of the next finer one and of the Gaussians, spread evenly over them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.gaussians.clustering import weighted_lloyd
from cryoparts.gaussians.interpolation import (
    Interpolation,
    identity_of,
    interpolate_between,
    nearest_neighbours,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, IntArray

Weights = Literal["spacing", "paper"]


@dataclass(frozen=True)
class HierarchyLevel:
    """m points of the hierarchy.

    Parameters
    ----------
    indices : int64 array, shape (m,)
        Which Gaussians the points are; distinct, ascending.
    positions : float32 array, shape (m, 3)
        Å.
    neighbours : int64 array, shape (m, K)
        Rows of this level: each point itself first, then its nearest others.
    from_coarser : Interpolation or None
        Values at the next coarser level's points to this level's; None at the coarsest.
    to_gaussians : Interpolation
        Values at this level's points to all N Gaussians.
    """

    indices: IntArray
    positions: NDArray[np.float32]
    neighbours: IntArray
    from_coarser: Interpolation | None
    to_gaussians: Interpolation

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class PointHierarchy:
    """Levels of points over N Gaussians, coarsest first.

    Parameters
    ----------
    levels : tuple of HierarchyLevel
        Nested: every point of a level is a point of the next.
    gaussian_count : int
        N.
    """

    levels: tuple[HierarchyLevel, ...]
    gaussian_count: int

    def __len__(self) -> int:
        return len(self.levels)


def build_hierarchy(
    positions: NDArray[np.floating],
    level_sizes: Sequence[int] = (64, 256, 1024),
    neighbours: int = 16,
    interpolation_neighbours: int = 8,
    *,
    last_level_is_gaussians: bool = False,
    weights: Weights = "spacing",
    box_size_angstrom: float | None = None,
    seed: int = 0,
) -> PointHierarchy:
    """Choose the points of every level and all that the decoder needs of their geometry.

    From fine to coarse, a level's points are the k-means centres of the next
    finer level's (of the Gaussians, for the finest), each moved to the nearest
    member of its own cluster, so that no point occurs twice (arXiv 2601.18713).

    Parameters
    ----------
    positions : array, shape (N, 3)
        The Gaussians, Å.
    level_sizes : sequence of int
        Points wanted at each level, coarsest first, ascending. With fewer
        Gaussians a level shrinks to their number, and those before it to at
        most half of the next; the number of levels stays.
    neighbours : int
        Neighbours of a point within its level, itself among them; at most m.
    interpolation_neighbours : int
        Coarse points that a finer one takes its value from; at most m.
    last_level_is_gaussians : bool
        Add the Gaussians themselves as a finest level, unless the last level
        holds them all already.
    weights : {"spacing", "paper"}
        See `interpolate_between`. "paper" needs `box_size_angstrom`.
    box_size_angstrom : float, optional
        Side of the box, Å.
    seed : int

    Raises
    ------
    ValueError
        If an argument is impossible; all are chosen by the program.
    """
    points = np.asarray(positions, dtype=np.float64)
    _require_arguments(points, level_sizes, neighbours, interpolation_neighbours)
    if weights == "paper" and not (box_size_angstrom and box_size_angstrom > 0):
        raise ValueError("the paper's weights need the side of the box in Å")
    box = box_size_angstrom if weights == "paper" else None
    count = len(points)
    chosen = _nested_subsets(points, shrunken_sizes(level_sizes, count), seed)
    if last_level_is_gaussians and len(chosen[-1]) < count:
        chosen.append(np.arange(count, dtype=np.int64))
    levels: list[HierarchyLevel] = []
    for depth, indices in enumerate(chosen):
        here = points[indices]
        coarser = points[chosen[depth - 1]] if depth else None
        levels.append(
            HierarchyLevel(
                indices=indices,
                positions=here.astype(np.float32),
                neighbours=nearest_neighbours(here, neighbours),
                from_coarser=None
                if coarser is None
                else interpolate_between(coarser, here, interpolation_neighbours, box),
                to_gaussians=identity_of(points, interpolation_neighbours)
                if len(indices) == count
                else interpolate_between(here, points, interpolation_neighbours, box),
            )
        )
    return PointHierarchy(tuple(levels), count)


def shrunken_sizes(level_sizes: Sequence[int], count: int) -> list[int]:
    """Sizes of the levels over `count` Gaussians, coarsest first.

    A level is no larger than wanted, and no larger than the Gaussians' number
    (the finest) or, where that bites, half of the next finer level.
    """
    sizes: list[int] = []
    limit = count
    for wanted in reversed(level_sizes):
        size = max(1, min(wanted, limit))
        sizes.append(size)
        limit = max(1, size // 2)
    return sizes[::-1]


def _nested_subsets(points: FloatArray, sizes: list[int], seed: int) -> list[IntArray]:
    """Indices into the points, a set a level, each within the next; coarsest first."""
    subsets: list[IntArray] = []
    members = np.arange(len(points), dtype=np.int64)
    for size in reversed(sizes):
        members = members[_spread_members(points[members], size, seed)]
        subsets.append(members)
    return subsets[::-1]


def _spread_members(points: FloatArray, size: int, seed: int) -> IntArray:
    """Ascending indices of `size` distinct points: of each k-means cluster, the most central."""
    clusters = weighted_lloyd(points, np.ones(len(points)), size, seed=seed)
    distance = np.linalg.norm(points - clusters.centres[clusters.labels], axis=1)
    by_cluster = np.lexsort((distance, clusters.labels))
    first_of_cluster = np.unique(clusters.labels[by_cluster], return_index=True)[1]
    return np.sort(by_cluster[first_of_cluster]).astype(np.int64)


def _require_arguments(
    points: FloatArray, level_sizes: Sequence[int], neighbours: int, interpolation_neighbours: int
) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"positions must be (N, 3) with N >= 1, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("positions must be finite")
    ascending = all(a < b for a, b in itertools.pairwise(level_sizes))
    if len(level_sizes) == 0 or min(level_sizes) < 1 or not ascending:
        raise ValueError(f"level sizes must be positive and ascending, got {tuple(level_sizes)}")
    if neighbours < 1 or interpolation_neighbours < 1:
        raise ValueError(
            f"neighbour counts must be at least 1, got {neighbours} and {interpolation_neighbours}"
        )
