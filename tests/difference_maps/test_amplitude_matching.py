from __future__ import annotations

import numpy as np
import pytest

from cryoparts.difference_maps.amplitude_matching import radial_scale
from cryoparts.imaging.soft_mask import soft_sphere
from cryoparts.reconstruction.fourier_filters import by_shell, filtered
from cryoparts.reconstruction.fsc import shell_frequencies
from toy_particles import random_blobs

BOX, PIXEL = 40, 4.0
EVERYWHERE = soft_sphere(BOX, 17)


def noisy(density: np.ndarray, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map, and a sample of its noise."""
    rng = np.random.default_rng(seed)
    size = noise * density.std()
    return (
        density + size * rng.normal(size=density.shape),
        size * rng.normal(size=density.shape),
    )


def test_gain_and_decay_are_found_shell_by_shell_despite_noise():
    density = random_blobs(0, width=4.0).map(BOX, PIXEL)
    decay = 0.6 * np.exp(-300 * shell_frequencies(BOX, PIXEL) ** 2 / 4)
    first, first_error = noisy(density, 0.1, 1)
    second, second_error = noisy(filtered(density, by_shell(decay, BOX)), 0.3, 2)
    found = radial_scale(first, second, first_error, second_error, EVERYWHERE)
    np.testing.assert_allclose(found[2:12], 1 / decay[2:12], rtol=0.12)


def test_a_part_outside_the_region_does_not_count():
    blobs = random_blobs(3, width=5.0)
    density = blobs.map(BOX, PIXEL)
    lacking = density.copy()
    right = np.zeros((BOX,) * 3)
    right[:, :, BOX // 2 :] = 1
    lacking *= 1 - right
    nothing = np.zeros_like(density)
    left_only = EVERYWHERE * (1 - np.roll(right, -3, axis=2))
    left_only[:, :, -6:] = 0
    found = radial_scale(density, lacking, nothing, nothing, left_only)
    np.testing.assert_allclose(found[1:10], 1, atol=0.02)
    assert radial_scale(density, lacking, nothing, nothing, EVERYWHERE)[1:10].mean() > 1.1


def test_noise_alone_gives_no_factor():
    nothing = np.zeros((BOX,) * 3)
    _, error = noisy(random_blobs(0).map(BOX, PIXEL), 1.0, 5)
    np.testing.assert_array_equal(radial_scale(nothing, nothing, error, error, EVERYWHERE), 1)
    assert radial_scale(error, error, error, error, EVERYWHERE) == pytest.approx(1)
