"""Several sets of particles are reconstructed from one reading of the images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from cryoparts.reconstruction.backprojection import Chosen, sums_bytes
from cryoparts.reconstruction.half_maps import gather_half_maps, images_read
from cryoparts.reconstruction.insertion import FourierSums
from toy_particles import ToyParticles, random_blobs, toy_particles

BOX, COUNT = 16, 90


@dataclass(frozen=True)
class Counted(ToyParticles):
    """Toy particles that count how often each image is read."""

    read: Counter = field(default_factory=Counter)

    def images(self, indices):
        self.read.update(np.asarray(indices).tolist())
        return super().images(indices)


@pytest.fixture
def particles():
    made = toy_particles(random_blobs(2, 10), COUNT, BOX, 8.0, noise=1.0)
    return Counted(**made.__dict__)


@pytest.fixture
def groups():
    """Two, three and two states of three parts, and windows that overlap."""
    rng = np.random.default_rng(0)
    states = [rng.integers(0, count, COUNT) for count in (2, 3, 2)]
    parts = [[np.flatnonzero(state == k) for k in range(state.max() + 1)] for state in states]
    chosen = [Chosen(rows) for part in parts for rows in part]
    for low in (0, 30):
        rows = np.arange(low, low + 60)
        chosen.append(Chosen(rows, np.linspace(0.1, 1, 60)))
    return chosen


def alike(one, other):
    for name in ("half1", "half2"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.whole.numerator, other.whole.numerator)
    np.testing.assert_array_equal(one.whole.weight, other.whole.weight)
    assert one.n_in_halves == other.n_in_halves
    assert one.effective_particles == other.effective_particles


def test_one_pass_over_many_groups_is_as_good_as_one_each(particles, groups):
    together = list(gather_half_maps(particles, groups))
    assert set(particles.read) == set(range(COUNT))
    assert set(particles.read.values()) == {1}
    assert len(together) == len(groups)
    for group, half_maps in zip(groups, together, strict=True):
        (alone,) = gather_half_maps(particles, [group])
        alike(half_maps, alone)


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_memory_bounds_what_is_made_at_once(particles, groups, at_once, monkeypatch):
    together = list(gather_half_maps(particles, groups))
    particles.read.clear()
    held, most, empty = [], [], FourierSums.empty

    def counted(box):
        held.append(box)
        return empty(box)

    monkeypatch.setattr(FourierSums, "empty", counted)
    limit = (at_once + 0.5) * 2 * sums_bytes(BOX, 2)
    done: list[int] = []
    for one in gather_half_maps(particles, groups, most_bytes=limit, progress=done.append):
        most.append(len(held))
        alike(one, together[len(most) - 1])
    assert most[0] == 2 * min(at_once, len(groups))
    assert sum(done) == particles.read.total() == images_read(particles, groups, 2, limit)
    # the states of a part share no image: cut apart they are read no more often
    assert max(particles.read.values()) <= (1 if at_once == 100 else 5)


def test_sums_take_the_memory_that_is_reckoned_with():
    sums = FourierSums.empty(2 * BOX)
    assert sums_bytes(BOX, 2) == sums.numerator.nbytes + sums.weight.nbytes


def test_more_threads_change_rounding_only(particles, groups):
    one = list(gather_half_maps(particles, groups))
    for threads in (3, 2 * len(groups) + 3):
        for a, b in zip(one, gather_half_maps(particles, groups, threads=threads), strict=True):
            scale = np.abs(a.half1).max()
            np.testing.assert_allclose(a.half1, b.half1, atol=1e-5 * scale)
            np.testing.assert_allclose(a.half2, b.half2, atol=1e-5 * scale)
