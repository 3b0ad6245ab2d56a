"""Soft masks in real space: 1 inside, half a cosine over the edge, 0 beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from cryoparts.conventions import box_centre

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Mask = NDArray[np.float32]

_TO_A_CORNER = 0.5 * 3**0.5
"""Farthest that a point lies from the nearest voxel's centre, pixels."""


def cosine_edge(outside_pixels: ArrayLike, edge_pixels: float) -> Mask:
    """1 where the distance outside is <= 0, 0 from `edge_pixels` on, half a cosine between."""
    fraction = np.clip(np.asarray(outside_pixels) / max(edge_pixels, 1e-6), 0.0, 1.0)
    return (0.5 + 0.5 * np.cos(np.pi * fraction)).astype(np.float32)


def soft_sphere(box_size: int, radius_pixels: float, edge_pixels: float = 4.0) -> Mask:
    """1 within the radius of the box centre, a cosine edge, 0 beyond; shape (D, D, D)."""
    offset = np.arange(box_size) - box_centre(box_size)
    squared = offset[:, None, None] ** 2 + offset[None, :, None] ** 2 + offset**2
    return cosine_edge(np.sqrt(squared) - radius_pixels, edge_pixels)


def mask_of_voxels(
    inside: NDArray[np.bool_], edge_pixels: float, *, extend_pixels: float = 0.0
) -> Mask:
    """1 on the voxels and a margin around them, then a cosine edge.

    Parameters
    ----------
    inside : bool array, shape (D, D, D)
    edge_pixels : float
        Width of the edge, beyond the margin.
    extend_pixels : float
        Width of the margin, from voxel centre to voxel centre.
    """
    return cosine_edge(distance_transform_edt(~inside) - extend_pixels, edge_pixels)


def mask_around(
    positions: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    *,
    radius_angstrom: float,
    edge_pixels: float = 4.0,
) -> Mask:
    """1 within a radius of any of the positions, a cosine edge, 0 beyond.

    It depends on the model only, never on a map, so it brings no correlation
    between half maps but that of its own soft shape.

    Parameters
    ----------
    positions : array, shape (n, 3)
        (x, y, z) about the box centre, voxel D // 2, Å.
    box_size : int
    pixel_size_angstrom : float
    radius_angstrom : float
    edge_pixels : float
        Width of the edge, outside the radius.

    Returns
    -------
    array, shape (D, D, D)
        float32 [z, y, x], from 0 to 1. Only the region about the positions is worked
        on, and exact distances are measured near the surface alone, so large boxes
        cost little more than small ones.
    """
    mask = np.zeros((box_size,) * 3, dtype=np.float32)
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 3)[:, ::-1] / pixel_size_angstrom
    if not len(points):
        return mask
    points = points + box_centre(box_size)
    radius = radius_angstrom / pixel_size_angstrom
    margin = radius + edge_pixels + 2
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    values = _around(points - low, tuple((high - low).tolist()), radius, edge_pixels)
    first, last = np.clip(low, 0, box_size), np.clip(high, 0, box_size)
    in_box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    in_region = tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))
    mask[in_box] = values[in_region]
    return mask


def _around(
    points: NDArray[np.float64], shape: tuple[int, ...], radius: float, edge: float
) -> Mask:
    """The mask of points (n, 3), in voxels of a region that holds all of it."""
    nearest = np.zeros(shape, dtype=bool)
    nearest[tuple(np.rint(points).astype(int).T)] = True
    # from the voxels that hold a point: the distance to the points but for rounding
    rough = distance_transform_edt(~nearest)
    values: Mask = (rough <= radius - _TO_A_CORNER).astype(np.float32)
    near = np.abs(rough - radius - 0.5 * edge) < 0.5 * edge + _TO_A_CORNER
    distance, _ = cKDTree(points).query(np.argwhere(near))
    values[near] = cosine_edge(distance - radius, edge)
    values[nearest] = 1.0
    return values
