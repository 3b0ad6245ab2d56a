"""Refined poses, written for other programs and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.pose_change import FINAL, PoseChange, PoseSpread, pose_change_path
from cryoparts.pipeline import export_refined_poses
from cryoparts.run.run import Run
from resting_run import PARTICLES, make_resting_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return make_resting_run(tmp_path_factory.mktemp("refined") / "made")


def test_the_file_has_the_refined_poses_and_everything_else_as_it_was(run, tmp_path):
    random = np.random.default_rng(0)
    change = PoseChange(
        0.03 * random.normal(size=(PARTICLES, 3)),
        2.0 * random.normal(size=(PARTICLES, 2)),
        PoseSpread(0.03, 2.0),
    )
    path = pose_change_path(run.directory.particles_path, FINAL)
    change.save(path)
    try:
        opened = Run.open(run.root)
        (file,) = export_refined_poses(opened, tmp_path / "out")
        given = read_particles(Path(run.config.particles))
        written = read_particles(file, datadir=Path(run.config.particles).parent)
        assert written.names.tolist() == given.names.tolist()
        expected = opened.particles.poses
        np.testing.assert_allclose(written.poses.rotation, expected.rotation, atol=1e-6)
        np.testing.assert_allclose(written.poses.shift_angstrom, expected.shift_angstrom, atol=1e-4)
        assert np.abs(written.poses.shift_angstrom - given.poses.shift_angstrom).max() > 1.0
        for name in ("defocus_u_angstrom", "phase_shift_degrees", "amplitude_contrast"):
            assert np.array_equal(getattr(written.ctf, name), getattr(given.ctf, name)), name
    finally:
        path.unlink()


def test_poses_that_stayed_as_given_are_not_written_again(run, tmp_path):
    with pytest.raises(InputError, match="no poses were refined"):
        export_refined_poses(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
