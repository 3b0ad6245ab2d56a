"""Factors that give one map the amplitudes of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cryoparts.reconstruction.fourier_filters import radial_power

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_ROUNDS = 20
_SMOOTHING_SHELLS = 1.5
_LEAST_SNR = 1.0
"""Shells in which either map's signal is weaker than its noise say nothing of amplitudes."""

_LARGEST_RATIO = 3.0
"""Factors are kept within this of the overall one, both ways."""


def radial_scale(
    first: ArrayLike,
    second: ArrayLike,
    first_error: ArrayLike,
    second_error: ArrayLike,
    region: ArrayLike,
) -> FloatArray:
    """Factor of each shell that gives `second` the amplitude of `first` in a region.

    Ratio of root mean square signal amplitudes, the noise's power taken off
    both, smoothed over shells with each shell counting by its voxels; the
    overall ratio where the signal does not exceed the noise.

    Parameters
    ----------
    first, second : array, shape (D, D, D)
    first_error, second_error : array, shape (D, D, D)
        Samples of the maps' noise.
    region : array, shape (D, D, D)
        Soft mask of what is the same in both.

    Returns
    -------
    array, shape (D // 2 + 1,)
    """
    soft = np.asarray(region)
    noise = [radial_power(soft * np.asarray(error)) for error in (first_error, second_error)]
    maps = (soft * np.asarray(first), soft * np.asarray(second))
    signal = [radial_power(m) - n for m, n in zip(maps, noise, strict=True)]
    voxels = np.maximum(np.arange(len(signal[0])), 0.5) ** 2
    seen = np.all([s > _LEAST_SNR * n for s, n in zip(signal, noise, strict=True)], axis=0)
    # two maps without noise have no shell to leave out but those without signal
    seen &= np.minimum(*signal) > 1e-12 * np.maximum(signal[0].max(), signal[1].max())
    if not seen.any():
        return np.ones(len(seen))
    totals = [(voxels * s)[seen].sum() for s in signal]
    overall = 0.5 * np.log(totals[0] / totals[1])
    ratio = np.full(len(seen), overall)
    ratio[seen] = 0.5 * np.log(signal[0][seen] / signal[1][seen])
    ratio = np.clip(ratio, overall - np.log(_LARGEST_RATIO), overall + np.log(_LARGEST_RATIO))
    weight = np.where(seen, voxels, 0.0)
    smooth_weight = gaussian_filter1d(weight, _SMOOTHING_SHELLS, mode="nearest")
    smooth = gaussian_filter1d(weight * ratio, _SMOOTHING_SHELLS, mode="nearest")
    known = smooth_weight > 1e-6 * smooth_weight.max()
    logarithm = np.divide(smooth, smooth_weight, out=np.full(len(seen), overall), where=known)
    factor: FloatArray = np.exp(logarithm)
    return factor


def common_scale(first: ArrayLike, second: ArrayLike, noise_ratio: float) -> float:
    """Factor s for which s * second agrees with first, but for voxels that differ.

    Deming regression through the origin (both maps are noisy), with Tukey's
    biweight on the residuals, so that a part that one state lacks does not count.

    Parameters
    ----------
    first, second : array, shape (n,)
        Voxels of the two maps.
    noise_ratio : float
        Noise variance of the first over that of the second.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    weight = np.ones_like(a)
    scale = 1.0
    for _ in range(_ROUNDS):
        aa, bb, ab = (weight * a * a).sum(), (weight * b * b).sum(), (weight * a * b).sum()
        if ab <= 0:
            return 1.0
        lean = aa - noise_ratio * bb
        scale = float((lean + np.sqrt(lean**2 + 4 * noise_ratio * ab**2)) / (2 * ab))
        residual = (a - scale * b) / np.sqrt(1 + scale**2 / noise_ratio)
        # of the voxels with density: those of the solvent agree at any scale
        dense = np.abs(a) + np.abs(scale * b) > np.abs(a).mean() + np.abs(scale * b).mean()
        spread = 1.4826 * float(np.median(np.abs(residual[dense]))) if dense.any() else 0.0
        weight = np.clip(1 - (residual / max(4.685 * spread, 1e-30)) ** 2, 0, None) ** 2
    return scale
