from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from cryoparts.imaging.soft_mask import mask_around, mask_of_voxels, soft_sphere


def voxel_coordinates(box, pixel):
    """(x, y, z), Å about the box centre, of every voxel of [z, y, x]."""
    offset = (np.arange(box) - box // 2) * pixel
    z, y, x = np.meshgrid(offset, offset, offset, indexing="ij")
    return np.stack([x, y, z], axis=-1)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), edge=st.floats(0, 6), pixel=st.floats(1.5, 5),
    spread=st.sampled_from([0.3, 0.7]),
)  # fmt: skip
def test_the_mask_is_a_cosine_of_the_distance_to_the_points(seed, edge, pixel, spread):
    """Also where points lie outside the box."""
    rng = np.random.default_rng(seed)
    box, radius = 30, 2.5 * pixel
    points = rng.uniform(-spread, spread, (6, 3)) * box * pixel
    mask = mask_around(points, box, pixel, radius_angstrom=radius, edge_pixels=edge)
    distance = cKDTree(points).query(voxel_coordinates(box, pixel).reshape(-1, 3))[0]
    outside = (distance.reshape(mask.shape) - radius) / pixel
    ideal = 0.5 + 0.5 * np.cos(np.pi * np.clip(outside / max(edge, 1e-6), 0, 1))
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, ideal, atol=1e-5 if edge > 1e-2 else 1)
    assert np.all(mask[outside <= -1e-9] == 1)
    assert np.all(mask[outside > edge + 1e-6] == 0)


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


def test_a_radius_below_a_pixel_still_gives_a_mask():
    mask = mask_around([[1.0, 0, 0]], 8, 4.0, radius_angstrom=0.5, edge_pixels=0)
    assert (mask.sum(), mask[4, 4, 4]) == (1, 1)
    assert not mask_around([], 8, 4.0, radius_angstrom=5).any()


def test_mask_of_voxels_is_one_inside_and_zero_beyond_its_margin() -> None:
    inside = np.zeros((17, 17, 17), dtype=bool)
    inside[8, 8, 8] = True
    mask = mask_of_voxels(inside, 4.0)
    np.testing.assert_allclose(
        mask[8, 8, 8:13], 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4)), atol=1e-6
    )
    assert mask[8, 8, 13:].max() == 0.0
    wider = mask_of_voxels(inside, 4.0, extend_pixels=2)
    np.testing.assert_allclose(wider[8, 8, 10:15], mask[8, 8, 8:13], atol=1e-6)
