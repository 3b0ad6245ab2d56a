from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.difference_maps.amplitude_matching import common_scale
from cryoparts.difference_maps.difference_map import difference_map
from cryoparts.difference_maps.significance import critical_z
from cryoparts.imaging.soft_mask import soft_sphere
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from toy_particles import Blobs, random_blobs, toy_particles

BOX, PIXEL = 32, 5.0


@pytest.fixture(scope="module")
def states():
    """Two states: all of the blobs, and all but the eight with the largest x."""
    whole = random_blobs(1, width=6.0)
    far = np.argsort(-whole.positions[:, 0])[:8]
    kept = np.setdiff1d(np.arange(40), far)
    partial = Blobs(whole.positions[kept], whole.amplitudes[kept], whole.width)
    missing = Blobs(whole.positions[far], whole.amplitudes[far], whole.width)
    first = toy_particles(whole, 500, BOX, PIXEL, noise=1.0, seed=1)
    second = toy_particles(partial, 300, BOX, PIXEL, noise=1.0, seed=2)
    # another gain of the detector must not matter
    second = replace(second, data=1.7 * second.data)
    results = [reconstruct_half_maps(p, np.arange(len(p.data))) for p in (first, second)]
    return *results, missing.map(BOX, PIXEL)


def test_the_missing_part_is_what_is_left(states):
    first, second, missing = states
    found = difference_map(first, second)
    assert np.corrcoef(found.density.ravel(), missing.ravel())[0, 1] > 0.85
    inside, outside = missing > 0.3 * missing.max(), missing < 0.01 * missing.max()
    assert found.z_score[inside].mean() > 5
    assert abs(found.z_score[outside].mean()) < 1
    assert found.resolution_angstrom == max(first.resolution_angstrom, second.resolution_angstrom)


def test_both_signs(states):
    first, second, _ = states
    there, back = difference_map(first, second), difference_map(second, first)
    # the other way round it is the negative, in the other map's unit
    ratio = -np.vdot(back.density, there.density) / np.vdot(there.density, there.density)
    assert ratio == pytest.approx(1.7, rel=0.06)
    assert np.corrcoef(there.density.ravel(), back.density.ravel())[0, 1] < -0.99
    assert there.largest_gain > -2 * there.largest_loss
    assert back.largest_loss < -2 * back.largest_gain


def test_two_data_sets_of_one_state_differ_by_no_more_than_the_false_discovery_rate():
    """Where nothing differs every discovery is false: at a rate of 5%, 1 of 20 pairs has any."""
    blobs, inside = random_blobs(1, width=6.0), soft_sphere(BOX, 11) > 0.5
    maps = [
        reconstruct_half_maps(
            toy_particles(blobs, 200, BOX, PIXEL, noise=1.0, seed=seed), np.arange(200)
        )
        for seed in range(24)
    ]
    scores = [difference_map(*pair).z_score for pair in zip(maps[::2], maps[1::2], strict=True)]
    discoveries = [np.isfinite(critical_z(z, inside, 0.05)) for z in scores]
    assert sum(discoveries) <= 3  # more by chance: 0.002
    assert np.mean([z[inside].std() for z in scores]) == pytest.approx(1.0, abs=0.1)
    # the test would see z-scores that are too large by much less than a factor of 2
    assert all(np.isfinite(critical_z(1.4 * z, inside, 0.05)) for z in scores)


def test_without_half_maps_there_is_no_significance(states):
    first, _, _ = states
    few = reconstruct_half_maps(toy_particles(random_blobs(1), 2, BOX, PIXEL), np.arange(2))
    found = difference_map(first, few)
    assert found.z_score is None
    assert found.noise is None
    assert np.isfinite(found.density).all()


def test_different_boxes_are_refused(states):
    first, second, _ = states
    with pytest.raises(ValueError, match="one box"):
        difference_map(first, replace(second, pixel_size_angstrom=4.0))


@given(st.floats(0.2, 5.0), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_scale_ignores_a_part_that_one_map_lacks(scale, seed):
    rng = np.random.default_rng(seed)
    shared = rng.exponential(size=2000) * (rng.random(2000) < 0.3)
    extra = np.zeros(2000)
    extra[:100] = 3.0
    first = scale * (shared + extra) + 0.1 * scale * rng.normal(size=2000)
    second = shared + 0.1 * rng.normal(size=2000)
    assert common_scale(first, second, scale**2) == pytest.approx(scale, rel=0.05)
