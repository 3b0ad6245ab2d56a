"""Still pictures of isosurfaces: parallel rays through maps, the first crossing shaded.

A picture that needs no graphics hardware, looks the same everywhere and costs
about a tenth of a second a surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

LIGHT = np.array([0.75, 0.45, -0.5]) / np.linalg.norm([0.75, 0.45, -0.5])
"""Towards the lamp: (towards the viewer, up, left to right)."""

AMBIENT = 0.42
DEPTH_FADE = 0.35
NORMAL_SMOOTHING = 0.8
"""Voxels; the shading of noise in the last digit is no shape."""


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
    region : array, shape (D, D, D), or None
        Share (0 to 1) of `region_colour` in a voxel's colour.
    region_colour : str
    """

    volume: NDArray[np.float32]
    level: float
    colour: str
    opacity: float = 1.0
    region: FloatArray | None = None
    region_colour: str = "#000000"


def rgb(colour: str) -> FloatArray:
    """(red, green, blue) from 0 to 1 of "#rrggbb"."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def render(
    surfaces: Sequence[Surface], rotation: FloatArray, radius: float, size: int = 240
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
    depth, colour = np.full((size, size), np.inf), np.zeros((size, size, 3))
    corner, shape = _extent(surface, to_map, offset, (steps, size, size))
    if not shape.all():
        return depth, colour
    # rays are followed only where the surface can be: mostly a part of the box
    sampled = affine_transform(
        surface.volume,
        to_map,
        to_map @ corner + offset,
        output_shape=tuple(shape),
        order=1,
        cval=-np.inf,
    )
    inside = sampled > surface.level
    first = np.argmax(inside, axis=0)
    hit = np.take_along_axis(inside, first[None], axis=0)[0]
    crossing = _crossing(sampled, first, surface.level) + corner[0]
    rows, columns = np.indices(crossing.shape)
    places = np.stack([crossing, rows + corner[1], columns + corner[2]], axis=-1)
    where = np.moveaxis(places @ to_map.T + offset, -1, 0)
    normal = rotation[::-1, ::-1] @ _outward(surface.volume, where).reshape(3, -1)
    light = np.clip(LIGHT @ normal, 0, 1).reshape(crossing.shape)
    brightness = AMBIENT + (1 - AMBIENT) * light
    brightness = brightness * (1 - DEPTH_FADE * np.clip(crossing / steps, 0, 1))
    base = _colour_at(surface, where)
    shown = slice(corner[1], corner[1] + shape[1]), slice(corner[2], corner[2] + shape[2])
    depth[shown] = np.where(hit, crossing, np.inf)
    colour[shown] = np.clip(base * brightness[..., None] * 1.12, 0, 1)
    return depth, colour


def _extent(
    surface: Surface, to_map: FloatArray, offset: FloatArray, shape: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First corner and size of the box of (depth step, row, column) that holds the surface."""
    voxels = np.argwhere(surface.volume > surface.level)
    if not len(voxels):
        return np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    from_map = np.linalg.inv(to_map)
    places = (voxels - offset) @ from_map.T
    # the density between a voxel above the level and its neighbours, and a step before it
    margin = np.abs(from_map).sum(axis=1) + 1
    first = np.clip(np.floor(places.min(axis=0) - margin), 0, shape).astype(np.int64)
    last = np.clip(np.ceil(places.max(axis=0) + margin) + 1, 0, shape).astype(np.int64)
    return first, np.maximum(last - first, 0)


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
    # outside the map, and where no ray enters, there is nothing to interpolate
    low, high = np.where(usable, low, 0.0), np.where(usable, high, 1.0)
    share = np.where(usable, (level - low) / (high - low), 1.0)
    depth: FloatArray = before + np.clip(share, 0, 1)
    return depth


def _outward(volume: NDArray[np.float32], where: FloatArray) -> FloatArray:
    """Unit vectors (z, y, x) down the density at voxel coordinates `where` (3, rows, columns)."""
    smooth = gaussian_filter(volume, NORMAL_SMOOTHING)
    slope: list[FloatArray] = list(np.gradient(np.asarray(smooth, dtype=np.float64)))
    vectors = np.stack([map_coordinates(-part, where, order=1, mode="nearest") for part in slope])
    unit: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    return unit


def _colour_at(surface: Surface, where: FloatArray) -> FloatArray:
    if surface.region is None:
        return rgb(surface.colour)
    share = map_coordinates(surface.region, where, order=1, mode="nearest")[..., None]
    blended: FloatArray = (1 - share) * rgb(surface.colour) + share * rgb(surface.region_colour)
    return blended
