"""Still pictures of a part's maps: surfaces from two sides, and slices through the part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy.ndimage import gaussian_filter

from cryoparts.figures.pictures import bare, new_figure, picture_of
from cryoparts.figures.state_maps import without_dust
from cryoparts.figures.surface_rendering import Surface, render
from cryoparts.palette import state_shades
from cryoparts.parallel.cores import cores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.state_maps import StateMaps, Volume
    from cryoparts.figures.viewpoints import Viewpoint

    FloatArray = NDArray[np.float64]

SURFACE_COLOUR = "#c3ccd6"
MOST_STATES = 5
"""States side by side in one figure; the others are in the tables."""


def picture_radius(maps: StateMaps) -> float:
    """Voxels from the box centre that hold every state's surface, with a margin."""
    radius = 0.25 * maps.centre
    for state, volume in maps.states.items():
        inside = np.argwhere(volume > maps.levels[state]) - maps.centre
        if len(inside):
            radius = max(radius, float(np.quantile(np.linalg.norm(inside, axis=1), 0.995)))
    return float(min(1.08 * radius + 1, np.sqrt(3) * maps.centre))


@dataclass(frozen=True)
class MapView:
    """A map, or a difference of two, drawn from two sides.

    Parameters
    ----------
    title : str
    front, side : uint8 arrays, shape (rows, columns, 4)
        The part towards the viewer; and, a quarter turn on, the part to the right.
    """

    title: str
    front: NDArray[np.uint8]
    side: NDArray[np.uint8]


def map_views(
    maps: StateMaps, part_region: FloatArray, colour: str, viewpoint: Viewpoint
) -> list[MapView]:
    """Every state and the first difference, seen from two sides; drawn on all cores.

    Parameters
    ----------
    maps : StateMaps
    part_region : array, shape (D, D, D)
        How much a voxel belongs to the part, 0 to 1.
    colour : str
        The part's colour.
    viewpoint : Viewpoint
    """
    drawn = [
        (f"state {state}", [_surface(volume, maps.levels[state], part_region, colour)])
        for state, volume in list(maps.states.items())[:MOST_STATES]
    ]
    drawn += [_difference(maps, pair) for pair in list(maps.differences)[:1]]
    radius = picture_radius(maps)
    sides = [(layers, side) for _, layers in drawn for side in (viewpoint.front, viewpoint.side)]
    # the casting of rays, which takes most of the time, runs beside other threads
    with ThreadPoolExecutor(cores()) as pool:
        images = list(pool.map(lambda one: render(one[0], one[1], radius), sides))
    titles = [title for title, _ in drawn]
    return [MapView(*of) for of in zip(titles, images[::2], images[1::2], strict=True)]


def surfaces(label: int, views: list[MapView]) -> Picture:
    """All views of a part's maps in one figure."""
    wide = min(3.3, 10.4 / len(views))
    with new_figure(wide * len(views), 2 * wide + 0.3) as figure:
        grid = figure.subplots(2, len(views), squeeze=False)
        for column, view in enumerate(views):
            for row, image in enumerate((view.front, view.side)):
                grid[row, column].imshow(image, interpolation="bilinear")
                bare(grid[row, column])
            grid[0, column].set_title(view.title, loc="center")
        return picture_of(figure, f"part_{label}_maps", maps_caption(label), light=True)


def maps_caption(label: int) -> str:
    """What the views of a part's maps show."""
    return (
        f"Isosurfaces of the states’ maps, contoured alike; the region of part {label} in its "
        "colour. Top: the part towards the viewer; bottom: a quarter turn on, the part to the "
        "right. In the difference, dark is density that only the first of the two states has, "
        "light what only the second has."
    )


def _surface(volume: Volume, level: float, region: FloatArray, colour: str) -> Surface:
    clean = without_dust(volume, level)
    return Surface(clean, level, SURFACE_COLOUR, region=region, region_colour=colour)


def _difference(maps: StateMaps, pair: tuple[int, int]) -> tuple[str, list[Surface]]:
    one, other = pair
    difference, level = maps.differences[pair], maps.levels[other]
    title = f"state {one} − state {other}"
    if not (np.abs(difference.volume) > difference.level).any():
        title += "\n(nothing above the noise)"
    more, less = difference_colours(maps.label)
    signed = ((difference.volume, more), (-difference.volume, less))
    return title, [
        Surface(without_dust(maps.states[other], level), level, SURFACE_COLOUR, opacity=0.35),
        *(
            Surface(without_dust(volume, difference.level), difference.level, colour)
            for volume, colour in signed
        ),
    ]


def difference_colours(label: int) -> tuple[str, str]:
    """Of density that the first state has more of, and of what the second has: as two states."""
    first, last = state_shades(label, 2)
    return first, last


