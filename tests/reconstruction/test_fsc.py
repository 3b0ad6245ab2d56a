from __future__ import annotations

import numpy as np
import pytest

from cryoparts.reconstruction.fsc import half_map_fsc, resolution_at, shell_frequencies
from cryoparts.reconstruction.soft_mask import mask_around, soft_sphere


def test_resolution_is_interpolated_between_shells():
    # 0.143 is reached halfway between shells 3 and 4
    fsc = np.array([1.0, 1.0, 0.9, 0.243, 0.043, 0.0, 0.0, 0.0, 0.0])
    assert resolution_at(fsc, 16, 2.0) == pytest.approx(16 * 2.0 / 3.5)
    assert resolution_at(fsc, 16, 2.0, threshold=0.9) == pytest.approx(16 * 2.0 / 2)


def test_resolution_at_the_limits():
    assert resolution_at(np.ones(9), 16, 3.0) == pytest.approx(6.0)
    assert resolution_at(np.full(9, np.nan), 16, 3.0) is None
    assert resolution_at([1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9], 16, 3.0) is None
    assert shell_frequencies(16, 3.0)[-1] == pytest.approx(1 / 6)


def test_mask_keeps_the_noise_of_the_solvent_out():
    rng = np.random.default_rng(0)
    box = 32
    sphere = soft_sphere(box, 6)
    signal = sphere * np.repeat(np.repeat(np.repeat(rng.normal(size=(8,) * 3), 4, 0), 4, 1), 4, 2)
    halves = [signal + 0.5 * rng.normal(size=signal.shape) for _ in range(2)]
    bare, masked = half_map_fsc(*halves), half_map_fsc(*halves, mask=soft_sphere(box, 8))
    assert 1 - masked[2:6].mean() < 0.25 * (1 - bare[2:6].mean())
    np.testing.assert_allclose(half_map_fsc(signal, signal)[1:], 1, atol=1e-9)


def test_soft_sphere():
    mask = soft_sphere(32, 8, edge_pixels=4)
    assert mask[16, 16, 16 + 8] == 1
    assert mask[16, 16 - 12, 16] == 0
    assert mask[16, 16, 16 + 10] == pytest.approx(0.5)


def test_mask_around_points_lies_where_the_points_are():
    # x, y, z in Å about voxel 12; the map is [z, y, x]
    mask = mask_around([[10.0, -6.0, 4.0]], 24, 2.0, radius_angstrom=3.0, edge_pixels=2)
    z, y, x = (
        np.average(np.arange(24), weights=mask.sum(axis=a)) for a in ((1, 2), (0, 2), (0, 1))
    )
    assert (x, y, z) == pytest.approx((12 + 5, 12 - 3, 12 + 2))
    assert mask.max() == 1
    assert mask[0].max() == 0
