"""Frames of movies: a part along its motion, or from state to state, as shaded surfaces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryoparts.figures.maps import part_region, picture_radius
from cryoparts.figures.state_maps import contour_level, without_dust
from cryoparts.figures.surface_rendering import Surface, render
from cryoparts.figures.viewpoints import viewpoint_of
from cryoparts.gaussians.density import render as density_of
from cryoparts.gaussians.model import GaussianModel
from cryoparts.motion.motion_paths import places_along
from cryoparts.palette import CORE_COLOUR, part_colour
from cryoparts.parallel.cores import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoparts.figures.state_maps import StateMaps
    from cryoparts.parts.part_labels import PartLabels

    Frame = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]
    Done = Callable[[int, int], None]

T = TypeVar("T")

MARGIN = 1.12
"""Of a picture's radius over the farthest Gaussian's."""


def motion_frames(
    model: GaussianModel,
    labels: PartLabels,
    part: int,
    content: dict[str, Any],
    *,
    count: int,
    size: int,
    box_size: int,
    pixel_size: float,
    done: Done,
) -> list[Frame]:
    """A part's Gaussians from the 5% to the 95% quantile of its motion and back, the rest still.

    Parameters
    ----------
    model, labels, part : GaussianModel, PartLabels, int
    content : dict
        The part's entry in motions.json.
    count : int
        Frames there and back.
    size : int
        Pixels of a frame's side.
    box_size, pixel_size : int, float
        Grid of the surfaces, voxels and Å.
    done : callable
        Told how many frames are drawn.
    """
    members = labels.members(part)
    positions = model.positions.astype(np.float64)
    level = contour_level(density_of(model, box_size, pixel_size))
    rest = Surface(_density(model, ~members, positions, box_size, pixel_size), level, CORE_COLOUR)
    places = places_along(positions[members], content, _there(count))
    view = viewpoint_of(positions[members], positions[~members]).side
    reach = np.linalg.norm(positions, axis=1).max() + model.widths.max()
    radius = min(MARGIN * float(reach) / pixel_size, box_size / 2)

    def draw(placed: FloatArray) -> Frame:
        moved = positions.copy()
        moved[members] = placed
        density = _density(model, members, moved, box_size, pixel_size)
        own = Surface(density, level, part_colour(part))
        return _on_white(render([rest, own], view, radius, size))

    return _there_and_back(_drawn(list(places), draw, done), count)


def state_frames(
    maps: StateMaps,
    model: GaussianModel,
    labels: PartLabels,
    *,
    count: int,
    size: int,
    done: Done,
) -> list[Frame]:
    """From each state's map to the next and back to the first, contoured alike.

    What is seen between two states is the weighted mean of their maps, not a map of anything.
    """
    members = labels.members(maps.label)
    positions = model.positions.astype(np.float64)
    region = part_region(maps, positions[members], positions[~members])
    view = viewpoint_of(positions[members], positions[~members]).side
    radius = picture_radius(maps)
    scaled = [volume / maps.levels[state] for state, volume in maps.states.items()]
    steps = max(count // max(len(scaled) - 1, 1) // 2, 2)
    mixed = [(len(scaled) - 1, 0.0)] if len(scaled) == 1 else []
    for place in range(len(scaled) - 1):
        mixed += [(place, share / steps) for share in range(steps)]
    mixed.append((len(scaled) - 1, 0.0))

    def draw(where: tuple[int, float]) -> Frame:
        place, share = where
        after = scaled[min(place + 1, len(scaled) - 1)]
        volume = np.asarray((1 - share) * scaled[place] + share * after, dtype=np.float32)
        surface = Surface(
            without_dust(volume, 1.0), 1.0, CORE_COLOUR, region=region,
            region_colour=part_colour(maps.label),
        )  # fmt: skip
        return _on_white(render([surface], view, radius, size))

    frames = _drawn(mixed, draw, done)
    return [*frames, *frames[-2:0:-1]]


def _there(count: int) -> int:
    """Frames of the way there: the ends are shown once."""
    return max(count // 2 + 1, 2)


def _there_and_back(frames: list[Frame], count: int) -> list[Frame]:
    return [*frames, *frames[-2:0:-1]][: max(count, 2)]


def _density(
    model: GaussianModel,
    chosen: NDArray[np.bool_],
    positions: FloatArray,
    box_size: int,
    pixel_size: float,
) -> NDArray[np.float32]:
    some = GaussianModel.of(positions[chosen], model.amplitudes[chosen], model.widths[chosen])
    return density_of(some, box_size, pixel_size)


def _drawn(places: Sequence[T], draw: Callable[[T], Frame], done: Done) -> list[Frame]:
    frames = []
    with ThreadPoolExecutor(cores()) as pool:
        for frame in pool.map(draw, places):
            frames.append(frame)
            done(len(frames), len(places))
    return frames


def _on_white(image: NDArray[np.uint8]) -> Frame:
    """Colours over white; rows and columns are even, as video wants them."""
    alpha = image[..., 3:].astype(np.float64) / 255
    flat = alpha * image[..., :3] + 255 * (1 - alpha)
    height, width = (2 * (side // 2) for side in flat.shape[:2])
    return np.asarray(np.rint(flat[:height, :width]), dtype=np.uint8)
