"""How often pure chance is taken for coordination, over many data sets of independent parts."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from scipy.stats import binom

from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes

LEVEL = 0.05
PARTS = 5


def compatible(found, number, level=LEVEL):
    """Fewer than chance gives at this level in all but one of a thousand tests of this kind."""
    return found <= binom.ppf(0.999, number, level)


def judged(presence, rng):
    """Pairs of parts measured with errors that neighbouring parts share, as overlap makes them."""
    count, parts = presence.shape
    error = 0.3 * np.eye(parts)
    error[1:] += 0.15 * np.eye(parts)[:-1]
    measured = ImageAmplitudes(
        np.arange(count).astype(np.str_),
        presence + rng.normal(size=presence.shape) @ error.T,
        np.tile(error @ error.T, (count, 1, 1)),
    )
    found = find_composition(measured, [f"part_{k + 1}" for k in range(parts)])
    signals = [PartSignal(k, "presence", found.parts[k - 1].probability) for k in found.optional]
    return find_coordination(signals, np.zeros(count, dtype=np.int64), found, permutations=99)


def of_every_kind(rng, count=240):
    """Independent angles, coordinates and states, some of them skewed, in strata of views."""
    values = rng.normal(size=(3, count))
    signals = [
        PartSignal(1, "angle", values[0]),
        PartSignal(2, "coordinate", np.exp(values[1])),
        PartSignal(3, "coordinate", rng.random(count)),
        PartSignal(4, "state", rng.integers(1, 4, count).astype(np.float64)),
        PartSignal(5, "angle", 10 * values[2] + 3),
    ]
    strata = np.arange(count) // 60
    return find_coordination(signals, strata, permutations=99, seed=int(rng.integers(1000)))


def rates(families):
    """Pairs and families of pairs that chance has made something of."""
    pairs = [pair for family in families for pair in family]
    return {
        "pairs": len(pairs),
        "dependent": sum(pair.p_permutation < LEVEL for pair in pairs),
        # corrected for the pairs of its family, whatever leaks
        "families": sum(any(pair.verdict != "no sign" for pair in f) for f in families),
        "coordinated": sum(any(pair.is_coordinated for pair in f) for f in families),
    }


SEEDS = range(4)


@pytest.fixture(scope="module")
def changing():
    """Pairs of parts that change independently, 10 in each of 15 data sets a seed."""
    return [[of_every_kind(rng) for _ in range(15)] for rng in map(np.random.default_rng, SEEDS)]


@pytest.fixture(scope="module")
def optional():
    """Pairs of parts that come and go independently, up to 10 in each of 8 data sets a seed."""
    return [
        [judged(rng.random((250, PARTS)) < rng.uniform(0.3, 0.7, PARTS), rng) for _ in range(8)]
        for rng in map(np.random.default_rng, SEEDS)
    ]


@pytest.mark.parametrize("families", ["changing", "optional"])
def test_chance_is_taken_for_coordination_no_more_often_than_at_the_level(families, request):
    of_seed = request.getfixturevalue(families)
    for some in [*of_seed, list(chain(*of_seed))]:
        found = rates(some)
        assert found["pairs"] > 8 * len(some)
        assert compatible(found["dependent"], found["pairs"])
        assert compatible(found["families"], len(some))
        assert compatible(found["coordinated"], len(some))
    # nor so seldom that the test would find nothing either
    assert found["dependent"] >= binom.ppf(0.001, found["pairs"], 0.5 * LEVEL)


def test_the_correction_is_what_keeps_families_at_their_level(changing):
    """Without it a family of ten pairs would show something in two of five data sets."""
    families = list(chain(*changing))
    uncorrected = sum(any(pair.p_permutation < LEVEL for pair in f) for f in families)
    assert compatible(rates(families)["families"], len(families))
    assert not compatible(uncorrected, len(families))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coupled_pairs_are_found_among_the_independent_ones(seed):
    rng = np.random.default_rng(20 + seed)
    presence = rng.random((400, PARTS)) < 0.5
    presence[:, 3] = np.where(rng.random(400) < 0.8, presence[:, 1], ~presence[:, 1])
    assert [(p.a, p.b) for p in judged(presence, rng) if p.is_coordinated] == [(2, 4)]
    angles = rng.normal(size=(PARTS, 400))
    angles[4] = 0.6 * angles[0] + 0.8 * angles[4]
    signals = [PartSignal(k, "angle", values) for k, values in enumerate(angles, start=1)]
    pairs = find_coordination(signals, np.arange(400) // 100, permutations=99)
    assert [(p.a, p.b) for p in pairs if p.is_coordinated] == [(1, 5)]
