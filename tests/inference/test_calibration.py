from __future__ import annotations

import numpy as np
import torch

from cryoparts.inference.calibration import (
    own_levels,
    reference_gaussians,
    scale_of_particles,
    sums_where_there,
)


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


def relative(amplitudes):
    return own_levels(amplitudes).relative(torch.as_tensor(amplitudes)).numpy()


def test_being_there_is_1_and_being_away_0_whatever_mass_a_gaussian_has():
    random = np.random.default_rng(2)
    mass = random.uniform(0.5, 1.5, 60)
    left = random.uniform(0.0, 0.3, 60)
    occupancy = np.repeat([1.0, 0.5, 0.2], 20)
    present = random.random((4000, 60)) < occupancy
    noise = 1 + 0.05 * random.normal(size=present.shape)
    amplitudes = (mass * noise * np.where(present, 1.0, left)).astype(np.float32)
    levels = own_levels(amplitudes)
    np.testing.assert_allclose(levels.present, mass, rtol=0.02)
    np.testing.assert_allclose(levels.absent[20:], (mass * left)[20:], atol=0.02)
    assert (levels.absent[:20] == 0).all()
    for there in (True, False):
        found = np.where(present == there, relative(amplitudes), np.nan)[:, 20:]
        assert np.abs(np.nanmean(found, axis=0) - there).max() < 0.02


def test_what_fades_gradually_keeps_its_zero():
    amplitudes = np.random.default_rng(5).uniform(0.0, 1.0, (4000, 30)) ** 0.8
    assert (own_levels(amplitudes.astype(np.float32)).absent == 0).all()


def test_noise_about_one_level_is_no_second_level():
    amplitudes = np.random.default_rng(6).normal(1.0, 0.4, (4000, 30)).astype(np.float32)
    assert (own_levels(amplitudes).absent == 0).all()


def test_half_of_what_is_there_is_not_away():
    random = np.random.default_rng(7)
    amplitudes = np.where(random.random((2000, 20)) < 0.5, 1.0, 0.6)
    levels = own_levels((amplitudes + 0.01 * random.normal(size=amplitudes.shape)).astype("f4"))
    assert (levels.absent == 0).all()


def test_levels_of_many_gaussians_are_those_of_each_alone():
    random = np.random.default_rng(8)
    amplitudes = np.where(random.random((50, 1030)) < 0.5, 1.0, 0.1).astype(np.float32)
    together, last = own_levels(amplitudes), own_levels(amplitudes[:, -3:])
    np.testing.assert_array_equal(together.absent[-3:], last.absent)
    np.testing.assert_array_equal(together.present[-3:], last.present)


def test_what_is_never_there_is_not_blown_up():
    amplitudes = np.abs(np.random.default_rng(3).normal(0, 0.02, (500, 5))).astype(np.float32)
    assert relative(amplitudes).max() < 0.5


def test_one_particle_has_levels_too():
    assert relative(np.ones((1, 4), dtype=np.float32)).tolist() == [[1.0] * 4]


def test_where_a_gaussian_is_away_its_displacement_moves_no_mean():
    random = np.random.default_rng(3)
    there = torch.as_tensor(random.random((400, 5)) < [1.0, 0.7, 0.5, 0.3, 0.1]).float()
    own = torch.as_tensor(random.normal(2.0, 1.0, (400, 5, 3))).float()
    stray = torch.as_tensor(random.normal(-40.0, 1.0, (400, 5, 3))).float()

    def mean(displacements, amplitude):
        total, weight = sums_where_there(displacements, amplitude)
        return (total / weight).numpy()

    means = [
        mean(there[..., None] * own + (1 - there)[..., None] * away, there)
        for away in (stray, 0 * stray)
    ]
    assert np.abs(means[0] - means[1]).max() < 0.5
    assert np.abs(means[1] - 2.0).max() < 0.7
    np.testing.assert_allclose(mean(own, None), own.mean(dim=0), atol=1e-5)
