"""Soft masks in real space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float32]


def soft_sphere(box_size: int, radius_pixels: float, edge_pixels: float = 4.0) -> FloatArray:
    """1 within the radius of the box centre, a cosine edge, 0 beyond; shape (D, D, D)."""
    offset = np.arange(box_size) - box_size // 2
    squared = offset[:, None, None] ** 2 + offset[None, :, None] ** 2 + offset**2
    return cosine_edge(np.sqrt(squared) - radius_pixels, edge_pixels)


def mask_around(
    positions: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    *,
    radius_angstrom: float,
    edge_pixels: float = 4.0,
) -> FloatArray:
    """1 within a radius of any of the positions, a cosine edge, 0 beyond.

    It depends on the model only, never on a map, so it brings no correlation
    between half maps but that of its own soft shape.

    Parameters
    ----------
    positions : array, shape (n, 3)
        (x, y, z) about the box centre, Å.
    box_size : int
    pixel_size_angstrom : float
    radius_angstrom : float
    edge_pixels : float

    Returns
    -------
    array, shape (D, D, D)
        float32 [z, y, x].
    """
    offset = (np.arange(box_size) - box_size // 2) * pixel_size_angstrom
    z, y, x = np.meshgrid(offset, offset, offset, indexing="ij")
    voxels = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    reach = radius_angstrom + (edge_pixels + 1) * pixel_size_angstrom
    distance, _ = cKDTree(np.asarray(positions, dtype=np.float64)).query(
        voxels, distance_upper_bound=reach
    )
    outside = (np.asarray(distance).reshape(x.shape) - radius_angstrom) / pixel_size_angstrom
    return cosine_edge(outside, edge_pixels)


def cosine_edge(outside_pixels: NDArray[np.float64], edge_pixels: float) -> FloatArray:
    """1 where the distance outside is <= 0, 0 from `edge_pixels` on, half a cosine between."""
    fraction = np.clip(outside_pixels / max(edge_pixels, 1e-6), 0.0, 1.0)
    return (0.5 + 0.5 * np.cos(np.pi * fraction)).astype(np.float32)
