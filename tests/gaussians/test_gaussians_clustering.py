"""Weighted Lloyd k-means: every cluster used, means are means, deterministic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.gaussians.clustering import mean_axis_variance, weighted_lloyd


@settings(deadline=None, max_examples=40)
@given(data=st.data(), points=st.integers(1, 60), seed=st.integers(0, 1000))
def test_every_cluster_has_points_even_where_points_coincide(
    data: st.DataObject, points: int, seed: int
) -> None:
    count = data.draw(st.integers(1, points))
    generator = np.random.default_rng(seed)
    places = generator.integers(0, 3, size=(points, 3)).astype(float)
    clusters = weighted_lloyd(places, np.ones(points), count, seed=seed)
    assert np.bincount(clusters.labels, minlength=count).min() >= 1
    assert clusters.labels.max() == count - 1
    for label in range(count):
        members = places[clusters.labels == label]
        np.testing.assert_allclose(clusters.centres[label], members.mean(axis=0), atol=1e-12)


def test_centres_are_weighted_means_and_variance_is_weighted() -> None:
    points = np.array([[0.0, 0, 0], [3, 0, 0], [100, 0, 0], [100, 6, 0]])
    weights = np.array([2.0, 1, 1, 1])
    clusters = weighted_lloyd(points, weights, 2, seed=3)
    order = np.argsort(clusters.centres[:, 0])
    np.testing.assert_allclose(clusters.centres[order], [[1, 0, 0], [100, 3, 0]], atol=1e-12)
    # (2 * 1 + 1 * 4) / 3 over three axes, and 9 over three axes.
    variance = mean_axis_variance(points, weights, clusters)[order]
    np.testing.assert_allclose(variance, [2.0 / 3.0, 3.0], atol=1e-12)


def test_separate_blobs_are_found() -> None:
    generator = np.random.default_rng(5)
    corners = np.array([[x, y, z] for x in (0, 50) for y in (0, 50) for z in (0, 50)], float)
    points = np.repeat(corners, 40, axis=0) + generator.normal(size=(320, 3))
    spreads = [
        mean_axis_variance(
            points, np.ones(320), weighted_lloyd(points, np.ones(320), 24, seed=s)
        ).max()
        for s in range(4)
    ]
    # Three clusters a blob on average: none may straddle two blobs (variance >> 1).
    assert min(spreads) < 3.0


def test_same_seed_same_clusters_and_arguments_untouched() -> None:
    generator = np.random.default_rng(0)
    points, weights = generator.normal(size=(500, 3)), generator.random(500)
    kept = points.copy(), weights.copy()
    first = weighted_lloyd(points, weights, 37, seed=11)
    second = weighted_lloyd(points, weights, 37, seed=11)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.centres, second.centres)
    assert (weighted_lloyd(points, weights, 37, seed=12).labels != first.labels).any()
    np.testing.assert_array_equal(points, kept[0])
    np.testing.assert_array_equal(weights, kept[1])


@pytest.mark.parametrize(
    ("count", "weights"), [(0, [1, 1]), (3, [1, 1]), (1, [0, 0]), (1, [1, -1])]
)
def test_impossible_arguments(count: int, weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"clusters of|weights"):
        weighted_lloyd(np.zeros((2, 3)), np.array(weights, float), count)


def test_an_empty_cluster_takes_the_costliest_point() -> None:
    points = np.zeros((200, 3))
    points[137] = 50.0
    weights = np.ones(200)
    weights[137] = 1e-3  # hardly ever drawn as a start, but the costliest to leave
    clusters = weighted_lloyd(points, weights, 2, iterations=1)
    assert np.flatnonzero(clusters.labels == clusters.labels[137]).tolist() == [137]
