from __future__ import annotations

import numpy as np
import pytest

from cryoparts.imaging.shells import (
    conjugate_pairs,
    radius_of_half_volume,
    shell_sums,
    shells_of_half_volume,
)


@pytest.mark.parametrize("box", [8, 9])
def test_sums_over_the_half_volume_are_those_of_the_whole(box):
    density = np.random.default_rng(box).normal(size=(box,) * 3)
    whole = np.abs(np.fft.fftn(density)) ** 2
    k = np.fft.fftfreq(box, 1 / box)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    expected = [whole[shell == s].sum() for s in range(box // 2 + 1)]
    power = np.abs(np.fft.rfftn(density)) ** 2
    np.testing.assert_allclose(shell_sums(power), expected)
    assert conjugate_pairs(box).sum() == box


def test_shells_are_the_rounded_radius_and_end_beyond_nyquist():
    radius = radius_of_half_volume(64)
    shells = shells_of_half_volume(64)
    np.testing.assert_array_equal(shells, np.minimum(np.rint(radius), 33))
    # of a padded volume, in the steps of the box itself
    padded = shells_of_half_volume(128, padding=2)
    np.testing.assert_array_equal(padded[::2, ::2, ::2], np.minimum(shells, 33))
    assert padded.max() == 33
