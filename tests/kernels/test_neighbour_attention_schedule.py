from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryoparts.kernels.neighbour_attention_schedule import POINTS_PER_BLOCK, block_of, plan_visits


def nearest(points: int, degree: int = 16):
    positions = np.random.default_rng(3).normal(size=(points, 3))
    return cKDTree(positions).query(positions, k=min(degree, points))[1].reshape(points, -1)


@pytest.mark.parametrize("points", [1, 2, POINTS_PER_BLOCK, POINTS_PER_BLOCK + 1, 300])
def test_every_point_is_visited_once_and_every_row_it_needs_is_fetched(points):
    neighbours = nearest(points)
    schedule = plan_visits(neighbours)
    assert sorted(schedule.order) == list(range(points))
    visited = []
    for block in range(len(schedule.row_starts) - 1):
        members, rows, share = block_of(schedule, block)
        visited.extend(members)
        assert sorted(rows) == sorted(set(neighbours[members].ravel()))
        assert share * len(members) >= len(rows)
    assert visited == list(schedule.order)


def test_blocks_share_more_neighbours_than_blocks_of_points_as_they_come():
    neighbours = nearest(1024)
    scheduled = len(plan_visits(neighbours).rows)
    blocks = neighbours.reshape(-1, POINTS_PER_BLOCK * 16)
    assert scheduled < 0.5 * sum(len(np.unique(block)) for block in blocks)
