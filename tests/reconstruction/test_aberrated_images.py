"""Images with coma, trefoil and tetrafoil are reconstructed as if they had none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.conventions import Aberrations, with_aberrations
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from toy_particles import random_blobs, toy_particles

BOX, PIXEL, COUNT = 32, 5.0, 400

# Two optics groups; phases of one to two radians near the Nyquist frequency of 0.1/Å.
STRONG = Aberrations(
    np.array([[0, 4000.0, 1500, 0, 2000, -2500], [-2000.0, 0, 0, -1000, 0, 3000]]),
    np.array([[0, 0, 0, 0, 9000.0, 0, 0, 0, 8000], [0.0] * 9]),
    np.arange(COUNT) % 2,
)


@pytest.fixture(scope="module")
def blobs():
    return random_blobs(0, width=6.0)


@pytest.fixture(scope="module")
def aberrated(blobs):
    return toy_particles(blobs, COUNT, BOX, PIXEL, aberrations=STRONG)


def fsc_with(particles, blobs, aberrations) -> np.ndarray:
    taken = replace(particles, ctf=with_aberrations(particles.ctf, aberrations))
    result = reconstruct_half_maps(taken, np.arange(COUNT))
    return fourier_shell_correlation(result.map, blobs.map(BOX, PIXEL))[1:13]


def test_the_map_comes_back_in_every_shell(blobs, aberrated):
    assert fsc_with(aberrated, blobs, STRONG).min() > 0.99


def test_it_does_not_without_them_nor_with_the_other_sign(blobs, aberrated):
    assert fsc_with(aberrated, blobs, None).min() < 0.9
    assert fsc_with(aberrated, blobs, STRONG.with_odd_reversed()).min() < 0.8


def test_coefficients_of_zero_give_the_same_map_bit_for_bit(blobs):
    plain = toy_particles(blobs, COUNT, BOX, PIXEL)
    zero = Aberrations(np.zeros((1, 6)), np.zeros((1, 9)), np.zeros(COUNT, dtype=np.int64))
    maps = [
        reconstruct_half_maps(replace(plain, ctf=with_aberrations(plain.ctf, a)), np.arange(COUNT))
        for a in (None, zero)
    ]
    assert np.array_equal(maps[0].map, maps[1].map)