def part_region(maps: StateMaps, positions: FloatArray, others: FloatArray) -> FloatArray:
    """How much each voxel belongs to the part (positions) against the rest: 0 to 1."""
    shape = next(iter(maps.states.values())).shape
    mine, rest = _counted(maps, positions, shape), _counted(maps, others, shape)
    total = mine + rest
    share: FloatArray = np.where(total > 1e-9, mine / np.maximum(total, 1e-9), 0.0)
    # a border sharper than the blur that made it
    return np.clip(3 * (share - 0.5) + 0.5, 0, 1)


def _counted(maps: StateMaps, positions: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    grid = np.zeros(shape)
    voxels = np.rint(positions[:, ::-1] / maps.voxel_size).astype(np.int64) + maps.centre
    inside = ((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)
    np.add.at(grid, tuple(voxels[inside].T), 1.0)
    blurred: FloatArray = gaussian_filter(grid, max(6.0 / maps.voxel_size, 1.0), truncate=4)
    return blurred


def slices(maps: StateMaps, centre_angstrom: FloatArray) -> Picture:
    """Slices through the middle of the part: every state, then the first difference."""
    through = _voxel(maps, centre_angstrom)
    shown = list(maps.states.items())[:MOST_STATES]
    pairs = list(maps.differences.items())[:1]
    columns = len(shown) + len(pairs)
    top = max(max(float(np.quantile(volume, 0.9995)) for _, volume in shown), 1e-12)
    with new_figure(min(1.62 * columns + 0.35, 10.4), 5.5) as figure:
        grid = figure.subplots(3, columns, squeeze=False)
        for column, (state, volume) in enumerate(shown):
            image = _draw_slices(grid[:, column], volume, through, (-0.15 * top, top), "gray")
            grid[0, column].set_title(f"state {state}", loc="center")
        figure.colorbar(
            image,
            ax=grid[:, : len(shown)],
            label="density (arbitrary unit)",
            aspect=25,
            shrink=0.7,
            location="bottom",
            pad=0.02,
        )
        for column, ((one, other), difference) in enumerate(pairs, start=len(shown)):
            limit = max(0.8 * top, difference.level)
            image = _draw_slices(
                grid[:, column], difference.volume, through, (-limit, limit), _between(maps.label)
            )
            grid[0, column].set_title(f"{one} − {other}", loc="center")
            figure.colorbar(
                image,
                ax=grid[:, column],
                label=f"light: more in {other},\ndark: more in {one}",
                aspect=15,
                location="bottom",
                pad=0.02,
            )
        for axes, name in zip(grid[:, 0], ("xy", "xz", "yz"), strict=True):
            axes.set_ylabel(f"{name} plane")
        _scale_bar(grid[0, 0], maps)
        place = ", ".join(
            f"{axis} = {value:.0f} Å" for axis, value in zip("xyz", centre_angstrom, strict=True)
        )
        return picture_of(
            figure,
            f"part_{maps.label}_slices",
            f"Slices through the middle of part {maps.label} ({place}). The first axis of a "
            "plane runs to the right, the second up.",
            light=True,
        )


def _between(label: int) -> Colormap:
    """From the shade of the second state over white to that of the first."""
    more, less = difference_colours(label)
    return LinearSegmentedColormap.from_list("difference", [less, "#ffffff", more])


def _voxel(maps: StateMaps, point: FloatArray) -> tuple[int, int, int]:
    """(z, y, x) of the voxel at a point (x, y, z), Å; the nearest one inside the box."""
    shape = next(iter(maps.states.values())).shape
    z, y, x = (
        int(np.clip(round(float(c) / maps.voxel_size) + maps.centre, 0, n - 1))
        for c, n in zip(point[::-1], shape, strict=True)
    )
    return z, y, x


def _draw_slices(
    column: NDArray[np.object_],
    volume: NDArray[np.float32],
    through: tuple[int, int, int],
    limits: tuple[float, float],
    colours: str | Colormap,
) -> AxesImage:
    z, y, x = through
    for axes, plane in zip(column, (volume[z], volume[:, y], volume[:, :, x]), strict=True):
        axes.grid(visible=False)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        image = axes.imshow(plane, origin="lower", vmin=limits[0], vmax=limits[1], cmap=colours)
    return image  # type: ignore[no-any-return]


def _scale_bar(axes: Axes, maps: StateMaps) -> None:
    """A white bar of a round length in the lower left corner."""
    side = 2 * maps.centre
    length = max(
        (bar for bar in (5, 10, 20, 50, 100, 200) if bar <= 0.4 * side * maps.voxel_size), default=5
    )
    start, y = 0.06 * side, 0.06 * side
    axes.plot([start, start + length / maps.voxel_size], [y, y], color="white", linewidth=2)
    axes.annotate(
        f"{length} Å",
        (start, y),
        xytext=(0, 3),
        textcoords="offset points",
        color="white",
        fontsize=8,
    )
