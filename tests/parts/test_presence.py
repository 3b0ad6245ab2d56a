"""Presence and occupancy from amplitudes with known errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.parts.presence import fit_presence


def mixture(seed, count=2000, share=0.4, absent=0.05, present=1.0, noise=(0.15, 0.45)):
    rng = np.random.default_rng(seed)
    there = rng.random(count) < share
    error = rng.uniform(*noise, count)
    level = np.where(there, present, absent) + 0.05 * rng.normal(size=count)
    return there, level + error * rng.normal(size=count), error**2


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.3, 0.5, 0.9]))
def test_the_occupancy_is_found_with_its_uncertainty(seed, share):
    there, x, v = mixture(seed, share=share)
    found = fit_presence(x, v)
    assert found.is_optional
    assert found.occupancy == pytest.approx(there.mean(), abs=0.02)
    assert found.low < found.occupancy < found.high
    # of the sampling alone
    least = 1.96 * np.sqrt(share * (1 - share) / len(x))
    assert 0.9 * least < 0.5 * (found.high - found.low) < 3 * least
    assert found.level_absent == pytest.approx(0.05, abs=0.06)
    assert found.level_present == pytest.approx(1.0, abs=0.06)


def test_the_probability_is_calibrated():
    there, x, v = mixture(0, count=6000, noise=(0.3, 0.5))
    p = fit_presence(x, v).probability
    for low in (0.05, 0.25, 0.45, 0.65, 0.85):
        inside = (p >= low) & (p < low + 0.1)
        assert inside.sum() > 60
        assert there[inside].mean() == pytest.approx(p[inside].mean(), abs=0.12)


def test_the_interval_covers_the_probability_it_was_drawn_with():
    covered = 0
    for seed in range(14):
        _, x, v = mixture(seed, count=300, share=0.3, noise=(0.2, 0.4))
        found = fit_presence(x, v)
        covered += found.low <= 0.3 <= found.high
    assert covered >= 11


@pytest.mark.parametrize(
    ("share", "word", "value"), [(1.0, "always there", 1.0), (0.0, "never there", 0.0)]
)
def test_one_level_is_not_cut_in_two(share, word, value):
    _, x, v = mixture(1, share=share)
    found = fit_presence(x, v)
    assert (found.change, found.occupancy) == (word, value)
    assert found.low <= value <= found.high
    assert found.high - found.low == pytest.approx(3 / len(x))


def test_a_gradual_change_is_no_presence():
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, 3000) + 0.1 * rng.normal(size=3000)
    found = fit_presence(x, np.full(3000, 0.01))
    assert found.change == "not a present/absent part"
    assert np.isnan(found.occupancy)
    assert np.isnan(found.probability).all()


def test_more_of_a_part_is_never_less_of_it():
    _, x, v = mixture(3)
    x = np.append(x, [-3.0, 5.0])
    found = fit_presence(x, np.append(v, [0.04, 0.04]))
    assert found.probability[-2] < 0.5 < found.probability[-1]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must be"):
        fit_presence(np.zeros(3), np.zeros(4))
