"""Local resolution of maps whose halves agree up to different frequencies in two places."""

from __future__ import annotations

import numpy as np
import pytest

import cryoparts.reconstruction.local_resolution as local_resolution_module
from cryoparts.reconstruction.fourier_filters import filtered, low_pass_filter
from cryoparts.reconstruction.local_resolution import local_resolution

BOX, PIXEL = 64, 2.0


@pytest.fixture(scope="module")
def halves():
    """One signal: to 5 Å on the left, to 10 Å (its filter ends at 8.6) on the right; noise."""
    rng = np.random.default_rng(0)
    white = rng.normal(size=(BOX,) * 3)
    fine = filtered(white, low_pass_filter(BOX, PIXEL, 5.0))
    coarse = filtered(white, low_pass_filter(BOX, PIXEL, 10.0))
    left = np.arange(BOX) < BOX // 2
    signal = np.where(left, fine, coarse)
    return [signal + 0.15 * rng.normal(size=signal.shape) for _ in range(2)]


def test_each_side_has_its_own_resolution(halves):
    local = local_resolution(*halves, PIXEL, window_angstrom=6.0)
    assert local.shape == (BOX,) * 3
    assert np.median(local[:, :, 12:22]) == pytest.approx(5.0, rel=0.1)
    assert np.median(local[:, :, 42:52]) == pytest.approx(9.0, rel=0.15)


def test_the_same_map_twice_reaches_nyquist(halves):
    local = local_resolution(halves[0], halves[0], PIXEL)
    np.testing.assert_allclose(local, 2 * PIXEL, rtol=1e-5)


@pytest.mark.parametrize("window", [12.0, 24.0])
def test_small_boxes_tell_the_same(halves, window, monkeypatch):
    quick = local_resolution(*halves, PIXEL, window_angstrom=window)
    monkeypatch.setattr(local_resolution_module, "_even", lambda wanted, most: most)
    whole = local_resolution(*halves, PIXEL, window_angstrom=window)
    assert quick.shape == whole.shape
    np.testing.assert_allclose(quick, whole, rtol=0.02)


def test_noise_has_no_resolution():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, BOX, BOX, BOX))
    local = local_resolution(first, second, PIXEL)
    assert np.median(local) > 0.4 * BOX * PIXEL / 2
