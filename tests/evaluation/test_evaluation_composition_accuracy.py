from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.evaluation.composition_accuracy import composition_accuracy

P, N, S, CORE = 40, 60, 5, 2


def case(seed):
    rng = np.random.default_rng(seed)
    presence = rng.random((P, S)) < 0.5
    presence[:, CORE] = True
    segment = np.concatenate([np.arange(S), rng.integers(0, S, N - S)])
    return rng, presence, segment


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_truth_itself_scores_one_and_its_negation_nothing(seed):
    _, presence, segment = case(seed)
    perfect = presence[:, segment].astype(float)
    result = composition_accuracy(perfect, segment, presence, CORE)
    assert result.optional_accuracy == result.all_accuracy == 1.0
    assert all(s.accuracy == s.mean_accuracy == 1.0 for s in result.segments)
    assert composition_accuracy(1 - perfect, segment, presence, CORE).all_accuracy == 0.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_calling_everything_present_scores_the_fraction_present(seed):
    _, presence, segment = case(seed)
    result = composition_accuracy(np.ones((P, N)), segment, presence, CORE)
    optional = segment != CORE
    fraction = presence[:, segment[optional]].mean()
    assert result.optional_accuracy == pytest.approx(fraction)
    assert result.all_present_accuracy == pytest.approx(fraction)
    share = optional.mean()
    assert result.all_accuracy == pytest.approx(share * fraction + 1 - share)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_is_the_share_of_right_judgements(seed):
    rng, presence, segment = case(seed)
    amplitudes = rng.normal(0.5, 1.0, (P, N))
    border = rng.random(N) < 0.3
    result = composition_accuracy(amplitudes, segment, presence, CORE, border=border)
    right = [
        [(amplitudes[p, n] > 0.5) == presence[p, segment[n]] for n in range(N)] for p in range(P)
    ]
    right = np.array(right)
    optional = segment != CORE
    assert result.all_accuracy == pytest.approx(right.mean())
    assert result.optional_accuracy == pytest.approx(right[:, optional].mean())
    assert result.border_accuracy == pytest.approx(right[:, optional & border].mean())
    assert result.interior_accuracy == pytest.approx(right[:, optional & ~border].mean())
    assert result.border_gaussians == (optional & border).sum()
    assert sum(s.gaussians for s in result.segments) == N
    for number, part in enumerate(result.segments):
        assert part.accuracy == pytest.approx(right[:, segment == number].mean())


def test_amplitudes_are_averaged_over_the_segment_where_it_is_there_and_where_not():
    presence = np.array([[True, True], [True, False]])
    amplitudes = np.array([[1.0, 0.9, 0.3], [1.0, 0.6, 0.0]])
    result = composition_accuracy(
        amplitudes, [0, 1, 1], presence, 0, segment_names=["core", "lobe"], threshold=0.5
    )
    lobe = result.segments[1]
    assert lobe.name == "lobe"
    assert lobe.amplitude_present == pytest.approx(0.6)
    assert lobe.amplitude_absent == pytest.approx(0.3)
    assert (lobe.accuracy, lobe.mean_accuracy) == (0.5, 1.0)
    assert result.segments[0].amplitude_absent is None
    lenient = composition_accuracy(amplitudes, [0, 1, 1], presence, 0, threshold=0.2)
    assert lenient.segments[1].accuracy == 0.75
    assert lenient.segments[1].mean_accuracy == 0.5


def test_segments_without_gaussians_have_no_figures_and_the_result_is_json():
    result = composition_accuracy(np.ones((3, 2)), [0, 0], np.ones((3, 2), dtype=bool), 0)
    assert result.optional_accuracy is None
    assert result.segments[1].gaussians == 0
    assert json.loads(json.dumps(result.as_dict()))["all_accuracy"] == 1.0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        composition_accuracy(np.ones((3, 3)), [0, 0], np.ones((3, 2)), 0)


def test_straddling_gaussians_are_counted_apart():
    presence = np.array([[True, True], [True, False]])
    amplitudes = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # the last one is always wrong
    found = composition_accuracy(
        amplitudes, [0, 1, 1], presence, 0, straddling=[False, False, True]
    )
    assert found.optional_accuracy == 0.5
    assert (found.clear_accuracy, found.straddling_accuracy) == (1.0, 0.0)
    assert found.straddling_gaussians == 1
