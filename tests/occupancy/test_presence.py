"""Presence and occupancy from amplitudes with known errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.occupancy.presence import fit_presence


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
    # means of so many particles with errors of a third
    reach = [5 * 0.35 / np.sqrt(max(some.sum(), 1)) for some in (~there, there)]
    assert found.level_absent == pytest.approx(0.05, abs=reach[0])
    assert found.level_present == pytest.approx(1.0, abs=reach[1])


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


def test_the_probability_is_that_of_bayes_with_each_image_its_own_noise():
    there, x, v = mixture(4, count=6000, share=0.15, noise=(0.1, 0.8))
    found = fit_presence(x, v)
    total = v + 0.05**2
    odds = 0.15 / 0.85 * np.exp(((x - 0.05) ** 2 - (x - 1.0) ** 2) / (2 * total))
    between = (x > 0.1) & (x < 0.95)  # beyond, no more of the part is less of it
    away = np.abs(found.probability - odds / (1 + odds))[between]
    assert away.mean() < 0.015
    assert away.max() < 0.12
    assert found.probability.mean() == pytest.approx(found.occupancy, abs=0.01)
    clear = v < 0.2**2
    assert ((found.probability > 0.5) == there)[clear].mean() > 0.98


def test_the_spread_of_the_molecules_is_told_from_the_noise():
    rng = np.random.default_rng(5)
    there = rng.random(5000) < 0.5
    own = np.where(there, 0.15, 0.08) * rng.normal(size=5000)
    error = rng.uniform(0.05, 0.3, 5000)
    found = fit_presence(there + own + error * rng.normal(size=5000), error**2)
    assert found.spread_absent == pytest.approx(0.08, abs=0.02)
    assert found.spread_present == pytest.approx(0.15, abs=0.02)
    assert found.separation == pytest.approx(1 / np.hypot(0.08, 0.15) * np.sqrt(2), rel=0.15)
    assert found.bic_gain > 1000


def test_junk_stretches_no_level():
    there, x, v = mixture(6, share=0.5)
    junk = np.random.default_rng(6).uniform(4, 8, 8)
    found = fit_presence(np.append(x, junk), np.append(v, np.full(8, 0.04)))
    assert found.is_optional
    assert found.level_present == pytest.approx(1.0, abs=0.06)
    assert found.spread_present < 0.15
    assert found.occupancy == pytest.approx(there.mean(), abs=0.03)


def test_two_levels_close_to_each_other_are_not_presence_and_absence():
    rng = np.random.default_rng(7)
    v = rng.uniform(0.005, 0.01, 2000) ** 2
    x = np.where(rng.random(2000) < 0.5, 0.85, 1.0) + np.sqrt(v) * rng.normal(size=2000)
    found = fit_presence(x, v)
    assert found.change == "always there"
    assert found.bic_gain > 0  # two levels there are


def test_two_levels_are_not_asked_for_where_one_is_enough():
    gains = [fit_presence(*mixture(seed, count=300, share=1.0)[1:]).bic_gain for seed in range(12)]
    assert max(gains) < 0
    assert min(gains) > -30  # three parameters cost 17


def test_the_interval_knows_of_the_doubt_in_each_particle_and_of_the_levels():
    def width(noise):
        """Of the interval, in widths of that of counted particles."""
        found = [fit_presence(*mixture(seed, count=1500, noise=noise)[1:]) for seed in range(4)]
        sampling = 2 * 1.96 * np.sqrt(0.4 * 0.6 / 1500)
        return np.mean([one.high - one.low for one in found]) / sampling

    assert width((0.02, 0.05)) == pytest.approx(1.0, rel=0.06)
    assert 1.8 < width((0.3, 0.35)) < 3.5  # 1.13 if the levels were known


def test_a_wide_level_does_not_claim_what_lies_beyond_the_narrow_one():
    rng = np.random.default_rng(8)
    there = rng.random(2000) < 0.5
    x = there + np.where(there, 0.25, 0.05) * rng.normal(size=2000)
    found = fit_presence(np.append(x, [-0.6, 2.2]), np.full(2002, 1e-4))
    assert found.is_optional
    assert found.probability[-2] <= 0.5 <= found.probability[-1]


def test_particles_that_do_not_count_change_no_level():
    """A law: a fifth of junk, known as such, leaves levels and occupancy as they were."""
    _, amplitude, variance = mixture(3)
    random = np.random.default_rng(4)
    junk = random.normal(4.0, 3.0, 400)
    clean = fit_presence(amplitude, variance)
    both = fit_presence(
        np.concatenate([amplitude, junk]),
        np.concatenate([variance, np.full(400, 0.05)]),
        counted=np.arange(len(amplitude) + 400) < len(amplitude),
    )
    assert len(both.probability) == len(amplitude) + 400
    np.testing.assert_allclose(both.probability[: len(amplitude)], clean.probability, atol=1e-12)
    assert (both.level_absent, both.level_present) == (clean.level_absent, clean.level_present)
    assert both.occupancy == clean.occupancy


@pytest.mark.parametrize("usual", [0.0, 1.0])
def test_a_few_that_show_more_have_the_part_unless_all_others_have_it_too(usual):
    """Neighbours lie over a part that is always there; another is there in few particles."""
    _, x, v = mixture(3, count=5000, share=0.01, absent=usual, present=usual + 1.4)
    found = fit_presence(x, v)
    assert found.change == ("always there" if usual else "present or absent")
    assert found.occupancy == pytest.approx(1.0 if usual else 0.01, abs=0.005)
