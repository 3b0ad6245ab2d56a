from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cryoparts.difference_maps.significance import critical_z, noise_level
from cryoparts.imaging.soft_mask import soft_sphere

BOX = 40
INSIDE = soft_sphere(BOX, 16) > 0.5


def smooth_noise(rng: np.random.Generator) -> np.ndarray:
    """Correlated over neighbours, of unit variance, like the noise of a filtered map."""
    noise = gaussian_filter(rng.normal(size=(BOX,) * 3), 1.0)
    return noise / noise.std()


def test_local_noise_follows_where_it_is_strong():
    rng = np.random.default_rng(0)
    strength = np.where(np.arange(BOX) < BOX // 2, 1.0, 3.0)
    level = noise_level([strength * smooth_noise(rng)], INSIDE, kernel_pixels=4)
    middle = level[BOX // 2, BOX // 2]
    assert middle[8] == pytest.approx(1.0, rel=0.2)
    assert middle[-9] == pytest.approx(3.0, rel=0.2)
    flat = noise_level([strength * smooth_noise(rng)], INSIDE, kind="global", kernel_pixels=4)
    assert np.ptp(flat) == 0
    assert flat[0, 0, 0] == pytest.approx(np.sqrt(5), rel=0.1)


def test_noise_of_two_maps_adds_as_variance():
    rng = np.random.default_rng(1)
    one, two = smooth_noise(rng), smooth_noise(rng)
    both = noise_level([3 * one, 4 * two], INSIDE, kind="global", kernel_pixels=4)
    assert both[0, 0, 0] == pytest.approx(5.0, rel=0.1)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_noise_alone_is_hardly_ever_significant(seed):
    z = smooth_noise(np.random.default_rng(seed))
    assert (np.abs(z[INSIDE]) >= critical_z(z, INSIDE, 0.01)).mean() < 0.001


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_the_false_discovery_rate_is_kept(rate):
    shifted = np.zeros((BOX,) * 3)
    shifted[14:22, 14:22, 14:22] = 4.0
    false, found = 0, 0
    for seed in range(12):
        z = shifted + np.random.default_rng(seed).normal(size=shifted.shape)
        chosen = INSIDE & (np.abs(z) >= critical_z(z, INSIDE, rate))
        false += int((chosen & (shifted == 0)).sum())
        found += int(chosen.sum())
    assert false / found == pytest.approx(rate, rel=0.3)
    assert found > 12 * 8**3 / 2


def test_nothing_to_test():
    assert critical_z(np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool), 0.01) == float("inf")
    assert critical_z(np.zeros((4, 4, 4)), np.ones((4, 4, 4), bool), 0.01) == float("inf")
