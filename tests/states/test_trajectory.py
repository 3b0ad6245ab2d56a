"""Principal curves of bent clouds, and the molecule along them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from cryoparts.errors import InputError
from cryoparts.states.principal_curve import PrincipalCurve
from cryoparts.states.trajectory import Trajectory, curve_coordinate, sample_trajectory

SHAPES = {
    "straight": lambda t: np.stack([3 * t, 0 * t], axis=1),
    "half circle": lambda t: np.stack([-np.cos(np.pi * t), np.sin(np.pi * t)], axis=1),
    "open ring": lambda t: np.stack([np.cos(5.2 * t), np.sin(5.2 * t)], axis=1),
    "S": lambda t: np.stack([0.5 * np.sin(9 * (t - 0.5)), 2 * t - 1], axis=1),
}


def cloud(shape, seed=0, count=700, noise=0.05):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 1, count)
    points = SHAPES[shape](true) + noise * rng.normal(size=(count, 2))
    points -= points.mean(axis=0)
    return true, points @ np.linalg.svd(points, full_matrices=False)[2].T


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_along_a_bent_path_is_found(shape):
    true, points = cloud(shape)
    assert abs(spearmanr(curve_coordinate(points), true).statistic) > 0.99


def test_the_curve_lies_in_the_middle_of_the_cloud():
    _, points = cloud("open ring")
    curve = PrincipalCurve.through(points)
    assert curve.length == pytest.approx(5.2, rel=0.1)
    # what is left is about the noise across the curve, 0.05
    assert np.sqrt(curve.squared_distance.mean()) == pytest.approx(0.05, rel=0.25)
    assert curve.coordinate.min() == 0
    assert curve.coordinate.max() == 1


def test_turning_the_cloud_round_turns_the_coordinate_round():
    _, points = cloud("half circle")
    np.testing.assert_allclose(curve_coordinate(-points), 1 - curve_coordinate(points), atol=0.02)


def test_a_round_cloud_keeps_the_order_of_its_first_component():
    points = np.random.default_rng(3).normal(size=(600, 3)) * [1, 0.4, 0.3]
    assert spearmanr(curve_coordinate(points), points[:, 0]).statistic > 0.9


class Decoder:
    """Gaussian 0 moves along x by the coordinate, Gaussian 1 fades by it."""

    def __init__(self, coordinate):
        self.coordinate = coordinate
        self.most = 0

    def __call__(self, rows):
        self.most = max(self.most, len(rows))
        c = self.coordinate[rows]
        moved = np.zeros((len(rows), 2, 3), dtype=np.float32)
        moved[:, 0, 0] = 10 * c
        return np.stack([np.ones_like(c), 1 - c], axis=1).astype(np.float32), moved


def test_a_trajectory_is_the_mean_of_the_particles_near_each_point(tmp_path):
    coordinate = np.random.default_rng(0).uniform(0, 1, 5000)
    decode = Decoder(coordinate)
    made = sample_trajectory(coordinate, decode, 6)
    assert len(made) == 6
    np.testing.assert_allclose(made.coordinate, np.linspace(0.02, 0.98, 6), atol=0.02)
    np.testing.assert_allclose(made.displacements[:, 0, 0], 10 * made.coordinate, rtol=1e-4)
    np.testing.assert_allclose(made.relative_amplitudes[:, 1], 1 - made.coordinate, atol=1e-4)
    assert decode.most <= 200
    made.save(tmp_path)
    back = Trajectory.load(tmp_path)
    np.testing.assert_allclose(back.displacements, made.displacements, rtol=1e-5)
    np.testing.assert_array_equal(back.particles, made.particles)


def test_a_gap_in_the_curve_is_filled_by_the_nearest_particle_and_outliers_make_no_end():
    coordinate = np.concatenate([np.linspace(0, 0.2, 200), np.linspace(0.8, 1, 200), [7.0]])
    made = sample_trajectory(coordinate, Decoder(coordinate), 5)
    assert made.coordinate.max() < 1.01
    assert made.particles.min() == 1


def test_what_does_not_vary_is_left_out(tmp_path):
    coordinate = np.linspace(0, 1, 50)

    def decode(rows):
        return None, Decoder(coordinate)(rows)[1]

    made = sample_trajectory(coordinate, decode, 3)
    made.save(tmp_path)
    assert made.relative_amplitudes is None
    assert Trajectory.load(tmp_path).relative_amplitudes is None
    with pytest.raises(InputError, match="--order curve"):
        Trajectory.load(tmp_path / "elsewhere")
