from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.reconstruction.half_maps import reconstruct_half_maps, split_halves
from toy_particles import random_blobs, toy_particles

BOX, PIXEL = 32, 5.0


@pytest.fixture(scope="module")
def blobs():
    return random_blobs(0, width=6.0)


@pytest.fixture(scope="module")
def clean(blobs):
    return toy_particles(blobs, 500, BOX, PIXEL)


@pytest.fixture(scope="module")
def noisy(blobs):
    return toy_particles(blobs, 1500, BOX, PIXEL, noise=2.0)


def correlation(one, other) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_noisy_images_give_the_map_back(blobs, noisy):
    truth = blobs.map(BOX, PIXEL)
    result = reconstruct_half_maps(noisy, np.arange(1500))
    assert correlation(result.map, truth) > 0.98
    assert fourier_shell_correlation(result.map, truth)[1 : BOX // 4 + 1].min() > 0.95
    # in the truth's own unit, not only proportional to it
    assert np.vdot(result.map, truth) / np.vdot(truth, truth) == pytest.approx(1, abs=0.05)
    assert result.n_particles == 1500
    assert result.n_in_halves == (750, 750)
    assert 2 * PIXEL <= result.resolution_angstrom < 20
    assert result.note == ""


def test_the_halves_fsc_foretells_the_agreement_with_the_truth(blobs, noisy):
    """C_ref = sqrt(2 FSC / (1 + FSC)), Rosenthal & Henderson 2003."""
    result = reconstruct_half_maps(noisy, np.arange(1500))
    truth = fourier_shell_correlation(result.map, blobs.map(BOX, PIXEL))[1:12]
    foretold = np.sqrt(2 * np.clip(result.fsc, 0, 1) / (1 + np.clip(result.fsc, 0, 1)))[1:12]
    np.testing.assert_allclose(truth, foretold, atol=0.08)


@pytest.mark.parametrize(("padding", "least"), [(1, 0.95), (2, 0.995)])
def test_clean_images_give_every_shell_back(blobs, clean, padding, least):
    result = reconstruct_half_maps(clean, np.arange(500), padding=padding)
    fsc = fourier_shell_correlation(result.map, blobs.map(BOX, PIXEL))
    assert fsc[1 : BOX // 2 - 3].min() > least


def test_the_shift_and_the_rotation_are_used(blobs, clean):
    truth = blobs.map(BOX, PIXEL)
    unshifted = replace(clean, poses=Poses(clean.poses.rotation, 0 * clean.poses.shift_angstrom))
    mirrored = np.diag([1.0, 1.0, -1.0])
    flipped = replace(
        clean, poses=Poses(mirrored @ clean.poses.rotation @ mirrored, clean.poses.shift_angstrom)
    )
    rows = np.arange(500)
    best = correlation(reconstruct_half_maps(clean, rows).map, truth)
    for wrong in (unshifted, flipped):
        assert correlation(reconstruct_half_maps(wrong, rows).map, truth) < best - 0.05


def test_halves_are_independent(noisy):
    """What is in half 2 cannot change half 1."""
    rows = np.arange(200)
    data = noisy.data.clone()
    data[1::2] = 0
    changed = replace(noisy, data=data)
    one, other = (reconstruct_half_maps(source, rows) for source in (noisy, changed))
    np.testing.assert_array_equal(one.half1, other.half1)
    assert not other.half2.any()
    noise_only = replace(noisy, data=noisy.data[np.random.default_rng(0).permutation(1500)])
    assert reconstruct_half_maps(noise_only, rows).fsc[3:].mean() < 0.3


def test_batches_threads_and_order_do_not_matter(clean, monkeypatch):
    done = []
    whole = reconstruct_half_maps(clean, np.arange(60))
    monkeypatch.setattr("cryoparts.reconstruction.backprojection._BATCH_BYTES", 64 * 64 * 16 * 7)
    order = np.random.default_rng(1).permutation(60)
    again = reconstruct_half_maps(clean, order, threads=2, progress=done.append)
    np.testing.assert_allclose(again.map, whole.map, atol=1e-4 * whole.map.max())
    assert sum(done) == 60
    assert max(done) == 7


def test_images_are_linear_in_the_half_maps(clean):
    rows = np.arange(40)
    doubled = replace(clean, data=2 * clean.data)
    one, two = (reconstruct_half_maps(source, rows) for source in (clean, doubled))
    np.testing.assert_allclose(two.half1, 2 * one.half1, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_particles_say_so(clean, count):
    result = reconstruct_half_maps(clean, np.arange(count))
    assert np.isnan(result.fsc).all()
    assert result.resolution_angstrom is None
    assert "too few particles" in result.note
    assert np.isfinite(result.map).all()
    assert result.map.any()


def test_an_empty_state_is_an_input_error(clean):
    with pytest.raises(InputError, match="no particles"):
        reconstruct_half_maps(clean, [])


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=40), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_halves_keep_what_is_known_and_stay_as_even_as_they_can(known, seed):
    half_set = np.array(known, dtype=np.int8)
    halves = split_halves(half_set, seed)
    assert set(halves) <= {1, 2}
    np.testing.assert_array_equal(halves[half_set > 0], half_set[half_set > 0])
    lead = abs(int((half_set == 1).sum()) - int((half_set == 2).sum()))
    unknown = int((half_set == 0).sum())
    difference = abs(int((halves == 1).sum()) - int((halves == 2).sum()))
    assert difference == max(lead - unknown, (lead + unknown) % 2 if unknown > lead else 0)
