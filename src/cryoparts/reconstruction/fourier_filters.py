"""Radial filters of maps, and their radial power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfftn, rfftn

from cryoparts.imaging.shells import radius_of_half_volume, shell_sums

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_EDGE_SHELLS = 2.0
"""Shells over which a low-pass filter falls to 0 along a cosine: a sharp one would ring."""


def low_pass_filter(box: int, pixel: float, resolution_angstrom: float) -> FloatArray:
    """1 up to the resolution, then a cosine edge of two shells; on the half volume."""
    length = radius_of_half_volume(box)
    beyond = np.clip((length - box * pixel / resolution_angstrom) / _EDGE_SHELLS, 0.0, 1.0)
    smooth: FloatArray = 0.5 + 0.5 * np.cos(np.pi * beyond)
    return smooth


def filtered(density: ArrayLike, on_half_volume: ArrayLike) -> FloatArray:
    """The map times a real filter in Fourier space.

    Parameters
    ----------
    density : array, shape (D, D, D)
    on_half_volume : array, shape (D, D, D // 2 + 1)
    """
    volume = np.asarray(density, dtype=np.float64)
    transform = rfftn(volume) * np.asarray(on_half_volume)
    return np.asarray(irfftn(transform, s=volume.shape, axes=(0, 1, 2)), dtype=np.float64)


def by_shell(values: ArrayLike, box_size: int) -> FloatArray:
    """A curve over shells 0 ... D // 2 spread over the half volume, linear between shells.

    The corners beyond the Nyquist shell get 0.
    """
    curve = np.asarray(values, dtype=np.float64)
    radius = radius_of_half_volume(box_size)
    spread: FloatArray = np.interp(radius, np.arange(len(curve)), curve, right=0.0)
    return spread


def radial_power(density: ArrayLike) -> FloatArray:
    """Mean |F|^2 over each shell 0 ... D // 2 of a map."""
    power = np.abs(rfftn(np.asarray(density, dtype=np.float64))) ** 2
    mean: FloatArray = shell_sums(power) / shell_sums(np.ones(power.shape))
    return mean
