"""A model that lies elsewhere than the particles show it is recognised; the right place is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.geometry import AS_GIVEN, check_geometry, frc_of_rows
from cryoparts.image_model.losses import Band
from cryoparts.image_model.shift_check import check_shift
from cryoparts.particle_files.mending import Mending

BAND = Band(1, 10)


@pytest.fixture
def model(example) -> GaussianModel:
    return GaussianModel.load(example.run.gaussians_path)


def moved(model: GaussianModel, by: list[float]) -> GaussianModel:
    return replace(model, positions=model.positions + np.float32(by))


def test_the_right_place_is_left_alone_and_its_frc_is_the_mean_frc(particles, model):
    found = check_shift(particles, model, BAND)
    assert not found.clear
    assert np.linalg.norm(found.shift_angstrom) < 0.5 * particles.pixel_size_angstrom
    rows = np.arange(len(particles))
    frc = frc_of_rows(model, particles.poses, particles, BAND, rows).mean()
    assert found.frc == pytest.approx(frc, abs=1e-5)


def test_another_place_is_found_and_the_option_mends_it(particles, model):
    pixel = particles.pixel_size_angstrom
    away = [1.6 * pixel, -0.8 * pixel, 2.2 * pixel]
    found = check_shift(particles, moved(model, away), BAND)
    assert found.clear
    right = check_shift(particles, model, BAND)
    back = found.shift_angstrom - right.shift_angstrom
    assert back == pytest.approx(-np.array(away), abs=0.15 * pixel)
    assert found.best_frc == pytest.approx(right.best_frc, rel=0.02)
    x, y, z = found.shift_angstrom.tolist()
    mended = Mending(model_shift_angstrom=(x, y, z)).poses(particles.poses)
    again = check_shift(replace(particles, poses=mended), moved(model, away), BAND)
    assert not again.clear
    assert again.frc == pytest.approx(found.best_frc, rel=0.01)


@pytest.mark.parametrize("axes", ["-x,y,z", "z,y,x", "-y,x,z"])
def test_a_model_with_other_axes_is_seen_and_mended(particles, model, axes):
    mending = Mending(model_axes=axes)
    wrong = replace(model, positions=np.float32(model.positions @ mending.reference))
    check = check_geometry(particles, wrong, BAND)
    assert check.mending == mending
    assert check.clearly_wrong
    mended = replace(particles, poses=mending.poses(particles.poses))
    again = check_geometry(mended, wrong, BAND)
    assert again.best == AS_GIVEN
    assert again.frc[AS_GIVEN] == pytest.approx(check.frc[check.best], abs=1e-5)
