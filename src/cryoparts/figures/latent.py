"""The latent space of the particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.io.names import rows_or_absent
from cryoparts.palette import state_shades
from cryoparts.statistics.principal_components import principal_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.figures.part_states import PartStates
    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.run_results import Latent

    FloatArray = NDArray[np.float64]

MANY_PARTICLES = 3000
"""Above this a density says more than dots."""

MOST_DOTS = 6000
"""Dots in a panel: more lie on each other and make the page heavy."""

PANELS_A_ROW = 4
"""Panels side by side: more would be too small to read."""

DENSITY = LinearSegmentedColormap.from_list("density", ["#c9d6e3", "#3d6d99", "#0b2338"])


@dataclass(frozen=True)
class Plane:
    """Points in their plane of largest variance: (P, 2), and the share of each axis."""

    points: FloatArray
    share: tuple[float, float]
    axis_names: tuple[str, str]


def principal_plane(z: ArrayLike) -> Plane:
    """The two directions of largest variance; the axes themselves where there are only two."""
    values = np.asarray(z, dtype=np.float64)
    centred = values - values.mean(axis=0) if len(values) else values
    variance = (centred**2).sum(axis=0)
    names = ("z 1", "z 2")
    if values.shape[1] == 1:
        points = np.column_stack([values[:, 0], np.zeros(len(values))])
        return Plane(points, (1.0, 0.0), ("z 1", ""))
    if values.shape[1] == 2:
        points, squares = values, variance
    else:
        points, names = np.zeros((len(values), 2)), ("PC 1", "PC 2")
        scores = principal_scores(values, 2) if len(values) else points
        points[:, : scores.shape[1]] = scores
        squares = (points**2).sum(axis=0)
    total = max(float(variance.sum()), 1e-30)
    return Plane(points, (float(squares[0]) / total, float(squares[1]) / total), names)


def latent_space(latent: Latent, states: dict[int, PartStates]) -> Picture:
    """Density of the particles, and one panel a part coloured by its states."""
    plane = principal_plane(latent.z)
    shown = list(states.values())[: 2 * PANELS_A_ROW - 1]
    panels = 1 + len(shown)
    columns = min(panels, PANELS_A_ROW)
    rows = -(-panels // columns)
    with new_figure(max(4.2, 2.8 * columns), 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        draw_density(grid[0], plane.points)
        grid[0].set_title("all particles")
        for axes, part in zip(grid[1:], shown, strict=False):
            own = rows_or_absent(part.focused.names, latent.names)
            state = np.where(own < 0, 0, part.focused.states[own])
            draw_states(axes, plane.points, state, part.shades)
            axes.set_title(f"by the states of part {part.label}")
        for number, axes in enumerate(grid):
            if number >= panels:
                axes.set_axis_off()
            if number + columns >= panels:
                axes.set_xlabel(f"{plane.axis_names[0]} ({plane.share[0]:.0%} of variance)")
                axes.xaxis.set_tick_params(labelbottom=True)
        for axes in grid[::columns]:
            axes.set_ylabel(f"{plane.axis_names[1]} ({plane.share[1]:.0%})")
        if shown:
            most = max(shown, key=lambda part: len(part.states))
            state_legend(figure, most.states, state_shades(0, len(most.states)))
        return picture_of(
            figure,
            "latent_space",
            f"Each particle's {latent.z.shape[1]} latent numbers, "
            "shown in their plane of largest variance."
            + (" Shades are the states of one part at a time." if shown else ""),
            light=True,
        )


def draw_density(axes: Axes, points: FloatArray) -> None:
    """Dots for few particles, hexagons counted on a logarithmic scale for many."""
    if len(points) <= MANY_PARTICLES:
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=dot_area(len(points)),
            color="#334e68",
            alpha=0.6,
            linewidths=0,
        )
    else:
        axes.hexbin(
            points[:, 0],
            points[:, 1],
            gridsize=50,
            bins="log",
            cmap=DENSITY,
            mincnt=1,
            linewidths=0.1,
        )


def draw_states(
    axes: Axes, points: FloatArray, state: NDArray[np.int64], shades: Mapping[int, str]
) -> None:
    """Dots in the shade of their state, in an order that hides none; a sample of very many."""
    order = np.random.default_rng(0).permutation(len(points))[:MOST_DOTS]
    order = order[state[order] > 0]
    if len(order):
        axes.scatter(
            points[order, 0],
            points[order, 1],
            c=[shades[int(s)] for s in state[order]],
            s=dot_area(len(order)),
            alpha=0.7,
            linewidths=0,
        )


def dot_area(count: int) -> float:
    """Area of a dot (points squared) that is seen among so many."""
    return float(np.clip(6000 / max(count, 1), 4, 30))


def state_legend(figure: Figure, states: list[int], shades: list[str]) -> None:
    """One legend of states for all panels, below them."""
    handles = [
        Line2D([], [], color=shade, marker="o", linestyle="none", markersize=5) for shade in shades
    ]
    names = [f"state {number}" for number in states]
    figure.legend(handles, names, loc="outside lower center", ncols=8, handletextpad=0.1)
