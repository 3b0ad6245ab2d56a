"""Maps as small as a page can carry: cropped, no finer than its share, eight bits a voxel."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Volume = NDArray[np.float32]

VOXELS_ON_PAGE = 5_000_000
"""Of all maps together: a byte each before packing, some 5 MB of page."""

MARGIN = 3
"""Voxels kept around what is seen, so that every surface closes."""

CODES = 255


@dataclass(frozen=True)
class Grid:
    """A box of a map, resampled.

    Parameters
    ----------
    first : int array, shape (3,)
        Voxel (z, y, x) of the map at which the box starts.
    size : int array, shape (3,)
        Points (z, y, x) of the grid.
    step : float
        Voxels of the map from one point to the next, 1 or more.
    """

    first: NDArray[np.int64]
    size: NDArray[np.int64]
    step: float

    def sampled(self, volume: NDArray[np.floating]) -> Volume:
        """The map on the grid, smoothed first where that is coarser."""
        source = np.asarray(volume, dtype=np.float32)
        if self.step > 1.0:
            source = gaussian_filter(source, 0.35 * self.step)
        found: Volume = affine_transform(
            source,
            np.full(3, self.step),
            offset=self.first.astype(np.float64),
            output_shape=tuple(int(n) for n in self.size),
            order=1,
            mode="nearest",
        )
        return found

    def frame(self, voxel_size: float, centre: int) -> dict[str, object]:
        """Where it lies: size (x, y, z), origin (x, y, z) about the box centre in Å, voxel in Å."""
        origin = (self.first[::-1] - centre) * voxel_size
        return {
            "size": [int(n) for n in self.size[::-1]],
            "origin": [round(float(value), 3) for value in origin],
            "voxel": round(float(self.step * voxel_size), 5),
        }


def grid_around(seen: NDArray[np.bool_], most_voxels: int) -> Grid:
    """The grid of at most so many points about the voxels that are seen (D, D, D)."""
    shape = np.array(seen.shape)
    places = np.argwhere(seen)
    if not len(places):
        places = np.stack([np.zeros(3, dtype=np.int64), shape - 1])
    first = np.maximum(places.min(axis=0) - MARGIN, 0)
    last = np.minimum(places.max(axis=0) + MARGIN, shape - 1)
    step = max(1.0, float(np.prod(last - first + 1) / most_voxels) ** (1 / 3))
    size = np.maximum(np.ceil((last - first) / step).astype(np.int64) + 1, 2)
    return Grid(first, size, step)


def packed(codes: NDArray[np.uint8]) -> str:
    """Bytes as base64 text of a gzip stream, the same each time."""
    return base64.b64encode(gzip.compress(codes.tobytes(), 6, mtime=0)).decode("ascii")


def coded(volume: NDArray[np.floating], low: float, high: float) -> dict[str, object]:
    """Density in 256 steps from `low` to `high`, beyond which it is cut."""
    scaled = (np.asarray(volume, dtype=np.float64) - low) / max(high - low, 1e-30)
    codes = np.rint(np.clip(scaled, 0, 1) * CODES).astype(np.uint8)
    return {"low": float(low), "high": float(high), "codes": packed(codes)}
