"""Which voxels of a difference map stand out of the noise, given that there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import false_discovery_control, norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

NoiseKind = Literal["local", "global"]

KERNEL_IN_RESOLUTIONS = 1.5
"""Width (standard deviation) of the window of local noise. Two states' half maps have
some 1,000 independent values in it, so the noise is known to about 3%."""

LEAST_SHARE = 0.3
"""Local noise is taken to be at least this share of the mean noise."""


def noise_level(
    errors: Sequence[FloatArray],
    inside: NDArray[np.bool_],
    *,
    kind: NoiseKind = "local",
    kernel_pixels: float,
) -> FloatArray:
    """Standard deviation of the noise of a sum of maps at each voxel.

    Parameters
    ----------
    errors : sequence of arrays, shape (D, D, D)
        A sample of each map's noise: half of its half maps' difference.
    inside : bool array, shape (D, D, D)
        Where the noise is looked at.
    kind : "local" or "global"
        Local: averaged under a Gaussian window. Global: one number.
    kernel_pixels : float
        Standard deviation of the window.

    Returns
    -------
    array, shape (D, D, D)
    """
    power = np.sum([np.square(error) for error in errors], axis=0)
    mean = max(float(power[inside].mean()), 1e-30) if inside.any() else 1e-30
    if kind == "global":
        return np.full(power.shape, np.sqrt(mean))
    covered = inside.astype(np.float64)
    weight = gaussian_filter(covered, kernel_pixels, mode="constant")
    local = gaussian_filter(power * covered, kernel_pixels, mode="constant")
    # far outside there is nothing to average
    variance = np.divide(local, weight, out=np.full(power.shape, mean), where=weight > 1e-3)
    deviation: FloatArray = np.sqrt(np.maximum(variance, LEAST_SHARE**2 * mean))
    return deviation


def critical_z(z_score: ArrayLike, inside: NDArray[np.bool_], rate: float) -> float:
    """|z| from which on voxels are significant; infinite if none is.

    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57, 289, on the two-sided
    p-values of all voxels inside: of the voxels at or above it a share of at
    most `rate` is expected to be noise. Neighbouring voxels are correlated
    positively, under which the procedure holds (Benjamini & Yekutieli 2001).

    Parameters
    ----------
    z_score : array, shape (D, D, D)
    inside : bool array, shape (D, D, D)
        The voxels that are tested.
    rate : float
        False discovery rate, between 0 and 1.
    """
    magnitude = np.abs(np.asarray(z_score, dtype=np.float64)[inside])
    if not len(magnitude):
        return float("inf")
    adjusted = false_discovery_control(2 * norm.sf(magnitude))
    found = magnitude[adjusted <= rate]
    return float(found.min()) if len(found) else float("inf")
