"""A part's maps as a scene: contours at any level, moving slices, one state turned into another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.compact_volumes import coded, grid_around, packed
from cryoparts.figures.maps import SURFACE_COLOUR
from cryoparts.figures.pictures import Scene
from cryoparts.palette import state_shades

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoparts.figures.compact_volumes import Grid
    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.state_maps import StateMaps

    FloatArray = NDArray[np.float64]

SEEN_SHARE = 0.5
"""Of the contour level: what is denser is in the box that the scene keeps."""

DARKEST_SHARE = -0.15
"""Of the brightest density: the lower end of the grey scale."""

HIGHEST_CONTOUR = 3.0
"""Of the suggested level: as far up as the contour can be moved."""


def map_scene(
    maps: StateMaps,
    region: FloatArray,
    colour: str,
    poster: Picture,
    most_voxels: int,
    towards_viewer: FloatArray,
    titles: Mapping[int, str] | None = None,
) -> Scene | None:
    """The states' maps and their differences; None where all are empty.

    Parameters
    ----------
    maps : StateMaps
    region : array, shape (D, D, D)
        How much a voxel belongs to the part, 0 to 1.
    colour : str
        The part's.
    poster : Picture
        What stands in for it.
    most_voxels : int
        Of one map.
    towards_viewer : array, shape (3,)
        Unit vector (x, y, z) to the viewer.
    titles : mapping, optional
        What the states are called, in place of "state 1" and so on.
    """
    seen = np.any(
        [volume > SEEN_SHARE * maps.levels[s] for s, volume in maps.states.items()], axis=0
    )
    if not seen.any() or max(maps.levels.values()) <= 0:
        return None
    grid = grid_around(seen, most_voxels)
    shades = state_shades(maps.label, len(maps.states))
    shade_of = dict(zip(maps.states, shades, strict=True))
    content = {
        "kind": "maps",
        "frame": grid.frame(maps.voxel_size, maps.centre),
        "region": packed(np.rint(255 * np.clip(grid.sampled(region), 0, 1)).astype(np.uint8)),
        "colour": colour,
        "surface": SURFACE_COLOUR,
        "towards": [round(float(value), 4) for value in towards_viewer],
        "states": [
            {
                "title": (titles or {}).get(state, f"state {state}"),
                "level": maps.levels[state],
                "shade": shade_of[state],
            }
            | _state(maps, state, grid)
            for state in maps.states
        ],
        "differences": [
            {"one": list(maps.states).index(one), "other": list(maps.states).index(other)}
            | _difference(maps, (one, other), grid)
            for one, other in maps.differences
        ],
    }
    return Scene(poster, json.dumps(content))


def _state(maps: StateMaps, state: int, grid: Grid) -> dict[str, object]:
    volume = grid.sampled(maps.states[state])
    top = max(float(np.quantile(volume, 0.9999)), HIGHEST_CONTOUR * maps.levels[state], 1e-12)
    return coded(volume, DARKEST_SHARE * top, top)


def _difference(maps: StateMaps, pair: tuple[int, int], grid: Grid) -> dict[str, object]:
    difference = maps.differences[pair]
    volume = grid.sampled(difference.volume)
    reach = max(float(np.abs(volume).max()), 1.5 * difference.level, 1e-12)
    return {"level": difference.level} | coded(volume, -reach, reach)
