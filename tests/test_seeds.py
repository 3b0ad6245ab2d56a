"""One seed a purpose: no two share a stream, and none depends on another."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.particles.half_sets import assign_half_sets
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.statistics.trusted import choose_sample
from cryoparts.training.setup import SPLIT_OWN_SEED, prepare_training, run_split
from cryoparts.training.split import split_particles
from training_example import QUICK


@pytest.mark.parametrize("count", [20_000, 131_899])
def test_parts_are_not_found_on_the_held_out_particles(count):
    split = split_particles(np.ones(count, dtype=np.int8), None, 0.1, 0)
    sample = choose_sample(count, 2000, 0)
    shared = len(np.intersect1d(split.held_out, sample))
    expected = len(split.held_out) * 2000 / count  # hypergeometric, variance below this
    assert abs(shared - expected) < 5 * np.sqrt(expected)


def test_no_two_purposes_seeds_or_repeats_share_a_stream():
    asked = [(s, p, *n) for s in range(5) for p in Purpose for n in ((), (0,), (1,), (2,))]
    assert len({seed_for(*one) for one in asked}) == len(asked)
    first = {random_for(*one).integers(2**63) for one in asked}
    assert len(first) == len(asked)


def test_a_stream_is_the_same_on_every_machine_and_day():
    assert seed_for(0, Purpose.HELD_OUT) == seed_for(0, Purpose.HELD_OUT)
    assert random_for(3, Purpose.WEIGHTS, 2).random() == random_for(3, Purpose.WEIGHTS, 2).random()
    assert seed_for(0, Purpose.HELD_OUT) == 1436749412


def test_a_training_of_an_older_version_keeps_what_it_held_out(example):
    run = example.run
    particles = PreparedParticles.open(run.particles_path)
    fresh = prepare_training(run, QUICK).split
    np.testing.assert_array_equal(run_split(particles, QUICK).held_out, fresh.held_out)
    (run.particles_path / SPLIT_OWN_SEED).unlink()
    old = run_split(particles, QUICK).held_out
    expected = np.random.default_rng(QUICK.seed).choice(len(particles), len(old), replace=False)
    np.testing.assert_array_equal(old, np.sort(expected))


def test_the_seed_draws_the_half_sets_and_those_of_the_file_stay():
    none, some = np.zeros(500, dtype=np.int8), (1 + np.arange(500) % 2).astype(np.int8)
    assert (assign_half_sets(none, 0).half != assign_half_sets(none, 1).half).any()
    np.testing.assert_array_equal(assign_half_sets(some, 1).half, some)
