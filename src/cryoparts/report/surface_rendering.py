"""Still pictures of isosurfaces: parallel rays through maps, the first crossing shaded.

A picture that needs no graphics hardware, looks the same everywhere and costs
about a tenth of a second a surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

LIGHT = np.array([0.75, 0.45, -0.5]) / np.linalg.norm([0.75, 0.45, -0.5])
"""Towards the lamp: (towards the viewer, up, left to right)."""

AMBIENT = 0.42
DEPTH_FADE = 0.35


@dataclass(frozen=True)
class Surface:
    """An isosurface to be drawn.

    Parameters
    ----------
    volume : array, shape (D, D, D)
        [z, y, x].
    level : float
        Drawn where the volume rises above it.
    colour : str
        "#rrggbb".
    opacity : float
        1 hides what lies behind.
    colours : float array, shape (D, D, D, 3), or None
        Instead of one colour, one a voxel.
    """

    volume: NDArray[np.float32]
    level: float
    colour: str
    opacity: float = 1.0
    colours: FloatArray | None = None


def rgb(colour: str) -> FloatArray:
    """(red, green, blue) from 0 to 1 of "#rrggbb"."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def render(
    surfaces: Sequence[Surface], rotation: FloatArray, radius: float, size: int = 260
) -> NDArray[np.uint8]:
    """Draw surfaces on white.

    Parameters
    ----------
    surfaces : sequence of Surface
    rotation : array, shape (3, 3)
        Takes (x, y, z) of the map to (right, up, towards the viewer).
    radius : float
        Voxels from the box centre to the edge of the picture.
    size : int
        Pixels of the picture's side.

    Returns
    -------
    uint8 array, shape (size, size, 4)
        The first row is the top; transparent where nothing is.
    """
    layers = [_cast(surface, rotation, radius, size) for surface in surfaces]
    colour, alpha = np.zeros((size, size, 3)), np.zeros((size, size))
    depths = np.stack([depth for depth, _ in layers])
    # nearest first, each layer behind sees only what the nearer ones let through
    for rank in np.argsort(depths, axis=0):
        for index, (surface, (depth, shaded)) in enumerate(zip(surfaces, layers, strict=True)):
            here = (rank == index) & np.isfinite(depth)
            share = np.where(here, surface.opacity * (1 - alpha), 0.0)
            colour += share[..., None] * shaded
            alpha += share
    visible = np.maximum(alpha, 1e-6)[..., None]
    image = np.concatenate([colour / visible, alpha[..., None]], axis=2)
    return np.asarray(np.clip(255 * image[::-1] + 0.5, 0, 255), dtype=np.uint8)


def _cast(
    surface: Surface, rotation: FloatArray, radius: float, size: int
) -> tuple[FloatArray, FloatArray]:
    """Depth (size, size) of the first crossing, inf for none, and its shaded colour."""
    steps = max(2 * int(np.ceil(radius)), 32)
    to_map, offset = _grid_transform(surface.volume.shape, rotation, radius, size, steps)
    sampled = affine_transform(
        surface.volume, to_map, offset, output_shape=(steps, size, size), order=1, cval=-np.inf
    )
    inside = sampled > surface.level
    first = np.argmax(inside, axis=0)
    hit = np.take_along_axis(inside, first[None], axis=0)[0]
    depth = _crossing(sampled, first, surface.level)
    step_in_pixels = size / steps
    smooth = gaussian_filter(np.where(hit, depth * step_in_pixels, 0.0), 0.8)
    weight = gaussian_filter(hit.astype(np.float64), 0.8)
    smooth = np.where(hit, smooth / np.maximum(weight, 1e-6), smooth)
    up, right = np.gradient(smooth)
    # the surface faces the viewer where depth is level; capped: a silhouette's edge is no slope
    normal = np.stack([np.ones_like(smooth), np.clip(up, -4, 4), np.clip(right, -4, 4)])
    normal /= np.linalg.norm(normal, axis=0)
    light = np.clip(np.tensordot(LIGHT, normal, axes=1), 0, 1)
    brightness = AMBIENT + (1 - AMBIENT) * light
    brightness = brightness * (1 - DEPTH_FADE * np.clip(depth / steps, 0, 1))
    base = _colour_at(surface, depth, to_map, offset)
    return np.where(hit, depth, np.inf), np.clip(base * brightness[..., None] * 1.12, 0, 1)


def _grid_transform(
    shape: tuple[int, ...], rotation: FloatArray, radius: float, size: int, steps: int
) -> tuple[FloatArray, FloatArray]:
    """Matrix and offset from (depth step, row up, column right) to voxel (z, y, x)."""
    pixel, step = 2 * radius / size, 2 * radius / steps
    right, up, near = rotation
    columns = [-near[::-1] * step, up[::-1] * pixel, right[::-1] * pixel]
    to_map = np.stack(columns, axis=1)
    middle = np.array([(steps - 1) / 2, (size - 1) / 2, (size - 1) / 2])
    centre = np.array([n // 2 for n in shape], dtype=np.float64)
    return to_map, centre - to_map @ middle


def _crossing(sampled: NDArray[np.float32], first: NDArray[np.intp], level: float) -> FloatArray:
    """Depth in steps, interpolated between the sample before and the first one inside."""
    before = np.maximum(first - 1, 0)
    low = np.take_along_axis(sampled, before[None], axis=0)[0].astype(np.float64)
    high = np.take_along_axis(sampled, first[None], axis=0)[0].astype(np.float64)
    usable = np.isfinite(low) & np.isfinite(high) & (high > low)
    gap = np.where(usable, high - low, 1.0)
    share = np.where(usable, (level - np.where(usable, low, 0.0)) / gap, 1.0)
    depth: FloatArray = before + np.clip(share, 0, 1)
    return depth


def _colour_at(
    surface: Surface, depth: FloatArray, to_map: FloatArray, offset: FloatArray
) -> FloatArray:
    if surface.colours is None:
        return rgb(surface.colour)
    rows, columns = np.indices(depth.shape)
    voxels = np.stack([depth, rows, columns], axis=-1) @ to_map.T + offset
    limit = np.array(surface.volume.shape) - 1
    z, y, x = np.moveaxis(np.clip(np.rint(voxels).astype(np.int64), 0, limit), -1, 0)
    found: FloatArray = surface.colours[z, y, x]
    return found
