from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.simulation.map_projection import FourierMap, project_map


def gaussians(side, seed):
    """Positions (voxels), widths and amplitudes of Gaussians well inside a cube."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.2, 0.2, (20, 3)) * side, rng.uniform(1.4, 2.5, 20), rng.random(20)


def density(side, positions, widths, amplitudes):
    grid = np.arange(side) - side // 2
    total = np.zeros((side,) * 3)
    for (x, y, z), width, amplitude in zip(positions, widths, amplitudes, strict=True):
        along = [np.exp(-((grid - c) ** 2) / (2 * width**2)) for c in (z, y, x)]
        total += amplitude * np.einsum("i,j,k", *along) / (2 * np.pi * width**2) ** 1.5
    return total


@pytest.mark.parametrize(
    ("side", "box", "pixel"), [(32, 32, 1.0), (33, 32, 1.0), (32, 24, 1.5), (32, 48, 1.0)]
)
def test_slices_are_the_transforms_of_the_projections(side, box, pixel):
    positions, widths, amplitudes = gaussians(side, 1)
    rotations = Rotation.random(6, random_state=2).as_matrix()
    shifts = np.random.default_rng(3).normal(0, 2, (6, 2))
    planes = project_map(
        FourierMap.of(density(side, positions, widths, amplitudes), 1.0),
        rotations,
        shifts,
        box,
        pixel,
    )
    ky, kx = np.fft.fftfreq(box, d=pixel)[:, None], np.fft.rfftfreq(box, d=pixel)
    expected = np.zeros(planes.shape, dtype=complex)
    for image, (rotation, shift) in enumerate(zip(rotations, shifts, strict=True)):
        for point, width, amplitude in zip(positions, widths, amplitudes, strict=True):
            x, y = (rotation @ point)[:2] + shift
            expected[image] += (
                amplitude
                * np.exp(-2 * np.pi**2 * width**2 * (kx**2 + ky**2))
                * np.exp(-2j * np.pi * (kx * x + ky * y))
            )
    assert np.linalg.norm(planes - expected) < 3e-3 * np.linalg.norm(expected)


def test_the_voxel_size_scales_the_frequencies():
    values = density(32, *gaussians(32, 4))
    rotation, shift = Rotation.random(2, random_state=1).as_matrix(), np.ones((2, 2))
    one = project_map(FourierMap.of(values, 1.0), rotation, shift, 32, 1.0)
    five = project_map(FourierMap.of(values, 5.0), rotation, 5.0 * shift, 32, 5.0)
    np.testing.assert_allclose(five, one, atol=1e-3)


def test_only_cubes_are_maps():
    with pytest.raises(ValueError, match="cube"):
        FourierMap.of(np.zeros((8, 8, 10)), 1.0)
