from __future__ import annotations

import numpy as np
import pytest

from cryoparts.imaging.shells import shells_of_half_volume
from cryoparts.imaging.soft_mask import soft_sphere
from cryoparts.reconstruction.fourier_filters import (
    filtered,
    low_pass_filter,
)
from cryoparts.reconstruction.phase_randomisation import (
    fsc_curves,
    fsc_in_masks,
    with_random_phases,
)

BOX = 32


def halves(signal_up_to_shell: float, noise: float, seed: int = 0, ball: float = 5):
    """A common low-passed object within a ball, and independent noise everywhere."""
    rng = np.random.default_rng(seed)
    common = filtered(
        rng.normal(size=(BOX,) * 3), low_pass_filter(BOX, 1.0, BOX / signal_up_to_shell)
    )
    common *= soft_sphere(BOX, ball, 3) / common.std()
    return [common + noise * rng.normal(size=common.shape) for _ in range(2)]


def test_random_phases_keep_every_amplitude_and_the_phases_below():
    density = np.random.default_rng(1).normal(size=(BOX,) * 3)
    changed = with_random_phases(density, 6, np.random.default_rng(2))
    before, after = np.fft.rfftn(density), np.fft.rfftn(changed)
    np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=1e-6, atol=1e-8)
    below = shells_of_half_volume(BOX) < 6
    np.testing.assert_allclose(after[below], before[below], atol=1e-8)
    cosine = (after * before.conj()).real[~below] / np.abs(before[~below]) ** 2
    assert abs(cosine.mean()) < 0.05


def test_what_a_tight_mask_makes_agree_is_taken_out():
    """Beyond the signal only the mask correlates: it smears the strong shells outwards."""
    masked, corrected = [], []
    for seed in range(4):
        curves = fsc_curves(*halves(4, 0.15, seed, ball=99), soft_sphere(BOX, 4, 2))
        beyond = slice(curves.randomised_from + 2, curves.randomised_from + 6)
        masked.append(curves.masked[beyond].mean())
        corrected.append(curves.corrected[beyond].mean())
        assert np.isnan(curves.randomised[: curves.randomised_from]).all()
    assert np.mean(masked) > 0.15
    assert abs(np.mean(corrected)) < 0.3 * np.mean(masked)


def test_signal_that_the_halves_share_stays():
    one, two = halves(12, 1.0)
    curves = fsc_curves(one, two, soft_sphere(BOX, 8, 4))
    shared = slice(curves.randomised_from + 2, 10)
    assert curves.masked[shared].min() > curves.unmasked[shared].max()
    np.testing.assert_allclose(curves.corrected[shared], curves.masked[shared], atol=0.1)


def test_noise_alone_has_no_resolution_in_any_mask():
    rng = np.random.default_rng(3)
    one, two = (rng.normal(size=(BOX,) * 3) for _ in range(2))
    curves = fsc_curves(one, two, soft_sphere(BOX, 6, 3))
    assert curves.randomised_from == 1
    assert abs(curves.corrected[4:].mean()) < 0.05


def test_without_a_mask_and_without_noise():
    one, _ = halves(12, 1.0)
    bare = fsc_curves(one, one)
    np.testing.assert_array_equal(bare.corrected, bare.unmasked)
    assert fsc_curves(one, one, soft_sphere(BOX, 8)).randomised_from is None


def test_the_seed_decides():
    one, two = halves(8, 1.0)
    mask = soft_sphere(BOX, 8, 4)
    first, again = (fsc_curves(one, two, mask, seed=4).corrected for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = fsc_curves(one, two, mask, seed=5).corrected
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first, other, atol=0.15)


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_maps_without_detail_are_survived(constant):
    flat = np.full((BOX,) * 3, constant)
    curves = fsc_curves(flat, flat, soft_sphere(BOX, 8))
    assert np.isfinite(curves.corrected).all()


def test_masks_that_are_asked_together_are_as_asked_alone():
    one, two = halves(8, 1.0)
    masks = [soft_sphere(BOX, 8, 4), None, soft_sphere(BOX, 5, 3)]
    for together, mask in zip(fsc_in_masks(one, two, masks, seed=4), masks, strict=True):
        alone = fsc_curves(one, two, mask, seed=4)
        np.testing.assert_array_equal(together.corrected, alone.corrected)
        np.testing.assert_array_equal(together.randomised, alone.randomised)


def test_single_precision_is_enough_for_the_curves():
    one, two = halves(8, 1.0)
    mask = soft_sphere(BOX, 8, 4)
    exact = fsc_curves(one, two, mask)
    single = fsc_curves(one.astype(np.float32), two.astype(np.float32), mask)
    np.testing.assert_allclose(single.masked, exact.masked, atol=1e-5)
    # phases of single precision are other draws
    np.testing.assert_allclose(single.corrected, exact.corrected, atol=0.15)
