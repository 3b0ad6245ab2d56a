from __future__ import annotations

import numpy as np
import pytest

from cryoparts.reconstruction.fourier_filters import by_shell, filtered, radial_power
from cryoparts.reconstruction.fsc import shell_frequencies
from cryoparts.reconstruction.sharpening import (
    guinier_plot,
    reference_correlation,
    sharpened_map,
)

BOX, PIXEL = 48, 1.5


def faded(b_factor: float) -> np.ndarray:
    """White noise whose amplitudes fall as exp(-B s² / 4)."""
    white = np.random.default_rng(0).normal(size=(BOX,) * 3)
    decay = np.exp(-b_factor * shell_frequencies(BOX, PIXEL) ** 2 / 4)
    return filtered(white, by_shell(decay, BOX))


@pytest.mark.parametrize("b_factor", [60.0, 200.0])
def test_the_fall_of_the_amplitudes_is_found_and_undone(b_factor):
    density = faded(b_factor)
    certain = np.ones(BOX // 2 + 1)
    found = guinier_plot(density, None, certain, PIXEL).b_factor
    assert found == pytest.approx(-b_factor, rel=0.05)
    sharp = sharpened_map(density, certain, found, 2 * PIXEL, PIXEL)
    power = radial_power(sharp)[4:22]
    assert power.max() / power.min() < 1.6
    before = radial_power(density)[4:22]
    assert before.max() / before.min() > 10


def test_shells_of_noise_do_not_count():
    """White noise beyond 5 Å would flatten the plot; C_ref and the resolution keep it out."""
    fsc = np.where(shell_frequencies(BOX, PIXEL) < 1 / 5, 0.98, 0.0)
    noisy = faded(200) + 0.02 * np.random.default_rng(1).normal(size=(BOX,) * 3)
    assert guinier_plot(noisy, None, fsc, PIXEL).b_factor == pytest.approx(-200, rel=0.15)
    assert guinier_plot(noisy, None, np.ones(len(fsc)), PIXEL).b_factor > -160


def test_no_b_factor_where_the_map_ends_before_wilson_statistics_begin():
    coarse = guinier_plot(faded(100), None, np.ones(BOX // 2 + 1), 5.0)
    assert coarse.b_factor is None
    assert np.isfinite(coarse.log_amplitude[1:]).all()


def test_weights_from_the_fsc():
    np.testing.assert_allclose(reference_correlation([1, 1 / 3, 0, -0.2, np.nan]),
                               [1, np.sqrt(0.5), 0, 0, 0])  # fmt: skip


def test_nothing_beyond_the_resolution():
    sharp = sharpened_map(faded(50), np.ones(BOX // 2 + 1), -50.0, 6.0, PIXEL)
    limit = BOX * PIXEL / 6.0
    assert radial_power(sharp)[int(limit) + 3 :].max() < 1e-6 * radial_power(sharp)[8]
