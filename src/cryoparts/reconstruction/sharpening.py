"""B-factor from the Guinier plot, weights from the FSC, sharpened maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.reconstruction.fourier_filters import (
    by_shell,
    filtered,
    low_pass_filter,
    radial_power,
)
from cryoparts.reconstruction.fsc import HALF_MAP_THRESHOLD, shell_frequencies

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

GUINIER_FROM_ANGSTROM = 10.0
"""Wilson statistics hold beyond about 10 Å; coarser shells show the molecule's shape."""

FEWEST_SHELLS = 4
"""Of a straight line worth fitting."""


@dataclass(frozen=True)
class GuinierPlot:
    """Logarithm of the signal's amplitude over frequency squared.

    Parameters
    ----------
    log_amplitude : array, shape (D // 2 + 1,)
        ln(C_ref * r.m.s. amplitude) per shell; NaN beyond the resolution.
    b_factor : float or None
        To be applied, Å²: negative where the map has to be sharpened. None
        where too few shells lie between 10 Å and the resolution.
    """

    log_amplitude: FloatArray
    b_factor: float | None


def reference_correlation(fsc: ArrayLike) -> FloatArray:
    """C_ref = sqrt(2 FSC / (1 + FSC)): correlation of the whole map with the truth.

    Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721, eq. 16. 0 where the FSC
    is undefined or negative.
    """
    known = np.clip(np.nan_to_num(np.asarray(fsc, dtype=np.float64)), 0.0, 1.0)
    return np.sqrt(2 * known / (1 + known))


def guinier_plot(
    density: ArrayLike,
    mask: ArrayLike | None,
    fsc: ArrayLike,
    pixel_size_angstrom: float,
) -> GuinierPlot:
    """Amplitudes of a map per shell, weighted by C_ref, and the B-factor of their fall.

    A straight line is fitted to ln F over s² between 10 Å and the resolution,
    each shell by its number of voxels; the slope is B / 4 of the decay.

    Parameters
    ----------
    density : array, shape (D, D, D)
        The average of the half maps, neither filtered nor sharpened.
    mask : array, shape (D, D, D), optional
    fsc : array, shape (D // 2 + 1,)
        Corrected half-map FSC.
    pixel_size_angstrom : float
    """
    volume = np.asarray(density, dtype=np.float64)
    inside = volume if mask is None else volume * np.asarray(mask)
    curve = np.nan_to_num(np.asarray(fsc, dtype=np.float64))
    frequency = shell_frequencies(len(volume), pixel_size_angstrom)
    below = np.flatnonzero(curve[1:] < HALF_MAP_THRESHOLD)
    last = int(below[0]) if len(below) else len(curve) - 1
    amplitude = np.sqrt(radial_power(inside)) * reference_correlation(curve)
    logarithm = np.full(len(curve), np.nan)
    seen = (np.arange(len(curve)) <= last) & (amplitude > 0)
    logarithm[seen] = np.log(amplitude[seen])
    # images fill the last shell, Nyquist's, only in part
    fitted = seen & (frequency >= 1 / GUINIER_FROM_ANGSTROM) & (frequency < frequency[-1])
    if fitted.sum() < FEWEST_SHELLS:
        return GuinierPlot(logarithm, None)
    squared = frequency[fitted] ** 2
    # polyfit takes square roots of weights: voxels of a shell go as its area
    slope = float(np.polyfit(squared, logarithm[fitted], 1, w=frequency[fitted])[0])
    return GuinierPlot(logarithm, 4.0 * slope)


def sharpened_map(
    density: ArrayLike,
    fsc: ArrayLike,
    b_factor: float,
    resolution_angstrom: float,
    pixel_size_angstrom: float,
) -> NDArray[np.float32]:
    """The map times exp(-B s² / 4) and C_ref, up to the resolution.

    Parameters
    ----------
    density : array, shape (D, D, D)
        The average of the half maps.
    fsc : array, shape (D // 2 + 1,)
        Corrected half-map FSC.
    b_factor : float
        Å²; negative sharpens.
    resolution_angstrom : float
    pixel_size_angstrom : float
    """
    volume = np.asarray(density)
    box = len(volume)
    frequency = shell_frequencies(box, pixel_size_angstrom)
    curve = reference_correlation(fsc) * np.exp(-b_factor * frequency**2 / 4)
    window = low_pass_filter(box, pixel_size_angstrom, resolution_angstrom)
    return filtered(volume, by_shell(curve, box) * window).astype(np.float32)
