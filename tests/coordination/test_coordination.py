"""Coordination of parts: found where it is, not where errors or views make it up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import mutual_info_score

from coordinated_parts import measured, pairs_of
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.joint_presence import joint_presence
from cryoparts.occupancy.presence import fit_presence
from cryoparts.statistics.permutation import (
    Permutations,
    binned,
    imaging_strata,
    mutual_information_bits,
    two_sided,
)


def test_errors_that_two_parts_share_are_not_coordination():
    rng = np.random.default_rng(1)
    presence = rng.random((800, 5)) < 0.5
    pairs, composition = pairs_of(presence)
    true = np.corrcoef(presence.T)
    shown = composition.measured
    alone = [
        fit_presence(*of).probability > 0.5
        for of in zip(shown.amplitude.T, shown.variance.T, strict=True)
    ]
    called = np.corrcoef(alone)
    errors = [p.correlation - true[p.a - 1, p.b - 1] for p in pairs]
    naive = [called[p.a - 1, p.b - 1] - true[p.a - 1, p.b - 1] for p in pairs]
    assert not any(p.is_coordinated for p in pairs)
    # counted from calls of each part by itself they would be as far off as this
    assert np.sqrt(np.mean(np.square(errors))) < 0.03
    assert np.sqrt(np.mean(np.square(errors))) < 0.6 * np.sqrt(np.mean(np.square(naive)))


def test_independent_parts_give_even_p_values():
    values = []
    for seed in range(3):
        presence = np.random.default_rng(100 + seed).random((400, 6)) < 0.5
        values += [p.p_permutation for p in pairs_of(presence, seed=seed)[0]]
    assert len(values) == 45
    assert kstest(values, "uniform").pvalue > 0.01
    assert sum(p < 0.05 for p in values) <= 7


@pytest.mark.parametrize("strength", [0.3, -0.4])
def test_coupled_parts_are_found_with_their_strength(strength):
    rng = np.random.default_rng(3)
    presence = rng.random((1500, 3)) < 0.5
    same = rng.random(1500) < 0.5 * (1 + strength)
    presence[:, 2] = np.where(same, presence[:, 0], ~presence[:, 0])
    pairs, _ = pairs_of(presence)
    found = {(p.a, p.b): p for p in pairs}
    assert [p.is_coordinated for p in pairs] == [False, True, False]
    true = np.corrcoef(presence[:, 0], presence[:, 2])[0, 1]
    assert found[1, 3].correlation == pytest.approx(true, abs=0.05)
    assert found[1, 3].low < true < found[1, 3].high
    assert found[1, 3].p_value >= found[1, 3].p_permutation


def test_the_shares_of_the_four_cases_are_estimated():
    rng = np.random.default_rng(4)
    presence = rng.random((1500, 2)) < 0.6
    presence[:, 1] &= presence[:, 0]
    amplitudes = measured(presence)
    a, b = find_composition(amplitudes, ["a", "b"]).parts
    joint = joint_presence(amplitudes, 1, 0, b, a)
    true = [np.mean(presence[:, 1] == i) for i in (0, 1)]
    np.testing.assert_allclose(joint.shares.sum(axis=1), true, atol=0.02)
    exceptions, high = joint.exceptions()
    assert exceptions <= high < 0.05
    assert high > 1 / (1500 * 0.36)  # nobody seen of 540 leaves room for a few
    assert joint.transposed().exceptions()[0] == pytest.approx(
        1 - presence[:, 1].sum() / presence[:, 0].sum(), abs=0.04
    )
    with pytest.raises(ValueError, match="both parts"):
        always = find_composition(measured(np.ones((300, 1))), ["a"]).parts[0]
        joint_presence(amplitudes, 0, 1, a, always)


def test_what_follows_the_view_is_not_coordination():
    rng = np.random.default_rng(5)
    strata = np.repeat(np.arange(20), 100)
    view = rng.normal(size=20)[strata]
    signals = [PartSignal(k, "angle", view + 0.5 * rng.normal(size=2000)) for k in (1, 2)]
    (within,) = find_coordination(signals, strata, permutations=199)
    (across,) = find_coordination(signals, np.zeros(2000, dtype=int), permutations=199)
    assert across.is_coordinated
    assert within.p_permutation > 0.05
    assert not within.is_coordinated


def test_a_weak_leak_is_significant_and_still_not_believed():
    rng = np.random.default_rng(6)
    x = rng.normal(size=20_000)
    signals = [
        PartSignal(1, "angle", x),
        PartSignal(2, "angle", 0.06 * x + rng.normal(size=20_000)),
    ]
    (pair,) = find_coordination(signals, np.zeros(20_000, dtype=int), permutations=99)
    assert pair.p_permutation < 0.001
    assert pair.verdict == "too weak to tell"


def test_a_strong_bend_is_found_where_no_correlation_is():
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, 3000)
    bent = PartSignal(2, "coordinate", x**2 + 0.02 * rng.normal(size=3000))
    (pair,) = find_coordination(
        [PartSignal(1, "angle", x), bent], np.zeros(3000, dtype=int), permutations=99
    )
    assert abs(pair.correlation) < 0.1
    assert pair.is_coordinated


def test_permutations_stay_in_their_stratum():
    strata = np.random.default_rng(8).integers(0, 5, 200)
    drawn = Permutations.draw(strata, 20, seed=0).rows
    for rows in drawn:
        np.testing.assert_array_equal(strata[rows], strata)
        np.testing.assert_array_equal(np.sort(rows), np.arange(200))
    assert len(np.unique(drawn, axis=0)) == 20


def test_opposite_views_share_a_stratum():
    rng = np.random.default_rng(9)
    quaternion, _ = np.linalg.qr(rng.normal(size=(600, 3, 3)))
    flipped = quaternion * np.array([1.0, -1.0, -1.0])[:, None]
    both = np.concatenate([quaternion, flipped])
    fields = CtfParameters.__dataclass_fields__
    ctf = CtfParameters(**{name: np.full(1200, 1e4) for name in fields})
    strata = imaging_strata(Poses(both, np.zeros((1200, 2))), ctf)
    np.testing.assert_array_equal(strata[:600], strata[600:])
    assert len(np.unique(strata)) > 5


def test_mutual_information_is_that_of_scikit_learn():
    rng = np.random.default_rng(10)
    a = rng.integers(0, 5, 300)
    b = (a + rng.integers(0, 3, 300)) % 7
    expected = mutual_info_score(a, b) / np.log(2)
    assert mutual_information_bits(a, b) == pytest.approx(expected, abs=1e-12)


def test_a_tail_beyond_counting_is_extrapolated():
    null = np.random.default_rng(11).normal(size=500)
    assert two_sided(0.5, null) == pytest.approx(0.62, abs=0.08)
    assert 1e-12 < two_sided(6.0, null) < 1e-6


def test_bins_do_not_cut_through_a_peak():
    rng = np.random.default_rng(12)
    state, other = rng.random((2, 4000)) < 0.5
    leaked = state + 0.02 * other + 0.01 * rng.normal(size=4000)
    information = mutual_information_bits(binned(leaked), other.astype(np.int64))
    assert information < 0.005
