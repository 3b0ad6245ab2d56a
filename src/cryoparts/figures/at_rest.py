"""Before and after: the consensus and the map at rest, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.figures.pictures import bare, new_figure, picture_of
from cryoparts.figures.state_maps import contour_levels, without_dust
from cryoparts.figures.surface_rendering import Surface, render
from cryoparts.palette import INK, MUTED, part_colour, part_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.viewpoints import Viewpoint

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

FINE_COLOUR, COARSE_COLOUR = "#2166ac", "#d55e00"
"""Of the best and of the worst local resolution in the picture."""

TITLES = ("consensus", "at rest")


@dataclass(frozen=True)
class BeforeAfter:
    """Two maps on one grid, with the local resolution of each.

    Parameters
    ----------
    maps : (float32 array, float32 array)
        Shape (D, D, D): consensus and composite.
    local : (float32 array, float32 array)
        Å.
    mask : float32 array, shape (D, D, D)
        Of the molecule.
    voxel_size : float
        Å.
    """

    maps: tuple[Map, Map]
    local: tuple[Map, Map]
    mask: Map
    voxel_size: float

    @property
    def range_angstrom(self) -> tuple[float, float]:
        """Local resolution that is drawn from one colour to the other: 2% to 98% of both."""
        inside = self.mask > 0.5
        values = np.concatenate([local[inside] for local in self.local])
        low, high = (float(np.quantile(values, q)) for q in (0.02, 0.98))
        return low, max(high, low + 0.1)

    @property
    def radius(self) -> float:
        """Voxels from the box centre that hold the molecule."""
        inside = np.argwhere(self.mask > 0.5) - len(self.mask) // 2
        if not len(inside):
            return len(self.mask) / 2
        return float(1.1 * np.quantile(np.linalg.norm(inside, axis=1), 0.995))


def rest_surfaces(shown: BeforeAfter, viewpoint: Viewpoint) -> Picture:
    """Isosurfaces at one contour, coloured by local resolution, from two sides."""
    states = dict(enumerate(shown.maps, start=1))
    # one level of what both have in common
    levels = contour_levels(states)
    low, high = shown.range_angstrom
    with new_figure(6.8, 6.4) as figure:
        grid = figure.subplots(2, 2)
        for column, (title, local) in enumerate(zip(TITLES, shown.local, strict=True)):
            volume, level = states[column + 1], levels[column + 1]
            share = np.clip((local.astype(np.float64) - low) / (high - low), 0, 1)
            surface = Surface(
                without_dust(volume, level),
                level,
                FINE_COLOUR,
                region=share,
                region_colour=COARSE_COLOUR,
            )
            for row, side in enumerate((viewpoint.front, viewpoint.side)):
                drawn = render([surface], side, shown.radius)
                grid[row, column].imshow(drawn, interpolation="bilinear")
                bare(grid[row, column])
            grid[0, column].set_title(title, loc="center")
        return picture_of(
            figure,
            "at_rest_surfaces",
            "Isosurfaces of the consensus and of the map at rest at one contour, coloured by local "
            f"resolution, from {low:.1f} Å (blue) to {high:.1f} Å (orange); two sides.",
            light=True,
        )


def rest_slices(shown: BeforeAfter, centre_angstrom: FloatArray, name: str) -> Picture:
    """Slices of both maps through one part, and of both maps' local resolution."""
    size = len(shown.mask)
    z, y, x = (
        int(np.clip(round(float(c) / shown.voxel_size) + size // 2, 0, size - 1))
        for c in centre_angstrom[::-1]
    )
    top = max(max(float(np.quantile(m, 0.9995)) for m in shown.maps), 1e-12)
    low, high = shown.range_angstrom
    with new_figure(7.2, 7.4) as figure:
        grid = figure.subplots(3, 4)
        for column, title in enumerate(TITLES):
            for row, cut in enumerate(((z,), (slice(None), y), (slice(None), slice(None), x))):
                density = grid[row, column].imshow(
                    shown.maps[column][cut],
                    origin="lower",
                    vmin=-0.15 * top,
                    vmax=top,
                    cmap="gray",
                )
                local = np.ma.masked_where(shown.mask[cut] < 0.5, shown.local[column][cut])
                colours = grid[row, 2 + column].imshow(
                    local, origin="lower", vmin=low, vmax=high, cmap="viridis_r"
                )
            grid[0, column].set_title(title, loc="center")
            grid[0, 2 + column].set_title(f"{title}, local resolution", loc="center", fontsize=8)
        reach = min(shown.radius, size / 2)
        for axes in grid.flat:
            _plain(axes)
            axes.set(xlim=(size // 2 - reach, size // 2 + reach))
            axes.set(ylim=(size // 2 - reach, size // 2 + reach))
        for axes, plane in zip(grid[:, 0], ("xy", "xz", "yz"), strict=True):
            axes.set_ylabel(f"{plane} plane")
        for shown_as, columns, label in (
            (density, slice(0, 2), "density"),
            (colours, slice(2, 4), "local resolution (Å)"),
        ):
            figure.colorbar(
                shown_as, ax=grid[:, columns], label=label, aspect=25, shrink=0.8, location="bottom"
            )
        return picture_of(
            figure,
            "at_rest_slices",
            f"Slices through the middle of {part_words(name)} before and after, and the local "
            "resolution there (only within the molecule). The first axis of a plane runs to the "
            "right, the second up.",
            light=True,
        )


def _plain(axes: Axes) -> None:
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def rest_fsc(frequency: FloatArray, curves: Mapping[str, tuple[FloatArray, FloatArray]]) -> Picture:
    """Corrected FSC of each region before (dashed) and after (solid).

    Parameters
    ----------
    frequency : array, shape (S,)
        Of the shells, 1/Å.
    curves : mapping of str to (array, array)
        Of each region, before and after; NaN where undefined.
    """
    with new_figure(6.6, 3.6) as figure:
        axes = figure.subplots()
        for number, (name, (before, after)) in enumerate(curves.items()):
            label = int(name.removeprefix("part_")) if name.startswith("part_") else 0
            colour = part_colour(label) if number or label else MUTED
            drawn: dict[str, Any] = {"color": colour, "linewidth": 1.4}
            axes.plot(frequency, before, linestyle="--", **drawn)
            axes.plot(frequency, after, label=part_words(name), **drawn)
        axes.axhline(0.143, color=INK, linewidth=0.8)
        axes.annotate("0.143", (frequency[1], 0.143), xytext=(0, 3), textcoords="offset points",
                      fontsize=8, color=MUTED)  # fmt: skip
        axes.set(xlabel="frequency (1/Å)", ylabel="FSC", ylim=(-0.1, 1.03), xlim=(0, frequency[-1]))
        axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0.02, 0.24))
        return picture_of(
            figure,
            "at_rest_fsc",
            "Fourier shell correlation of the half maps within each region, corrected for the "
            "mask: consensus dashed, the map that is kept solid.",
        )
