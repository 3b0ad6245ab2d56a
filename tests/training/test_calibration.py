from __future__ import annotations

import numpy as np
import torch

from cryoparts.training.calibration import own_levels, reference_gaussians, scale_of_particles


def test_what_never_changes_sets_the_scale():
    random = np.random.default_rng(0)
    present = random.random((500, 4)) < 0.5
    present[:, 0] = True
    segment = np.repeat(np.arange(4), 25)
    drift = random.uniform(0.6, 1.6, (500, 1))
    noise = 1 + 0.05 * random.normal(size=(500, 100))
    amplitudes = (drift * noise * np.where(present[:, segment], 1.0, 0.15)).astype(np.float32)
    reference = reference_gaussians(amplitudes)
    assert np.array_equal(reference, segment == 0)
    scale = scale_of_particles(torch.as_tensor(amplitudes), reference).numpy()
    assert np.abs(scale / drift[:, 0] - 1).max() < 0.1


def test_what_is_never_there_sets_no_scale():
    amplitudes = np.random.default_rng(1).uniform(0.8, 1.2, (200, 50)).astype(np.float32)
    amplitudes[:, :20] = 0.003
    assert np.array_equal(reference_gaussians(amplitudes), np.arange(50) >= 20)


def test_a_single_gaussian_is_its_own_reference():
    assert reference_gaussians(np.ones((3, 1), dtype=np.float32)).tolist() == [True]


def test_being_there_is_1_whatever_mass_a_gaussian_has():
    random = np.random.default_rng(2)
    mass = random.uniform(0.5, 1.5, 60)
    occupancy = np.repeat([1.0, 0.5, 0.2], 20)
    present = random.random((4000, 60)) < occupancy
    noise = 1 + 0.05 * random.normal(size=present.shape)
    amplitudes = (mass * noise * np.where(present, 1.0, 0.1)).astype(np.float32)
    np.testing.assert_allclose(own_levels(amplitudes), mass, rtol=0.02)


def test_what_is_never_there_is_not_blown_up():
    amplitudes = np.abs(np.random.default_rng(3).normal(0, 0.02, (500, 5))).astype(np.float32)
    assert (amplitudes / own_levels(amplitudes)).max() < 0.5
