"""Numbers of coordination against textbook ones, where particles leave no doubt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, false_discovery_control, gamma, pearsonr, spearmanr
from sklearn.metrics import mutual_info_score

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.joint_presence import joint_presence
from cryoparts.statistics.permutation import imaging_strata, upper_tail

COUNT = 1200


def measured(presence, error, shared=0.0, seed=0):
    rng = np.random.default_rng(seed)
    count, parts = presence.shape
    covariance = error**2 * ((1 - shared) * np.eye(parts) + shared)
    noise = rng.multivariate_normal(np.zeros(parts), covariance, size=count)
    names = np.arange(count).astype(np.str_)
    return ImageAmplitudes(names, presence + noise, np.tile(covariance, (count, 1, 1)))


def together(presence, error=0.02, shared=0.0):
    amplitudes = measured(presence, error, shared)
    a, b = find_composition(amplitudes, ["a", "b"]).parts
    return joint_presence(amplitudes, 0, 1, a, b), joint_presence(amplitudes, 1, 0, b, a)


def coupled(seed=0, share=0.75):
    """Of unlike occupancies, and more often together than by chance."""
    rng = np.random.default_rng(seed)
    a = rng.random(COUNT) < 0.4
    b = np.where(rng.random(COUNT) < share, a, rng.random(COUNT) < 0.8)
    return np.column_stack([a, b])


def test_presences_without_doubt_are_counted():
    presence = coupled()
    joint, _ = together(presence)
    a, b = presence.T.astype(int)
    table = np.array([[np.sum((a == i) & (b == j)) for j in (0, 1)] for i in (0, 1)])
    np.testing.assert_allclose(joint.shares, table / COUNT, atol=1e-4)
    assert joint.correlation == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-3)
    bits = mutual_info_score(a, b) / np.log(2)
    assert joint.mutual_information_bits == pytest.approx(bits, abs=1e-3)
    ratio = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert joint.likelihood_ratio == pytest.approx(ratio, rel=0.01)
    product = (a - a.mean()) * (b - b.mean())
    np.testing.assert_allclose(joint.score, product, atol=2e-3)
    assert joint.exceptions()[0] == pytest.approx(table[1, 0] / table[1].sum(), abs=1e-3)


def test_the_error_of_a_share_and_of_a_correlation_is_that_of_counting():
    rng = np.random.default_rng(1)
    presence = rng.random((COUNT, 2)) < [0.5, 0.6]
    joint, _ = together(presence)
    shares = joint.shares.ravel()
    # of a multinomial; what keeps empty cells from being certain costs a little
    expected = (np.diag(shares) - np.outer(shares, shares)) / COUNT
    np.testing.assert_allclose(joint.covariance, expected, atol=0.03 * expected.max())
    low, high = joint.correlation_interval()
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(COUNT), rel=0.05)
    assert low < joint.correlation < high
    doubtful, _ = together(presence, error=0.4)
    assert doubtful.correlation_error > 1.3 * joint.correlation_error


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_the_order_of_two_parts_does_not_matter(shared):
    joint, other = together(coupled(2), error=0.3, shared=shared)
    turned = other.transposed()
    np.testing.assert_allclose(turned.shares, joint.shares, atol=1e-6)
    np.testing.assert_allclose(turned.covariance, joint.covariance, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(turned.score, joint.score, atol=1e-6)
    np.testing.assert_allclose(turned.densities(), joint.densities(), rtol=1e-6)
    assert turned.likelihood_ratio == pytest.approx(joint.likelihood_ratio, rel=1e-4)
    assert turned.correlation_error == pytest.approx(joint.correlation_error, rel=1e-3)
    assert turned.exceptions() == pytest.approx(joint.exceptions(), rel=1e-3)
    assert other.exceptions() == pytest.approx(joint.transposed().exceptions(), rel=1e-3)
    assert abs(other.exceptions()[0] - joint.exceptions()[0]) > 0.1  # the law is not empty


def of_pair(x, y, kind="angle", permutations=99):
    signals = [PartSignal(1, kind, x), PartSignal(2, kind, y)]
    strata = np.zeros(len(x), dtype=np.int64)
    (found,) = find_coordination(signals, strata, permutations=permutations)
    return found


def test_correlations_and_their_intervals_are_those_of_the_textbook():
    rng = np.random.default_rng(3)
    x = rng.normal(size=COUNT)
    y = np.exp(0.4 * x + rng.normal(size=COUNT))
    found, expected = of_pair(x, y), pearsonr(x, y)
    assert found.correlation == pytest.approx(expected.statistic)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-4)
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic)
    turned = of_pair(x, -y)
    assert turned.correlation == pytest.approx(-found.correlation)
    assert turned.spearman == pytest.approx(-found.spearman)
    assert turned.is_coordinated and found.is_coordinated


def test_information_is_the_entropy_of_a_copy_and_nothing_for_what_is_independent():
    rng = np.random.default_rng(4)
    states = rng.integers(1, 5, 2000).astype(np.float64)
    copy = of_pair(states, 5 - states, kind="state")
    assert copy.mutual_information_bits == pytest.approx(2.0, abs=0.02)
    drawn = rng.random((6, 2000))
    alone = [of_pair(x, y).mutual_information_bits for x, y in drawn.reshape(3, 2, -1)]
    assert max(alone) < 0.004  # 6 x 6 bins alone would give 0.009
    presence = rng.random((400, 4)) < 0.5
    amplitudes = measured(presence, 0.1)
    composition = find_composition(amplitudes, list("abcd"))
    signals = [PartSignal(k, "presence", composition.parts[k - 1].probability) for k in range(1, 5)]
    pairs = find_coordination(signals, np.zeros(400, int), composition, permutations=99)
    assert min(pair.mutual_information_bits for pair in pairs) == 0
    assert max(pair.mutual_information_bits for pair in pairs) < 0.02


def test_verdicts_follow_from_p_values_corrected_for_the_pairs_of_the_family():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(7, 900))
    for k, share in enumerate((0.4, 0.22, 0.17, 0.17, 0.08, 0.06), start=1):
        values[k] += share * values[0]
    signals = [PartSignal(k, "angle", v) for k, v in enumerate(values, start=1)]
    pairs = find_coordination(signals, np.zeros(900, dtype=np.int64), permutations=99, seed=1)
    corrected = false_discovery_control([p.p_value for p in pairs])
    dependent = false_discovery_control([p.p_permutation for p in pairs])
    np.testing.assert_allclose([p.p_adjusted for p in pairs], corrected)
    expected = np.where(
        corrected < 0.05, "coordinated", np.where(dependent < 0.05, "too weak to tell", "no sign")
    )
    assert [p.verdict for p in pairs] == expected.tolist()
    assert set(expected) == {"coordinated", "too weak to tell", "no sign"}
    # the correction decides about some, both of dependence and of more than leaks
    assert any(p.p_permutation < 0.05 <= q for p, q in zip(pairs, dependent, strict=True))
    assert any(p.p_value < 0.05 <= q for p, q in zip(pairs, corrected, strict=True))
    assert all(p.p_value >= p.p_permutation for p in pairs)


def test_no_pair_is_less_likely_by_chance_than_it_is_to_leak():
    rng = np.random.default_rng(6)
    x = rng.normal(size=800)
    for y in (x + 0.3 * rng.normal(size=800), x**2, rng.normal(size=800)):
        found = of_pair(x, y)
        assert found.p_value >= found.p_permutation


def test_a_bend_hardly_beyond_what_leaks_is_not_sure_to_be_more():
    rng = np.random.default_rng(8)
    x, noise = rng.uniform(-1, 1, 600), rng.normal(size=600)
    found = [of_pair(x, x**2 + level * noise) for level in np.linspace(0.05, 0.4, 15)]
    information = [pair.mutual_information_bits for pair in found]
    p_values = np.array([pair.p_value for pair in found])
    assert information[0] > 0.35 > 0.2 > information[-1]
    assert p_values[0] < 1e-6 < 0.9 < p_values[-1]
    assert np.any((p_values > 0.01) & (p_values < 0.9))  # by the error of the information


def test_a_tail_of_information_beyond_counting_is_extrapolated():
    null = gamma.ppf((np.arange(400) + 0.5) / 400, 12, scale=0.001)
    for observed in (0.01, 0.015, 0.018):
        expected = gamma.sf(observed, 12, scale=0.001)
        assert upper_tail(observed, null) == pytest.approx(expected, abs=0.004)
    assert 1e-14 < upper_tail(0.05, null) < 1e-7
    assert upper_tail(0.0, null) == 1.0


def test_unlike_defocus_parts_particles_seen_from_one_side():
    count = 240
    rotation = np.tile(np.eye(3), (count, 1, 1))
    columns = {name: np.full(count, 1.0) for name in CtfParameters.__dataclass_fields__}
    near = np.arange(count) % 2 == 0
    defocus = np.where(near, 8e3, 2e4) + np.arange(count)
    columns |= {"defocus_u_angstrom": defocus, "defocus_v_angstrom": defocus}
    strata = imaging_strata(Poses(rotation, np.zeros((count, 2))), CtfParameters(**columns))
    assert not set(strata[near]) & set(strata[~near])
    assert len(np.unique(strata)) > 1


def test_signals_of_other_particles_are_refused():
    x = PartSignal(1, "angle", np.arange(9.0))
    with pytest.raises(ValueError, match="same particles"):
        find_coordination([x, x], np.zeros(8, dtype=np.int64))
    there = PartSignal(1, "presence", np.arange(9.0) / 9)
    with pytest.raises(ValueError, match="composition"):
        find_coordination([there, there], np.zeros(9, dtype=np.int64))
