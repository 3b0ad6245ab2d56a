"""A map is better as by so many more particles, also where its half maps agree in all shells."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.at_rest.composite import Region, judge_region
from cryoparts.at_rest.regions import Quality, TimesParticles, Volumes, gained_shells, is_better
from toy_particles import random_blobs

BOX, PIXEL = 32, 3.0
SIGNAL = random_blobs(5, 60, radius=25.0, width=3.0).map(BOX, PIXEL)
MASK = np.ones((BOX, BOX, BOX), dtype=np.float32)


def quality(noise: float, seed: int = 0, signal: np.ndarray = SIGNAL) -> Quality:
    """Of half maps of noise that falls as the signal does: alike in all shells."""
    draws = np.random.default_rng(seed).normal(size=(2, *signal.shape))
    power = np.abs(np.fft.fftn(SIGNAL)) / np.sqrt(SIGNAL.size)
    made = [np.fft.ifftn(np.fft.fftn(one) * power).real for one in draws]
    return Quality.of(volumes_of(signal, noise * np.array(made)), MASK, PIXEL, seed=0)


def volumes_of(signal: np.ndarray, noise: np.ndarray) -> Volumes:
    halves = [(signal + one).astype(np.float32) for one in noise]
    return Volumes(*halves, 0.5 * (halves[0] + halves[1]))


def fourier_blurred(signal: np.ndarray, width: float) -> np.ndarray:
    """The signal after a Gaussian of this width, Å."""
    frequency = np.fft.fftfreq(BOX, PIXEL)
    square = sum(f**2 for f in np.meshgrid(*3 * [frequency], indexing="ij"))
    return np.fft.ifftn(np.fft.fftn(signal) * np.exp(-2 * (np.pi * width) ** 2 * square)).real


@pytest.mark.parametrize("times", [0.5, 2.0, 4.0])
def test_particles_are_counted(times):
    before, after = quality(0.7), quality(0.7 / np.sqrt(times))
    found = TimesParticles.of(before, after)
    assert found.mean == pytest.approx(times, rel=0.15)
    assert found.surely < found.mean


def test_what_agrees_in_all_shells_may_become_better_still():
    before, after = quality(0.25), quality(0.2)
    assert gained_shells(before, after, BOX, PIXEL) < 1
    assert before.shells(BOX, PIXEL) == after.shells(BOX, PIXEL)
    assert is_better(before, after, BOX, PIXEL)
    assert not is_better(after, before, BOX, PIXEL)


def test_other_noise_is_no_better():
    for seed in range(8):
        before, after = quality(0.7, seed), quality(0.7, seed + 100)
        assert not is_better(before, after, BOX, PIXEL)


def test_a_map_is_as_good_as_itself():
    one = quality(0.7)
    assert TimesParticles.of(one, one).mean == 1.0
    assert not is_better(one, one, BOX, PIXEL)


def test_maps_without_signal_tell_nothing():
    before, after = (quality(1.0, seed, 0 * SIGNAL) for seed in (1, 2))
    assert not is_better(before, after, BOX, PIXEL)


def test_what_is_beside_a_part_does_not_judge_it():
    """In the part's own map it is sharp, and its neighbour, half of the mask, is smeared."""
    left = (np.arange(BOX) < BOX // 2).astype(np.float32) * MASK
    right = 1 - left
    smeared = fourier_blurred(SIGNAL, 8.0)
    random = np.random.default_rng(3)
    noise = 0.5 * SIGNAL.std() * random.normal(size=(2, *SIGNAL.shape))
    volumes = {
        kind: volumes_of(sharp * SIGNAL + (1 - sharp) * smeared, noise)
        for kind, sharp in (("consensus", right), ("rigid", left))
    }
    for share, kept in ((left, "rigid"), (right, "consensus")):
        judged = judge_region(Region("part_1", "", MASK, share), volumes, PIXEL, 100.0, seed=0)
        assert judged.kept == kept
        assert (judged.times_particles > 1.1) == (kept == "rigid")
