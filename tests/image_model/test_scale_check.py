"""A model of another size than the particles show is recognised; the right size is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.losses import Band
from cryoparts.image_model.scale_check import check_scale
from cryoparts.pipeline.input_checks import map_size_problem, scale_problem

BAND = Band(1, 10)


@pytest.fixture
def model(example) -> GaussianModel:
    return GaussianModel.load(example.run.gaussians_path)


def test_the_right_size_is_left_alone(particles, model):
    found = check_scale(particles, model, BAND)
    assert found.factor == 1.0
    assert not found.clear
    assert found.best_frc == found.frc


@pytest.mark.parametrize(("wrong", "factor"), [(1 / 1.05, 1.05), (1 / 0.93, 0.93)])
def test_another_size_is_seen_and_the_pixel_size_follows(
    particles, model, wrong, factor, tmp_path, table_maker
):
    sized = replace(model, positions=model.positions * np.float32(wrong))
    found = check_scale(particles, sized, BAND)
    assert found.factor == factor
    assert found.clear
    table = table_maker(tmp_path / "s.mrcs", pixel=2.0)
    finding = scale_problem(found, table)
    assert f"--pixel-size {2.0 / factor:.4g}" in finding.cure
    assert ("larger" if factor > 1 else "smaller") in finding.rule


def test_sides_of_map_and_particles_are_compared(tmp_path, table_maker):
    table = table_maker(tmp_path / "s.mrcs", 4, 64, 2.5)
    assert map_size_problem((64, 64, 64), 2.5, table) is None
    assert map_size_problem((128, 128, 128), 1.25, table) is None  # finer voxels, one side
    voxel = map_size_problem((64, 64, 64), 1.0, table)
    assert "side 64 Å (64 voxels of 1 Å, 64 pixels of 2.5 Å in the particles)" in voxel.line
    assert "--model-pixel-size 2.5" in voxel.cure
    assert "cropped or padded" in map_size_problem((48, 48, 48), 2.5, table).cure


def test_a_coarse_model_is_not_called_too_small(particles, model):
    # a model of wide Gaussians, whose centres lie within what they stand for
    wide = replace(model, widths=model.widths * np.float32(3))
    sized = replace(wide, positions=wide.positions * np.float32(1 / 1.05))
    assert not check_scale(particles, sized, BAND).clear


def test_few_particles_tell_no_size(particles, model, monkeypatch):
    monkeypatch.setattr("cryoparts.image_model.geometry.SAMPLE", 2)
    sized = replace(model, positions=model.positions * np.float32(1 / 1.05))
    assert not check_scale(particles, sized, BAND).clear
