"""Fourier shell correlation of half maps, and the resolution it states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.imaging.shell_correlation import fourier_shell_correlation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

HALF_MAP_THRESHOLD = 0.143
"""Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721."""


def half_map_fsc(half1: ArrayLike, half2: ArrayLike, mask: ArrayLike | None = None) -> FloatArray:
    """FSC per shell 0 ... D // 2 of two half maps, inside a soft mask where one is given.

    Parameters
    ----------
    half1, half2 : array, shape (D, D, D)
    mask : array, shape (D, D, D), optional
        Between 0 and 1, with a soft edge: a sharp one correlates by itself.
    """
    first, second = np.asarray(half1, np.float64), np.asarray(half2, np.float64)
    if mask is not None:
        first, second = first * np.asarray(mask), second * np.asarray(mask)
    return np.asarray(fourier_shell_correlation(first, second), dtype=np.float64)


def shell_frequencies(box_size: int, pixel_size_angstrom: float) -> FloatArray:
    """Spatial frequency of shells 0 ... D // 2, 1/Å."""
    return np.arange(box_size // 2 + 1) / (box_size * pixel_size_angstrom)


def resolution_at(
    fsc: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    threshold: float = HALF_MAP_THRESHOLD,
) -> float | None:
    """Resolution in Å at which the FSC first falls below the threshold.

    Linear interpolation between shells, from shell 1 on.

    Returns
    -------
    float or None
        The Nyquist resolution if the FSC stays above; None if it is undefined
        (NaN) or already below in the first shell.
    """
    curve = np.asarray(fsc, dtype=np.float64)[1 : box_size // 2 + 1]
    if not len(curve) or not np.isfinite(curve).all() or curve[0] < threshold:
        return None
    below = np.flatnonzero(curve < threshold)
    if not len(below):
        return 2.0 * pixel_size_angstrom
    last = int(below[0])  # index in curve; shell number is one more
    upper, lower = curve[last - 1], curve[last]
    shell = last + (upper - threshold) / (upper - lower)
    return float(box_size * pixel_size_angstrom / shell)
