"""Each wrong convention is recognised by its signature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.conventions import Poses
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.copies_check import check_copies
from cryoparts.image_model.geometry import AS_GIVEN, check_geometry
from cryoparts.image_model.losses import Band

BAND = Band(1, 10)


@pytest.fixture
def model(example) -> GaussianModel:
    return GaussianModel.load(example.run.gaussians_path)


def test_right_conventions_are_left_alone(particles, model):
    check = check_geometry(particles, model, BAND)
    assert check.best == AS_GIVEN
    assert check.significant
    assert not check.clearly_wrong
    assert not check.contrast_is_inverted


def test_inverted_contrast_is_seen(particles, model):
    check = check_geometry(replace(particles, contrast_sign=-1), model, BAND)
    assert check.contrast_is_inverted


def test_mirror_hand_is_seen(particles, model):
    mirrored = replace(model, positions=model.positions * np.float32([1, 1, -1]))
    check = check_geometry(particles, mirrored, BAND)
    assert check.best == "mirror hand"
    assert check.clearly_wrong


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            "rotations transposed",
            lambda p: Poses(np.swapaxes(p.rotation, 1, 2), p.shift_angstrom),
        ),
        ("shifts reversed", lambda p: Poses(p.rotation, -p.shift_angstrom)),
    ],
)
def test_wrong_poses_are_seen(particles, model, name, change):
    wrong = replace(particles, poses=change(particles.poses))
    check = check_geometry(wrong, model, BAND)
    assert check.best == name
    assert check.clearly_wrong


@pytest.mark.parametrize("wrong", [False, True])
def test_copies_that_do_not_fit_are_seen(particles, model, wrong):
    rows = np.repeat(np.arange(len(particles)), 2)
    poses = particles.poses.take(rows)
    if wrong:  # the molecule has no such axis
        poses.rotation[1::2] = poses.rotation[1::2] @ np.diag([1.0, -1.0, -1.0])
    copied = replace(
        particles,
        names=rows.astype(str),
        poses=poses,
        ctf=particles.ctf.take(rows),
        half_set=particles.half_set[rows],
        optics_group=particles.optics_group[rows],
        _image=rows,
    )
    found = check_copies(copied, model, BAND)
    assert found is not None
    assert found.images == len(particles)
    assert found.others_fit_worse == wrong
    assert check_copies(particles, model, BAND) is None


def test_poses_of_another_data_set_agree_with_nothing(particles, model):
    shuffled = replace(particles, poses=particles.poses.take(np.roll(np.arange(96), 7)))
    unrelated = replace(model, positions=np.roll(model.positions, 1, axis=1)[::-1].copy())
    check = check_geometry(shuffled, unrelated, BAND)
    assert abs(check.frc[AS_GIVEN]) < 0.5
