"""Rotations are rotations, evenly spread, and reproducible."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.imaging.rotations import random_rotations, rotation_about_axis


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_random_rotations_are_proper_and_reproducible():
    rotations = random_rotations(500, seeded(0), torch.float64)
    identity = torch.eye(3, dtype=torch.float64).expand(500, 3, 3)
    assert torch.allclose(rotations @ rotations.transpose(1, 2), identity)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(500, dtype=torch.float64))
    assert torch.equal(rotations, random_rotations(500, seeded(0), torch.float64))
    assert not torch.equal(rotations, random_rotations(500, seeded(1), torch.float64))
    assert random_rotations(0, seeded(0)).shape == (0, 3, 3)


def test_random_rotations_are_uniform():
    rotations = random_rotations(40000, seeded(3), torch.float64)
    # Every column is uniform on the sphere: mean 0, mean square 1/3, uniform in z.
    assert rotations.mean(0).abs().max() < 0.02
    assert (rotations.square().mean(0) - 1 / 3).abs().max() < 0.01
    heights = torch.histc(rotations[:, 2, 2], bins=10, min=-1, max=1) / 40000
    assert (heights - 0.1).abs().max() < 0.01
    # The Haar measure's angles: density (1 - cos w) / pi, mean pi / 2 + 2 / pi.
    trace = rotations.diagonal(dim1=1, dim2=2).sum(1)
    angle = torch.acos(((trace - 1) / 2).clamp(-1, 1))
    assert float(angle.mean()) == pytest.approx(torch.pi / 2 + 2 / torch.pi, abs=0.02)


def test_rotation_about_an_axis_agrees_with_scipy():
    axes = torch.randn(20, 3, generator=seeded(0), dtype=torch.float64)
    angles = torch.linspace(-200, 200, 20, dtype=torch.float64)
    unit = axes / axes.norm(dim=1, keepdim=True)
    expected = Rotation.from_rotvec(unit * torch.deg2rad(angles)[:, None]).as_matrix()
    assert torch.allclose(rotation_about_axis(axes, angles), torch.from_numpy(expected))


def test_a_quarter_turn_about_z_takes_x_to_y():
    turn = rotation_about_axis(torch.tensor([0.0, 0.0, 5.0]), torch.tensor(90.0))
    assert torch.allclose(
        turn @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6
    )


def test_one_axis_serves_many_angles():
    turns = rotation_about_axis(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 10.0, 20.0]))
    assert turns.shape == (3, 3, 3)
    assert torch.allclose(turns[1] @ turns[1], turns[2], atol=1e-6)


def test_an_axis_without_direction_is_refused():
    with pytest.raises(ValueError, match="zero vector"):
        rotation_about_axis(torch.zeros(3), torch.tensor(10.0))
