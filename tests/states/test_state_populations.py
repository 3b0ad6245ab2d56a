"""Populations of states: counted and by probability, and never of more particles than there are."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from cryoparts.states.focused_particles import FocusedParticles
from cryoparts.states.state_populations import (
    FEWEST_IN_STATE,
    save_populations,
    soft_counts,
    state_populations,
)


def clusters(rng, sizes, distance, width=1.0):
    """Points (P, 2) of states 1 ... K in a row, shuffled."""
    states = rng.permutation(np.repeat(np.arange(1, len(sizes) + 1), sizes))
    spread = width * rng.normal(size=(len(states), 2))
    return np.column_stack([distance * states, 0 * states]) + spread, states


def focused(points, states, order="clusters"):
    count = len(states)
    return FocusedParticles(
        names=np.array([f"{i:06d}@p.mrcs" for i in range(count)]),
        embedding=points,
        states=states,
        coordinate=points[:, 0],
        mean_amplitude=np.ones(count),
        displacement_rms_angstrom=np.zeros(count),
        order=order,
        chosen_by="found",
    )


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 10**6), st.lists(st.integers(20, 80), min_size=1, max_size=4), st.floats(1, 12)
)
def test_soft_counts_sum_to_the_particles_whatever_the_states(seed, sizes, distance):
    points, states = clusters(np.random.default_rng(seed), sizes, distance)
    counts = soft_counts(points, states)
    assert counts.shape == (len(sizes),)
    assert counts.sum() == pytest.approx(sum(sizes))
    assert (counts >= 0).all()


@settings(deadline=None, max_examples=10)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(15, 90), min_size=2, max_size=4),
    st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_soft_counts_are_the_hard_ones_where_nothing_is_in_doubt(seed, sizes, unit):
    points, states = clusters(np.random.default_rng(seed), sizes, 40.0)
    np.testing.assert_allclose(soft_counts(unit * points, states), sizes, atol=1e-3)


def test_soft_counts_follow_the_numbers_of_the_states():
    points, states = clusters(np.random.default_rng(0), (60, 30, 110), 4.0)
    turned = np.array([0, 3, 1, 2])[states]
    np.testing.assert_allclose(
        soft_counts(points, turned)[[2, 0, 1]], soft_counts(points, states), rtol=1e-3
    )


def test_soft_counts_mend_the_borders_between_a_wide_state_and_a_narrow_one():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(0, 3.0, (1200, 2)), rng.normal([7, 0], 0.5, (400, 2))])
    cut = KMeans(2, n_init=5, random_state=0).fit(points).labels_
    states = 1 + (cut != cut[0]).astype(np.int64)  # the first point is of the wide one
    hard, soft = np.bincount(states)[1:], soft_counts(points, states)
    assert abs(hard[1] - 400) > 60
    assert abs(soft[1] - 400) < 20


def test_a_direction_in_which_nothing_varies_says_nothing():
    points, states = clusters(np.random.default_rng(2), (50, 70), 5.0)
    flat = np.column_stack([points, np.full(120, 3.0)])
    np.testing.assert_allclose(soft_counts(flat, states), soft_counts(points, states))
    np.testing.assert_array_equal(soft_counts(np.zeros((120, 2)), states), [50, 70])


def test_too_few_particles_have_no_spread_of_their_own():
    points, states = clusters(np.random.default_rng(3), (FEWEST_IN_STATE - 1, 50), 9.0)
    np.testing.assert_array_equal(soft_counts(points, states), [np.nan, 50])
    points, states = clusters(np.random.default_rng(3), (FEWEST_IN_STATE, 50), 40.0)
    np.testing.assert_allclose(soft_counts(points, states), [FEWEST_IN_STATE, 50], atol=1e-3)


def test_every_part_that_focus_has_looked_at_is_counted(tmp_path):
    rng = np.random.default_rng(4)
    points, states = clusters(rng, (30, 50, 20), 40.0)
    focused(points, states).save(tmp_path / "one")
    focused(points, states, order="curve").save(tmp_path / "three")
    found = state_populations({1: tmp_path / "one", 3: tmp_path / "three"})
    assert [(p.part, p.state) for p in found] == [(1, 1), (1, 2), (1, 3), (3, 1), (3, 2), (3, 3)]
    assert [p.hard for p in found] == [30, 50, 20, 30, 50, 20]
    np.testing.assert_allclose([p.soft for p in found[:3]], [30, 50, 20], atol=1e-3)
    assert np.isnan([p.soft for p in found[3:]]).all()  # cuts of a curve are our own making
    save_populations(tmp_path / "populations.csv", found)
    with (tmp_path / "populations.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[1] == {"part": "part_1", "state": "2", "hard": "50", "soft": "50.0"}
    assert rows[4] == {"part": "part_3", "state": "2", "hard": "50", "soft": ""}
