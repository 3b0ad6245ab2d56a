"""A body that has moved, in the consensus pose, is the body at rest in the composed pose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.at_rest.bodies import BodyMotion, recentred
from cryoparts.conventions import Poses
from cryoparts.imaging.fourier import shift_phases
from cryoparts.imaging.projection import project

COUNT, BOX, PIXEL = 5, 24, 4.0


def motion_of(seed: int, degrees: float = 25.0) -> BodyMotion:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(COUNT, 3)) * np.deg2rad(degrees)
    return BodyMotion(
        rng.normal(size=3) * 15,
        Rotation.from_rotvec(vectors).as_matrix(),
        rng.normal(size=(COUNT, 3)) * 4,
    )


def poses_of(seed: int) -> Poses:
    rotation = Rotation.random(COUNT, random_state=seed).as_matrix()
    return Poses(rotation, np.random.default_rng(seed).normal(size=(COUNT, 2)) * 6)


def moved(points: np.ndarray, motion: BodyMotion) -> np.ndarray:
    """x' = Q (x - c) + c + s, written out."""
    return np.stack(
        [
            [q @ (x - motion.centre) + motion.centre + s for x in points]
            for q, s in zip(motion.rotation, motion.shift_angstrom, strict=True)
        ]
    )


def images(points: np.ndarray, poses: Poses) -> torch.Tensor:
    planes = project(
        torch.as_tensor(points, dtype=torch.float64),
        torch.linspace(1, 2, points.shape[-2], dtype=torch.float64),
        torch.full((points.shape[-2],), 5.0, dtype=torch.float64),
        torch.as_tensor(poses.rotation),
        BOX,
        PIXEL,
        method="plane_wave",
    )
    return planes * shift_phases(torch.as_tensor(poses.shift_angstrom), BOX, PIXEL)


@pytest.mark.parametrize("seed", range(3))
def test_the_moved_body_is_the_body_at_rest_in_the_composed_pose(seed):
    points = np.random.default_rng(seed).normal(size=(12, 3)) * 12
    motion, poses = motion_of(seed), poses_of(seed)
    of_moved = images(moved(points, motion), poses)
    at_rest = images(points, motion.composed(poses))
    torch.testing.assert_close(at_rest, of_moved, rtol=0, atol=1e-9 * float(of_moved.abs().max()))


def test_one_motion_after_another():
    points = np.random.default_rng(3).normal(size=(7, 3)) * 12
    part, core = motion_of(4), motion_of(5)
    expected = np.stack(
        [moved(p, core.take(np.array([i])))[0] for i, p in enumerate(moved(points, part))]
    )
    both = part.followed_by(core)
    np.testing.assert_allclose(moved(points, both), expected, atol=1e-10)
    np.testing.assert_array_equal(both.centre, part.centre)


def test_a_map_about_a_point_of_the_part():
    points = np.random.default_rng(6).normal(size=(7, 3)) * 12
    poses, point = poses_of(6), np.array([7.0, -12.0, 9.0])
    same = images(points - point, recentred(poses, point))
    torch.testing.assert_close(same, images(points, poses), rtol=0, atol=1e-9)


def test_nothing_moves():
    still = BodyMotion(np.ones(3), np.tile(np.eye(3), (COUNT, 1, 1)), np.zeros((COUNT, 3)))
    poses = poses_of(7)
    composed = still.composed(poses)
    np.testing.assert_allclose(composed.rotation, poses.rotation, atol=1e-14)
    np.testing.assert_allclose(composed.shift_angstrom, poses.shift_angstrom, atol=1e-12)


def test_numbers_of_particles_must_agree():
    with pytest.raises(ValueError, match="5 particles"):
        motion_of(0).composed(poses_of(0).take([0, 1]))
