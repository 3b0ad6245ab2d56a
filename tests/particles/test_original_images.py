"""The particles' own images read again are those that `prepare` would have made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.config import PreprocessingConfig
from cryoparts.errors import InputError
from cryoparts.particles.original_images import OriginalImages
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare

COUNT = 9


@pytest.fixture
def run(tmp_path, simulate):
    particles = ParticleSet(simulate(tmp_path, COUNT))
    config = PreprocessingConfig(box_size=32, contrast="dark")
    return particles, prepare(particles, tmp_path / "working", config), config, tmp_path


@pytest.mark.parametrize("box", [32, 48, None])
def test_images_are_as_prepared_at_that_box(run, box):
    particles, prepared, config, folder = run
    source = OriginalImages.of(particles, prepared, config, box_size=box)
    whole = prepare(particles, folder / "again", replace(config, box_size=box or 64))
    assert source.box_size == whole.box_size
    assert source.pixel_size_angstrom == pytest.approx(whole.pixel_size_angstrom)
    rows = np.array([4, 0, 8, 4])
    np.testing.assert_array_equal(source.images(rows).numpy(), whole.images(rows).numpy())
    np.testing.assert_array_equal(source.half_set, prepared.half_set)


def test_rows_are_joined_by_name(run):
    """The particle file may have more particles, in another order."""
    particles, prepared, config, _ = run
    source = OriginalImages.of(particles, prepared, config)
    order = np.random.default_rng(0).permutation(COUNT)
    again = OriginalImages.of(particles.take(order), prepared, config)
    np.testing.assert_array_equal(again.images([1, 5]).numpy(), source.images([1, 5]).numpy())
    with pytest.raises(InputError, match="are not in it"):
        OriginalImages.of(particles.take(order[:4]), prepared, config)


def test_a_pixel_size_chooses_the_box(run):
    particles, prepared, config, _ = run
    source = OriginalImages.of(particles, prepared, config, pixel_size_angstrom=3.2)
    assert source.box_size == 40
    assert source.pixel_size_angstrom == pytest.approx(3.2)


@pytest.mark.parametrize(
    ("option", "value"), [("box_size", 66), ("box_size", 33), ("pixel_size_angstrom", 1.0)]
)
def test_no_finer_than_the_particles(run, option, value):
    particles, prepared, config, _ = run
    with pytest.raises(InputError, match="own 64"):
        OriginalImages.of(particles, prepared, config, **{option: value})
