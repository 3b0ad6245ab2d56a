from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.statistics.principal_components import (
    RunningCovariance,
    leading_directions,
    principal_scores,
)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 17), st.floats(-1e6, 1e6))
@settings(max_examples=30, deadline=None)
def test_covariance_in_batches_is_that_of_all_rows(count, width, batch, mean):
    rows = mean + np.random.default_rng(count).normal(size=(count, width))
    running = RunningCovariance()
    for start in range(0, count, batch):
        running.add(rows[start : start + batch])
    running.add(rows[:0])
    assert running.count == count
    np.testing.assert_allclose(running.mean, rows.mean(axis=0), rtol=1e-12)
    expected = np.cov(rows.T, bias=True).reshape(width, width)
    np.testing.assert_allclose(running.covariance, expected, atol=1e-8)


def test_signs_do_not_hang_on_the_solver():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200, 5)) * [5, 4, 3, 2, 1]
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    table = table @ rotation
    covariance = np.cov(table.T, bias=True)
    axes = leading_directions(covariance, 3, 0.01)
    assert (axes.sum(axis=0) > 0).all()
    # the same table with its columns in another order
    order = rng.permutation(5)
    again = leading_directions(covariance[np.ix_(order, order)], 3, 0.01)
    np.testing.assert_allclose(again, axes[order], atol=1e-10)
    # entries that cancel: the largest decides
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]]) + np.diag([1e-12, 0])
    direction = leading_directions(opposed, 1, 0.01)[:, 0]
    assert direction[np.abs(direction).argmax()] > 0
    scores = principal_scores(table, 2)
    assert (scores.max(axis=0) == np.abs(scores).max(axis=0)).all()
    np.testing.assert_allclose(np.abs(scores), np.abs((table - table.mean(0)) @ axes[:, :2]))


def test_only_components_that_matter_are_kept_but_always_one():
    covariance = np.diag([100.0, 2.0, 0.5])
    assert leading_directions(covariance, 3, 0.01).shape == (3, 2)
    assert leading_directions(covariance, 1, 0.01).shape == (3, 1)
    assert leading_directions(np.zeros((3, 3)), 3, 0.01).shape == (3, 1)
    assert principal_scores(np.ones((4, 3)), 2).shape == (4, 0)
