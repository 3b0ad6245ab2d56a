"""Ways of moving that images tell, and how surely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.motion.image_modes import _modes
from cryoparts.rigid.rigid_modes import RigidModes
from moving_parts import axis_error, off_axis

PARTICLES = 120
RADIUS = 20.0  # Å: a turn by an angle displaces by this times it, as a shift does by itself


def asked(error: float, seed: int) -> tuple[RigidModes, np.ndarray, np.ndarray, np.ndarray]:
    """Six ways, and what images tell of a part that turns by 3 Å about z through (0, 10, 0)."""
    random = np.random.default_rng(seed)
    ways = np.diag([1 / RADIUS] * 3 + [1.0] * 3)
    screw = np.array([0, 0, 1, *np.cross([0, 0, 1], [0, -10, 0])]) @ np.linalg.inv(ways)
    true = 3 * random.normal(size=(PARTICLES, 1)) * screw / np.linalg.norm(screw)
    deviation = error * random.uniform(0.5, 2.0, (PARTICLES, 6))
    seen = true + deviation * random.normal(size=deviation.shape)
    information = deviation[..., None] ** -2 * np.eye(6)
    modes = RigidModes(ways, np.zeros((PARTICLES, 6)), np.ones(6))
    return modes, (information @ seen[..., None])[..., 0], information, np.arange(PARTICLES)


def test_the_error_that_is_told_covers_the_axis():
    """95% of the truths should be inside; a few cases in 25 may be outside."""
    inside, told, off = 0, [], []
    for seed in range(25):
        found = _modes(*asked(1.0, seed))
        axis = found.modes[0, :3] / np.linalg.norm(found.modes[0, :3])
        pivot = np.cross(axis, found.modes[0, 3:]) / np.linalg.norm(found.modes[0, :3])
        told.append((found.error.axis_degrees, found.error.pivot_angstrom))
        off.append((axis_error(axis, (0, 0, 1)), off_axis(np.array([0, 10, 0]), pivot, axis)))
        inside += int(np.all(np.less(off[-1], told[-1])))
    assert inside >= 20
    # nor is it larger than it need be
    assert np.all(np.median(told, axis=0) < 4 * np.median(off, axis=0))


def test_the_better_images_tell_the_smaller_the_error():
    sure, unsure = (_modes(*asked(error, 0)).error for error in (0.25, 1.0))
    assert 0 < sure.axis_degrees < 0.5 * unsure.axis_degrees
    assert 0 < sure.pivot_angstrom < 0.5 * unsure.pivot_angstrom


def test_without_a_motion_there_is_no_mode():
    ways, told, information, image = asked(1.0, 1)
    assert len(_modes(ways, 0 * told, information, image).modes) == 0


def test_copies_of_an_image_tell_no_more_than_it():
    ways, *told, image = asked(1.0, 2)
    once = _modes(ways, *told, image).error
    copied = replace(ways, coordinates=np.tile(ways.coordinates, (3, 1)))
    thrice = [np.concatenate(3 * [of]) for of in (*told, image)]
    assert _modes(copied, *thrice).error.axis_degrees == pytest.approx(once.axis_degrees, rel=0.05)
