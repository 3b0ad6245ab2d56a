"""Several sets of particles are reconstructed from one reading of the images."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from cryoparts.reconstruction.backprojection import Chosen, sums_bytes
from cryoparts.reconstruction.half_maps import gather_half_sums
from cryoparts.reconstruction.insertion import FourierSums
from cryoparts.reconstruction.passes import images_read, passes_over
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
def sets():
    """Two, three and two states of three parts, and two windows that overlap."""
    rng = np.random.default_rng(0)
    states = [rng.integers(0, count, COUNT) for count in (2, 3, 2)]
    parts = [[Chosen(np.flatnonzero(s == k)) for k in range(s.max() + 1)] for s in states]
    window = np.linspace(0.1, 1, 60)
    return [*parts, [Chosen(np.arange(low, low + 60), window) for low in (0, 30)]]


def gather_half_maps(*given, **options):
    return (sums.maps() for sums in gather_half_sums(*given, **options))


def inserted_alone(particles, sets):
    return [next(gather_half_maps(particles, [[group]])) for groups in sets for group in groups]


def alike(one, other):
    """But for the rounding of sums in single precision."""
    for name in ("half1", "half2", "unfiltered"):
        expected = getattr(other, name)
        np.testing.assert_allclose(getattr(one, name), expected, atol=2e-5 * expected.std())
    assert one.n_in_halves == other.n_in_halves
    assert one.effective_particles == other.effective_particles


def test_one_pass_over_many_groups_is_as_good_as_one_each(particles, sets):
    together = list(gather_half_maps(particles, sets))
    assert particles.read == Counter(range(COUNT))
    for one, other in zip(together, inserted_alone(particles, sets), strict=True):
        alike(one, other)
    # the windows divide nothing: they are the very sums
    np.testing.assert_array_equal(
        together[-1].half1, next(gather_half_maps(particles, [sets[-1][-1:]])).half1
    )


def test_what_is_not_divided_alike_is_inserted(particles, sets):
    """Unknown halves are dealt group by group, and a lone part has nothing to save."""
    inserted = [len(p.inserted) for p in passes_over(particles, sets, 2, math.inf)]
    assert inserted == [1 + 1 + 2 + 1 + 2]
    alone = [sets[0]], [sets[0], sets[1][:2]], [sets[0], [*sets[1], sets[1][0]]]
    for some in alone:
        (one,) = passes_over(particles, some, 2, math.inf)
        assert one.whole is None
    unknown = replace(particles, half_set=np.zeros(COUNT, np.int8))
    (one,) = passes_over(unknown, sets, 2, math.inf)
    assert one.whole is None
    made = list(gather_half_maps(unknown, sets))
    for a, b in zip(made, inserted_alone(unknown, sets), strict=True):
        np.testing.assert_array_equal(a.half1, b.half1)


@pytest.mark.parametrize(("room", "passes"), [(1, 9), (2, 5), (3, 4), (4, 2), (100, 1)])
def test_memory_bounds_what_is_made_at_once(particles, sets, room, passes, monkeypatch):
    expected = inserted_alone(particles, sets)
    particles.read.clear()
    made, empty = [], FourierSums.empty

    def counted(box):
        made.append(box)
        return empty(box)

    monkeypatch.setattr(FourierSums, "empty", counted)
    limit = (room + 0.5) * 2 * sums_bytes(BOX, 2)
    planned = passes_over(particles, sets, 2, limit)
    assert len(planned) == passes
    assert max(len(one.inserted) for one in planned) <= room
    done: list[int] = []
    found = list(gather_half_maps(particles, sets, most_bytes=limit, progress=done.append))
    for one, other in zip(found, expected, strict=True):
        alike(one, other)
    assert len(made) == 2 * sum(len(one.inserted) for one in planned)
    assert sum(done) == particles.read.total() == images_read(particles, sets, 2, limit)
    # the states of a part share no image: cut apart they are read no more often
    assert max(particles.read.values()) <= len(sets) + 1


def test_sums_take_the_memory_that_is_reckoned_with():
    sums = FourierSums.empty(2 * BOX)
    assert sums_bytes(BOX, 2) == sums.numerator.nbytes + sums.weight.nbytes


def test_more_threads_change_rounding_only(particles, sets):
    one = list(gather_half_maps(particles, sets))
    for threads in (3, 40):
        for a, b in zip(one, gather_half_maps(particles, sets, threads=threads), strict=True):
            alike(a, b)
