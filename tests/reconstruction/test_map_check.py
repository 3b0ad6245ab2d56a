"""A model that lacks what the particles' own map has is told from one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.gaussians.model import GaussianModel
from cryoparts.pipeline.input_checks import map_problems
from cryoparts.reconstruction.map_check import FEWEST, MapCheck, check_map
from toy_particles import Blobs, random_blobs, toy_particles

BOX, PIXEL, COUNT = 48, 4.0, 800
ROWS = np.arange(COUNT)


def model(blobs: Blobs, *, width: float | None = None, kept=slice(None)) -> GaussianModel:
    positions = blobs.positions[kept].astype(np.float32)
    return GaussianModel(
        positions,
        blobs.amplitudes[kept].astype(np.float32),
        np.full(len(positions), width or blobs.width, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def blobs():
    return random_blobs(1, count=120, width=4.0)


@pytest.fixture(scope="module")
def noisy(blobs):
    return toy_particles(blobs, COUNT, BOX, PIXEL, noise=2.0)


def test_the_true_model_has_what_the_particles_have(blobs, noisy):
    found = check_map(noisy, model(blobs), ROWS)
    assert found is not None
    assert 0.6 < found.fades < 1.5
    assert found.outside < 0.02
    assert found.resolution_angstrom < 15
    assert map_problems(found) == []


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_unit_of_the_model_does_not_matter(blobs, noisy, scale):
    true = model(blobs)
    scaled = replace(true, amplitudes=np.float32(scale) * true.amplitudes)
    ours, theirs = check_map(noisy, true, ROWS), check_map(noisy, scaled, ROWS)
    assert ours is not None
    assert theirs is not None
    assert theirs.fades == pytest.approx(ours.fades, rel=1e-3)
    assert theirs.outside == pytest.approx(ours.outside, abs=1e-3)


def test_a_model_that_was_filtered_fades(blobs, noisy):
    found = check_map(noisy, model(blobs, width=10.0), ROWS)
    assert found is not None
    assert found.fades > 4.0
    (problem,) = map_problems(found)
    assert "times weaker" in problem.line
    assert "filtered" in problem.line


def test_a_part_that_was_cut_off_lies_outside(blobs, noisy):
    kept = blobs.positions[:, 0] < np.quantile(blobs.positions[:, 0], 0.75)
    found = check_map(noisy, model(blobs, kept=kept), ROWS)
    assert found is not None
    assert found.outside > 0.08
    assert found.fades < 2.0
    (problem,) = map_problems(found)
    assert f"{100 * found.outside:.0f}%" in problem.line
    assert "mask" in problem.line


def test_nothing_is_said_of_what_cannot_be_told(blobs, noisy):
    assert check_map(noisy, model(blobs), ROWS[: FEWEST - 1]) is None
    assert (
        check_map(toy_particles(blobs, 120, BOX, PIXEL, noise=60.0), model(blobs), ROWS[:120])
        is None
    )
    dark = replace(noisy, data=-noisy.data)
    assert check_map(dark, model(blobs), ROWS) is None


def test_both_can_be_wrong():
    assert len(map_problems(MapCheck(12.0, 5.0, 0.2))) == 2
