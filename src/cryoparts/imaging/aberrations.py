"""Phases of higher-order aberrations as Zernike polynomials of the spatial frequency.

``phase(k) = sum_i c_i Z_i(|k|, theta)``, theta the angle of k from the x axis,

    Z_n^m = R_n^m(|k|) cos(m theta), Z_n^-m = R_n^m(|k|) sin(m theta), m >= 0,
    R_n^m(r) = sum_s (-1)^s (n - s)! / (s! ((n + m) / 2 - s)! ((n - m) / 2 - s)!) r^(n - 2 s)

with |k| in 1/Å as it is, so that the coefficients do not depend on box and pixel
size (Zivanov, Nakane & Scheres 2020, IUCrJ 7, 253). Odd n make an antisymmetric
phase, whose factor ``exp(i phase)`` keeps images real; even n a symmetric one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    FloatArray = NDArray[np.float64]

KEPT = 256
"""Phases kept: one an optics group, box and pixel size."""


def odd_order(index: int) -> tuple[int, int]:
    """(n, m) of the odd coefficient at `index`: (1, -1), (1, 1), (3, -3), (3, -1) ..."""
    k = (math.isqrt(1 + 4 * index) - 1) // 2
    n = 2 * k + 1
    return n, 2 * (index - k * (k + 1)) - n


def even_order(index: int) -> tuple[int, int]:
    """(n, m) of the even coefficient at `index`: (0, 0), (2, -2), (2, 0), (2, 2), (4, -4) ..."""
    k = math.isqrt(index)
    return 2 * k, 2 * (index - k * k - k)


def zernike(n: int, m: int, kx: FloatArray, ky: FloatArray) -> FloatArray:
    """Zernike polynomial Z_n^m at frequencies (kx, ky), 1/Å, not normalised."""
    radius, angle = np.hypot(kx, ky), np.arctan2(ky, kx)
    order = abs(m)
    radial = np.zeros_like(radius)
    for s in range((n - order) // 2 + 1):
        factor = math.factorial(n - s) / (
            math.factorial(s)
            * math.factorial((n + order) // 2 - s)
            * math.factorial((n - order) // 2 - s)
        )
        radial += (-1) ** s * factor * radius ** (n - 2 * s)
    around: FloatArray = np.cos(order * angle) if m >= 0 else np.sin(order * angle)
    return radial * around


def phase_of(coefficients: FloatArray, box_size: int, pixel_size: float, *, odd: bool) -> Tensor:
    """Phase of one optics group on a half plane, radians.

    Computed in double precision (the polynomials of small frequencies cancel) and kept.

    Parameters
    ----------
    coefficients : array, shape (n,)
        In the order of `Aberrations`.
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å.
    odd : bool
        Which of the two series they belong to.

    Returns
    -------
    Tensor, shape (D, D // 2 + 1)
        float64 on the processor. Antisymmetric phases are 0 on the Nyquist lines of an
        even box, where a frequency is its own mate.
    """
    return _phase(tuple(float(c) for c in coefficients), box_size, float(pixel_size), odd)


def phase_factor_of(coefficients: FloatArray, box_size: int, pixel_size: float) -> Tensor:
    """``exp(i phase)`` (D, D // 2 + 1) of one optics group's odd coefficients; see `phase_of`."""
    return _factor(tuple(float(c) for c in coefficients), box_size, float(pixel_size))


@lru_cache(maxsize=KEPT)
def _factor(coefficients: tuple[float, ...], box: int, pixel: float) -> Tensor:
    phase = _phase(coefficients, box, pixel, True)  # noqa: FBT003
    return torch.polar(torch.ones_like(phase), phase)


@lru_cache(maxsize=KEPT)
def _phase(coefficients: tuple[float, ...], box: int, pixel: float, odd: bool) -> Tensor:  # noqa: FBT001
    ky, kx = np.meshgrid(np.fft.fftfreq(box, pixel), np.fft.rfftfreq(box, pixel), indexing="ij")
    phase = np.zeros((box, box // 2 + 1))
    for index, coefficient in enumerate(coefficients):
        if coefficient:
            n, m = odd_order(index) if odd else even_order(index)
            phase += coefficient * zernike(n, m, kx, ky)
    if odd and box % 2 == 0:
        phase[:, -1] = 0.0
        phase[box // 2, :] = 0.0
    return torch.from_numpy(phase)
