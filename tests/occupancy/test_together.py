"""Presence told by all parts' amplitudes together."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.presence import Presence, fit_presence
from cryoparts.occupancy.together import judged_together

PARTS = 3


def tied(count: int, seed: int, correlation: float, error: float = 0.4) -> np.ndarray:
    """Covariances (P, K, K) of errors that neighbours share, of either sign by the view."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], size=count)
    deviation = error * rng.uniform(0.5, 1.5, size=(count, PARTS))
    ties = np.tile(np.eye(PARTS), (count, 1, 1))
    for k in range(PARTS - 1):
        ties[:, k, k + 1] = ties[:, k + 1, k] = sign * correlation
    return ties * deviation[:, :, None] * deviation[:, None, :]


def measured(
    count: int, seed: int, correlation: float, error: float = 0.4
) -> tuple[np.ndarray, ImageAmplitudes]:
    """True presence (P, K) of parts that come and go in half of the images, and amplitudes."""
    rng = np.random.default_rng(seed + 1)
    there = rng.random((count, PARTS)) < 0.5
    covariance = tied(count, seed, correlation, error)
    errors = (np.linalg.cholesky(covariance) @ rng.normal(size=(count, PARTS, 1)))[..., 0]
    names = np.array([str(k) for k in range(count)])
    return there, ImageAmplitudes(names, there + errors, covariance)


def known(shares: tuple[float, ...] = (0.5, 0.5, 0.5), spread: float = 0.05) -> list[Presence]:
    """Parts with levels 0 and 1."""
    return [
        Presence("present or absent", np.zeros(1), f, f, f, 0.0, 1.0, spread, spread, 20.0, 100.0)
        for f in shares
    ]


def judged_each(of: ImageAmplitudes, parts: list[Presence]) -> np.ndarray:
    columns = zip(of.amplitude.T, of.variance.T, parts, strict=True)
    return np.stack([exact(x[:, None], v[:, None, None], [p])[:, 0] for x, v, p in columns], axis=1)


def exact(amplitude: np.ndarray, covariance: np.ndarray, parts: list[Presence]) -> np.ndarray:
    """Probability of presence (P, K) by all 2^K cases."""
    cases = np.array(list(itertools.product((0, 1), repeat=len(parts))))
    logs = []
    for case in cases:
        level = [p.levels[c] for p, c in zip(parts, case, strict=True)]
        spread = [p.spreads[c] for p, c in zip(parts, case, strict=True)]
        share = [p.occupancy if c else 1 - p.occupancy for p, c in zip(parts, case, strict=True)]
        total = covariance + np.diag(np.square(spread))
        off = amplitude - np.array(level)
        distance = np.einsum("pi,pij,pj->p", off, np.linalg.inv(total), off)
        logs.append(np.log(share).sum() - 0.5 * (distance + np.linalg.slogdet(total)[1]))
    weight = np.exp(np.array(logs).T - np.max(logs, axis=0)[:, None])
    return (weight / weight.sum(axis=1, keepdims=True)) @ cases


def together(of: ImageAmplitudes, parts: list[Presence]) -> np.ndarray:
    alone = judged_each(of, parts)
    given_alone = [
        Presence(**{**p.__dict__, "probability": alone[:, k]}) for k, p in enumerate(parts)
    ]
    return np.stack([p.probability for p in judged_together(of, given_alone)], axis=1)


@given(seed=st.integers(0, 1000), shares=st.tuples(*[st.floats(0.05, 0.95)] * PARTS))
@settings(max_examples=20, deadline=None)
def test_errors_that_are_not_tied_leave_each_part_to_itself(seed, shares):
    _, of = measured(50, seed, 0.0)
    parts = known(shares)
    held = (of.amplitude > 0) & (of.amplitude < 1)  # beyond, calls are held to the level
    np.testing.assert_allclose(together(of, parts)[held], judged_each(of, parts)[held], atol=1e-3)


@given(seed=st.integers(0, 1000), correlation=st.floats(0.2, 0.6))
@settings(max_examples=20, deadline=None)
def test_it_is_about_what_all_cases_say(seed, correlation):
    _, of = measured(200, seed, correlation)
    parts = known((0.5, 0.3, 0.8))
    true = exact(of.amplitude, of.covariance, parts)
    off, off_alone = (
        float(np.sqrt(np.mean((p - true) ** 2)))
        for p in (together(of, parts), judged_each(of, parts))
    )
    assert off < 0.5 * off_alone
    assert off < 0.1


def test_neighbours_help():
    there, of = measured(20_000, 5, 0.6, error=0.5)
    parts = known()
    alone, all_told = judged_each(of, parts), together(of, parts)
    wrong_alone, wrong = (((p > 0.5) != there).mean() for p in (alone, all_told))
    assert wrong < 0.8 * wrong_alone
    # and it stays calibrated
    for low, high in ((0.1, 0.3), (0.3, 0.7), (0.7, 0.9)):
        some = (all_told > low) & (all_told < high)
        assert abs(all_told[some].mean() - there[some].mean()) < 0.03


def test_what_is_unlike_both_levels_says_nothing_of_its_neighbours():
    _, of = measured(300, 3, 0.6)
    amplitude = of.amplitude.copy()
    amplitude[:, 1] = -9.0  # ice: far below absence
    strange = ImageAmplitudes(of.names, amplitude, of.covariance)
    parts = known()
    found, alone = together(strange, parts), judged_each(strange, parts)
    held = (amplitude > 0) & (amplitude < 1)
    held[:, 1] = False
    np.testing.assert_allclose(found[held], alone[held], atol=1e-3)
    assert (found[:, 1] < 0.5).all()


def test_the_order_of_parts_does_not_matter():
    _, of = measured(300, 4, 0.5)
    parts, turned = known((0.2, 0.5, 0.7)), [2, 0, 1]
    other = ImageAmplitudes(
        of.names, of.amplitude[:, turned], of.covariance[:, turned][:, :, turned]
    )
    np.testing.assert_allclose(
        together(other, [parts[k] for k in turned]), together(of, parts)[:, turned], atol=1e-9
    )


def test_of_other_parts_nothing_changes():
    there, of = measured(2000, 6, 0.5, error=0.2)
    amplitude = of.amplitude.copy()
    amplitude[:, 2] += 1 - there[:, 2]  # always there
    found = find_composition(ImageAmplitudes(of.names, amplitude, of.covariance), "abc")
    third = fit_presence(amplitude[:, 2], of.variance[:, 2])
    assert [p.change for p in found.parts] == [
        "present or absent", "present or absent", "always there",
    ]  # fmt: skip
    np.testing.assert_array_equal(found.parts[2].probability, third.probability)
    for k in (0, 1):
        alone = fit_presence(of.amplitude[:, k], of.variance[:, k])
        assert found.parts[k].occupancy == alone.occupancy
        assert (found.parts[k].probability != alone.probability).any()
