from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.evaluation.part_agreement import (
    coordinate_agreement,
    part_agreement,
    state_agreement,
)

NAMES = ["core", "a", "b", "c"]
TRUE = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations([1, 2, 3]))
def test_the_true_parts_under_any_numbers_are_all_recovered(order):
    labels = np.array([0, *order])[TRUE]
    result = part_agreement(labels, TRUE, 0, NAMES)
    assert result.adjusted_rand_index == result.assigned_adjusted_rand_index == 1.0
    assert (result.parts, result.segments, result.recovered) == (3, 3, 3)
    assert [result.part_of(name) for name in NAMES] == [0, *order]
    assert all(match.jaccard == 1.0 for match in result.matches)


def test_two_segments_in_one_part_count_by_their_jaccard_index():
    labels = np.where(TRUE == 3, 2, TRUE)  # b (20) and c (10) in one part
    result = part_agreement(labels, TRUE, 0, NAMES)
    assert result.recovered == 2
    assert result.matches[2].jaccard == pytest.approx(20 / 30)
    assert result.matches[3].jaccard == pytest.approx(10 / 30)
    assert (result.matches[3].part, result.part_of("c")) == (2, None)
    assert 0.8 < result.adjusted_rand_index < 1.0


def test_a_segment_called_core_is_not_recovered():
    labels = np.where(TRUE == 1, 0, TRUE)
    result = part_agreement(labels, TRUE, 0, NAMES)
    assert result.matches[1].part is None
    assert result.matches[1].jaccard == 0.0
    assert result.recovered == 2
    assert result.matches[0].jaccard == pytest.approx(40 / 70)
    # Nor is the core recovered by a part.
    assert not part_agreement(np.ones(100, dtype=int), TRUE, 0, NAMES).matches[0].recovered


def test_gaussians_in_no_part_are_counted():
    labels = TRUE.copy()
    labels[::5] = -1
    result = part_agreement(labels, TRUE, 0, NAMES)
    assert result.unassigned_fraction == pytest.approx(0.2)
    assert result.assigned_adjusted_rand_index == 1.0
    assert result.adjusted_rand_index < 0.9
    nothing = part_agreement(np.full(100, -1), TRUE, 0)
    assert nothing.assigned_adjusted_rand_index is None
    assert nothing.recovered == 0
    assert json.loads(json.dumps(nothing.as_dict()))["matches"][1]["segment"] == "segment_2"


def test_states_against_presence():
    present = np.array([True] * 6 + [False] * 4)
    perfect = state_agreement(np.where(present, 2, 1), present)
    assert (perfect.accuracy, perfect.adjusted_rand_index) == (1.0, 1.0)
    assert perfect.fraction_present == {1: 0.0, 2: 1.0}
    assert perfect.majority_accuracy == pytest.approx(0.6)
    blind = state_agreement(np.ones(10, dtype=int), present)
    assert blind.accuracy == pytest.approx(0.6)
    assert blind.adjusted_rand_index == 0.0
    mixed = state_agreement([1, 1, 1, 1, 1, 2, 1, 2, 2, 2], present)
    assert mixed.accuracy == pytest.approx(0.8)
    assert json.loads(json.dumps(mixed.as_dict()))["accuracy"] == pytest.approx(0.8)


def test_coordinates_against_angles():
    angles = np.random.default_rng(0).uniform(-10, 10, 200)
    assert coordinate_agreement(-2 * angles + 1, angles).pearson == pytest.approx(1.0)
    monotone = coordinate_agreement(np.exp(angles), angles)
    assert monotone.spearman == pytest.approx(1.0)
    assert monotone.pearson < 0.8
    noise = coordinate_agreement(np.random.default_rng(1).normal(size=200), angles)
    assert noise.pearson < 0.25
    assert coordinate_agreement(np.zeros(200), angles).as_dict() == {
        "pearson": 0.0,
        "spearman": 0.0,
    }


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must agree"):
        part_agreement([0, 1], [0], 0)
    with pytest.raises(ValueError, match="must agree"):
        state_agreement([1, 2], [True])
    with pytest.raises(ValueError, match="must agree"):
        coordinate_agreement([1.0], [1.0, 2.0])
