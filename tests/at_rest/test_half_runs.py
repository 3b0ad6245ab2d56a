"""Parts of two halves are matched, and each half's particles move as their own run says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from cryoparts.at_rest.half_runs import (
    HalfRuns,
    bodies_of_halves,
    keep_apart,
    matched_parts,
    poses_of_halves,
    weight_of_halves,
)
from cryoparts.at_rest.run_bodies import run_bodies
from cryoparts.config import TrainingConfig
from cryoparts.config.steps import AtRestOptions
from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.inference.decode import particle_probability
from cryoparts.motion.motion_files import read_rigid_motion
from cryoparts.pipeline.maps import at_rest as step
from cryoparts.pipeline.maps.halves import train_halves
from cryoparts.run.run import Run
from resting_run import PARTICLES, make_resting_run

FIRST = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3])


def test_parts_are_matched_one_to_one_by_their_gaussians():
    renamed = np.array([0, 0, 3, 3, 3, 1, 1, 1, 2, 2])
    assert matched_parts(FIRST, renamed) == {1: 3, 2: 1, 3: 2}
    assert matched_parts(FIRST, FIRST) == {1: 1, 2: 2, 3: 3}


def test_what_hardly_overlaps_is_another_part():
    split = np.array([0, 0, 1, 2, 2, 3, 3, 3, 0, 0])
    assert matched_parts(FIRST, split) == {1: 2, 2: 3}
    assert matched_parts(FIRST, np.zeros(10, int)) == {}
    assert matched_parts(np.zeros(10, int), FIRST) == {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    return make_resting_run(tmp_path_factory.mktemp("halves") / "made")


@pytest.fixture
def halves(whole, tmp_path) -> HalfRuns:
    """The run twice; in the second everything that moves is a degree further."""
    for name in ("one", "two"):
        shutil.copytree(whole.root, tmp_path / name)
    return HalfRuns(Run.open(tmp_path / "one"), Run.open(tmp_path / "two"))


def shifted(run: Run, by: float) -> None:
    """Every shift of the part in a run's files is longer by some Å along x."""
    path = run.directory.motion_path / "part_1.csv"
    names, _, shift = read_rigid_motion(run.directory.motion_path, "part_1")
    lines = path.read_text().splitlines()
    column = lines[0].split(",").index("shift_x_angstrom")
    rows = [line.split(",") for line in lines[1:]]
    for row, value in zip(rows, shift[:, 0] + by, strict=True):
        row[column] = f"{value:.7g}"
    path.write_text("\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n")
    assert len(names) == PARTICLES


def test_each_half_moves_as_its_own_run_says(whole, halves):
    shifted(halves.second, 5.0)
    (of_run,), (joined,) = run_bodies(whole), bodies_of_halves(whole, halves)
    half = whole.particles.half_set
    away = joined.motion.offset_angstrom - of_run.motion.about(joined.motion.centre).offset_angstrom
    np.testing.assert_allclose(away[half == 1], 0.0, atol=1e-4)
    np.testing.assert_allclose(away[half == 2], [[5.0, 0, 0]] * int((half == 2).sum()), atol=1e-4)
    np.testing.assert_allclose(joined.motion.rotation, of_run.motion.rotation, atol=1e-6)
    np.testing.assert_array_equal(joined.members, of_run.members)


def test_poses_are_those_of_the_own_half(whole, halves):
    """Where the second half's run has other poses, its own particles alone are in them."""
    given = whole.particles.poses
    moved = replace(halves.second.particles, poses=Poses(given.rotation, given.shift_angstrom + 2))
    halves.second.__dict__["particles"] = moved
    found = poses_of_halves(whole, halves)
    away = found.shift_angstrom - given.shift_angstrom
    expected = np.where(whole.particles.half_set == 1, 0.0, 2.0)[:, None]
    np.testing.assert_allclose(away, expected.repeat(2, axis=1), atol=1e-9)


def test_a_half_judges_by_its_own_particles(whole, halves):
    for number, half in enumerate(halves.both, start=1):
        keep_apart(half, number)
        kept = particle_probability(half.directory, PARTICLES)
        np.testing.assert_array_equal(kept > 0, whole.particles.half_set == number)
    np.testing.assert_array_equal(weight_of_halves(whole, halves), 1.0)


def test_a_part_that_one_half_lacks_is_left_out(whole, halves):
    labels = halves.second.parts
    nothing = replace(labels, labels=np.zeros_like(labels.labels), names=("core",))
    nothing.save(halves.second.directory.parts_path)
    with pytest.raises(InputError, match="in both halves"):
        bodies_of_halves(whole, halves)


def test_maps_of_halves_say_that_they_are_independent(whole, halves, monkeypatch):
    monkeypatch.setattr(step, "train_halves", lambda *_: halves)
    made = step.reconstruct_at_rest(whole, AtRestOptions(halves=True))
    assert made.independent
    assert made.regions[1].kept == "rigid"
    text = (made.folder / "summary.json").read_text()
    assert '"halves_trained_apart": true' in text


def test_a_run_of_one_half_has_no_halves(whole, monkeypatch):
    of_one = Run.open(whole.root)
    half = replace(of_one.config, training=TrainingConfig(half=1))
    monkeypatch.setitem(of_one.__dict__, "config", half)
    with pytest.raises(InputError, match="half 1 alone"):
        train_halves(of_one)
