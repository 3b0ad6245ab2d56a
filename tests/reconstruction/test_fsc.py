from __future__ import annotations

import numpy as np
import pytest

from cryoparts.imaging.soft_mask import soft_sphere
from cryoparts.reconstruction.fsc import half_map_fsc, resolution_at, shell_frequencies


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
