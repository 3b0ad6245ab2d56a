"""Clusters by a mixture of Gaussians; who lies between them; how dense it is where one lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cryoparts.states.focus import focus_on_part
from cryoparts.states.mixture import density_rank, membership, mixture_labels


def clouds(rng, centres, each=200, spread=0.1):
    points = np.repeat(np.asarray(centres, dtype=float), each, axis=0)
    return points + spread * rng.normal(size=points.shape)


@pytest.mark.parametrize("count", [1, 3])
def test_bic_finds_the_number_of_gaussian_clouds(count):
    rng = np.random.default_rng(count)
    points = clouds(rng, np.eye(4)[:count])
    labels, found = mixture_labels(points, None, 6, seed=0)
    assert found == count
    assert adjusted_rand_score(np.repeat(np.arange(count), 200), labels) > 0.98


def test_a_given_number_is_kept_and_equal_points_are_one_cluster():
    points = clouds(np.random.default_rng(0), [[0.0, 0.0], [1.0, 0.0]])
    assert mixture_labels(points, 3, 5, seed=0)[1] == 3
    assert mixture_labels(np.ones((30, 2)), 3, 5, seed=0)[1] == 1


def test_clouds_of_unlike_widths_are_told_apart_where_k_means_cuts_the_wide_one():
    rng = np.random.default_rng(1)
    points = np.concatenate(
        [rng.normal(size=(500, 2)) * [1.5, 0.1], [0, 1] + 0.1 * rng.normal(size=(500, 2))]
    )
    labels, found = mixture_labels(points, 2, 5, seed=0)
    assert found == 2
    assert adjusted_rand_score(np.repeat([0, 1], 500), labels) > 0.95


def test_particles_between_the_clusters_are_uncertain_and_sparse():
    rng = np.random.default_rng(2)
    ends = clouds(rng, [[0.0], [1.0]], each=450, spread=0.05)
    between = rng.uniform(0.35, 0.65, (40, 1))
    points = np.concatenate([ends, between])
    certainty = membership(points, (points[:, 0] > 0.5).astype(np.int64))
    density = density_rank(points)
    assert certainty[900:].max() < 0.5
    assert np.median(certainty[900:]) < 0.2
    assert np.median(certainty[:900]) > 0.9
    assert density[900:].max() < 0.12
    assert ((certainty >= 0) & (certainty <= 1)).all()


def test_points_that_do_not_vary_are_certain():
    np.testing.assert_array_equal(membership(np.zeros((5, 2)), np.zeros(5, dtype=np.int64)), 1)
    np.testing.assert_array_equal(density_rank(np.zeros((5, 2))), 0)
    np.testing.assert_array_equal(density_rank(np.zeros((1, 2))), 0)


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 80), st.floats(0.1, 100), st.integers(0, 1000))
def test_density_is_a_rank_that_no_unit_changes(count, scale, seed):
    points = np.random.default_rng(seed).normal(size=(count, 2))
    rank = density_rank(points)
    assert rank.min() == 0
    assert rank.max() <= 1
    np.testing.assert_allclose(density_rank(scale * points), rank, atol=2 / count)


def several(seed=0, particles=240):
    """Two parts of unlike sizes that come and go independently, and a core."""
    rng = np.random.default_rng(seed)
    present = rng.random((particles, 2)) < 0.5
    members = np.repeat([0, 1, 3], [30, 60, 8])
    amplitudes = 1 + 0.1 * rng.normal(size=(particles, len(members)))
    amplitudes[:, members == 1] -= 0.9 * ~present[:, :1]
    amplitudes[:, members == 3] -= 0.9 * ~present[:, 1:]
    names = np.array([f"{i}@a.mrcs" for i in range(particles)])
    return names, members, amplitudes, present


@pytest.mark.parametrize("order", ["clusters", "mixture"])
def test_two_parts_together_have_the_states_of_both(order, tmp_path):
    names, members, amplitudes, present = several()
    seen = focus_on_part(names, members, amplitudes, order=order)
    assert seen.parts == (1, 3)
    assert seen.n_states == 4
    assert adjusted_rand_score(present @ [1, 2], seen.states) > 0.97
    np.testing.assert_allclose(seen.amplitude_of_part, np.where(present, 1.0, 0.1), atol=0.15)
    seen.save(tmp_path)
    back = type(seen).load(tmp_path)
    assert back.parts == (1, 3)
    np.testing.assert_allclose(back.amplitude_of_part, seen.amplitude_of_part, rtol=1e-5)
    np.testing.assert_allclose(back.certainty, seen.certainty, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(back.density, seen.density, rtol=1e-5)


def test_a_small_part_counts_as_much_as_a_large_one():
    names, members, amplitudes, _ = several(1)
    seen = focus_on_part(names, members, amplitudes, n_states=1)
    spread = np.ptp(seen.embedding, axis=0)
    assert spread.min() > 0.7 * spread.max()


def test_the_tail_of_a_skewed_cluster_still_belongs_to_it():
    rng = np.random.default_rng(3)
    present = 1 - rng.exponential(0.03, 800)
    absent = rng.exponential(0.02, 800)
    points = np.concatenate([present, absent])[:, None]
    certainty = membership(points, (points[:, 0] < 0.5).astype(np.int64))
    assert (certainty > 0.5).mean() > 0.97
    assert np.median(certainty[(points[:, 0] > 0.9) & (points[:, 0] < 0.95)]) > 0.9
