"""Resolution around every voxel, from half maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfftn, rfftn
from scipy.ndimage import zoom

from cryoparts.imaging.shells import radius_of_half_volume

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Map = NDArray[np.float32]

LOCAL_THRESHOLD = 0.5
"""A window holds few Fourier modes: at 0.143 noise alone would cross too often (Cardone et
al. 2013, J. Struct. Biol. 184, 226, use 0.5 as well)."""

WINDOW_ANGSTROM = 10.0
"""Standard deviation of the window, at least; and at least three pixels."""

BAND_SHELLS = 2.0
"""Half width of a band, shells: neighbouring bands overlap half."""


def local_resolution(
    half1: ArrayLike,
    half2: ArrayLike,
    pixel_size_angstrom: float,
    *,
    window_angstrom: float = WINDOW_ANGSTROM,
    threshold: float = LOCAL_THRESHOLD,
    threads: int = 1,
) -> Map:
    """Å at which half maps cease to agree around each voxel; shape (D, D, D).

    Both maps are cut into bands of frequency (raised cosines, four shells wide); in each
    the local correlation ``W*(ab) / sqrt(W*(a²) W*(b²))``, W a Gaussian window, is the
    FSC of what the window sees. The resolution is the frequency at which it first falls
    below the threshold, linear between bands. It is found on a grid of a third of a window at
    the most, and linear between its points. Memory is that of eight maps.

    Parameters
    ----------
    half1, half2 : array, shape (D, D, D)
        Not filtered.
    pixel_size_angstrom : float
    window_angstrom : float
        Standard deviation of the window.
    threshold : float
    threads : int

    Returns
    -------
    float32 array, shape (D, D, D)
        From twice the pixel size to the extent of the box over 2, where nothing agrees.
    """
    first, second = np.asarray(half1, np.float32), np.asarray(half2, np.float32)
    box = len(first)
    extent = box * pixel_size_angstrom
    radius = radius_of_half_volume(box).astype(np.float32)
    sigma = max(window_angstrom / pixel_size_angstrom, 3.0)
    step = _step(box, sigma)
    coarse = box // step
    # the mean over a block is a window as well
    squared = (sigma**2 - (step**2 - 1) / 12) / step**2
    fraction = radius_of_half_volume(coarse) / coarse
    window = np.exp(-2 * np.pi**2 * squared * fraction**2).astype(np.float32)
    transforms = [rfftn(density, workers=threads) for density in (first, second)]
    # shells at which correlation is measured; below the first everything is taken to agree
    centres = np.arange(BAND_SHELLS, box // 2 + 1 - 0.5 * BAND_SHELLS, BAND_SHELLS)
    grid = (coarse,) * 3
    found = np.full(grid, np.float32(centres[0]))
    open_ = np.ones(grid, dtype=bool)
    before = np.ones(grid, dtype=np.float32)

    def smooth(density: Map) -> Map:
        mean = density.reshape(coarse, step, coarse, step, coarse, step).mean(axis=(1, 3, 5))
        spread: Map = irfftn(rfftn(mean, workers=threads) * window, s=grid, workers=threads)
        return spread

    for number, centre in enumerate(centres):
        band = np.clip(1 - np.abs(radius - centre) / BAND_SHELLS, 0, 1)
        one, two = (irfftn(t * band, s=first.shape, workers=threads) for t in transforms)
        powers = np.maximum(smooth(one * one), 0) * np.maximum(smooth(two * two), 0)
        agreement = smooth(one * two) / np.sqrt(np.maximum(powers, np.float32(1e-30)))
        falls = open_ & (agreement < threshold)
        apart = centre - centres[number - 1] if number else 0.0
        share = (before - threshold) / np.maximum(before - agreement, 1e-6)
        found[falls] = (centre - apart + apart * np.clip(share, 0, 1))[falls]
        open_ &= ~falls
        before = agreement
        if not open_.any():
            break
    found[open_] = box / 2
    local = (extent / np.maximum(found, np.float32(2.0))).astype(np.float32)
    if step == 1:
        return local
    everywhere: Map = zoom(local, step, order=1, mode="nearest", grid_mode=True)
    return everywhere


def _step(box: int, sigma: float) -> int:
    """Voxels between points of the grid: a third of a window at most, and a divisor of the box."""
    return max(step for step in range(1, max(int(sigma / 3), 1) + 1) if box % step == 0)
