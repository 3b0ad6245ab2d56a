"""Resolution around every voxel, from half maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn

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


POINTS_A_WINDOW = 3.0
"""Points of the grid where the resolution is found, in a standard deviation of the window."""


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
    sigma = max(window_angstrom / pixel_size_angstrom, 3.0)
    transforms = [rfftn(density, workers=threads) for density in (first, second)]
    # shells at which correlation is measured; below the first everything is taken to agree
    centres = np.arange(BAND_SHELLS, box // 2 + 1 - 0.5 * BAND_SHELLS, BAND_SHELLS)
    # the window's transform is 0 beyond so many shells
    seen = np.ceil(0.6 * box / sigma)
    coarse = _even(POINTS_A_WINDOW * box / sigma, box)
    grid = (coarse,) * 3
    frequency = radius_of_half_volume(coarse) / box
    window = np.exp(-2 * np.pi**2 * sigma**2 * frequency**2).astype(np.float32)
    found = np.full(grid, np.float32(centres[0]))
    open_ = np.ones(grid, dtype=bool)
    before = np.ones(grid, dtype=np.float32)

    def smooth(density: Map) -> Map:
        told = _of_box(rfftn(density, workers=threads), coarse) * window
        spread: Map = irfftn(told, s=grid, workers=threads)
        return spread

    for number, centre in enumerate(centres):
        # what the square of a band has beyond this box falls on shells that the window hides
        side = max(coarse, _even(2 * (centre + BAND_SHELLS) + seen, box))
        radius = radius_of_half_volume(side).astype(np.float32)
        band = np.clip(1 - np.abs(radius - centre) / BAND_SHELLS, 0, 1)
        one, two = (
            irfftn(_of_box(t, side) * band, s=(side,) * 3, workers=threads) for t in transforms
        )
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
    return _everywhere((extent / np.maximum(found, np.float32(2.0))).astype(np.float32), box)


def _even(wanted: float, most: int) -> int:
    """An even side of at least `wanted` that is quick to transform; at most the box's."""
    side = int(next_fast_len(int(np.ceil(wanted)), real=True))
    while side % 2:
        side = int(next_fast_len(side + 1, real=True))
    return min(side, most)


def _of_box(transform: NDArray[np.complex64], side: int) -> NDArray[np.complex64]:
    """The part of a transform (D, D, D // 2 + 1) that a box of `side` <= D voxels holds."""
    if side == len(transform):
        return transform
    kept = np.r_[0 : side // 2, -(side // 2) : 0]
    part: NDArray[np.complex64] = transform[np.ix_(kept, kept, np.arange(side // 2 + 1))]
    return part


def _everywhere(values: Map, box: int) -> Map:
    """Linear between the points of a grid, which begins with the box and goes on behind it."""
    if len(values) == box:
        return values
    place = np.arange(box) * (len(values) / box)
    low = place.astype(np.int64)
    share = (place - low).astype(np.float32)
    for axis in range(3):
        along = np.expand_dims(share, [other for other in range(3) if other != axis])
        next_one = np.take(values, (low + 1) % values.shape[axis], axis=axis)
        values = np.take(values, low, axis=axis) * (1 - along) + next_one * along
    return values
