"""Motions as figures: arrows on the model, angles over the particles, the view down an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.figures.pictures import bare, new_figure, picture_of
from cryoparts.figures.viewpoints import facing_views
from cryoparts.motion.motion_paths import axis_ends, displacement_along
from cryoparts.palette import CORE_COLOUR, INK, part_colour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]

MOST_ARROWS = 40
"""Arrows drawn on a part: more hide it."""

_BINS = 41
"""Edges of the histogram of angles: 40 bins."""

_NEIGHBOURHOOD = 1.6
"""Extent shown about a part, in its own largest extent: it is seen with what is around it."""


def motion_on_model(
    model: GaussianModel, parts: PartLabels, contents: Mapping[int, dict[str, Any]]
) -> Picture:
    """Three views of the model with each part's axis and the way that its Gaussians go."""
    positions = model.positions.astype(np.float64)
    with new_figure(10.0, 3.9) as figure:
        panels = figure.subplots(1, 3)
        views = facing_views(positions, parts.labels)
        for axes, (name, view) in zip(panels, views, strict=True):
            _dots(axes, positions @ view.T, parts.labels, 9.0)
            for part, content in contents.items():
                own = positions[parts.members(part)]
                _arrows(axes, own, content, view, part_colour(part))
                if content["screw"]["turns"]:
                    _axis(axes, own, content, view, part_colour(part))
            axes.set_title(f"seen from {name}")
            axes.set_aspect("equal")
            bare(axes)
        return picture_of(
            figure,
            "motion_on_model",
            "Arrows lead from the 5% to the 95% quantile of each part's angle over the particles. "
            "Long thick arrows are the axes: seen against one, positive angles turn "
            "counter-clockwise.",
        )


def part_motion(
    part: int,
    title: str,
    model: GaussianModel,
    parts: PartLabels,
    content: dict[str, Any],
    angles_degrees: FloatArray,
) -> Picture:
    """Angles of one part over the particles, and the part seen against its axis."""
    colour = part_colour(part)
    with new_figure(8.2, 3.3) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        low, high = np.quantile(angles_degrees, [0.002, 0.998])
        left.hist(angles_degrees, bins=np.linspace(low, max(high, low + 1e-3), _BINS), color=colour)
        left.axvline(float(np.mean(angles_degrees)), color=INK, linewidth=1, linestyle="--")
        left.set(xlabel="angle about the mean axis (degrees)", ylabel="particles")
        left.set_title(f"{title}: {np.mean(angles_degrees):+.1f} ± {np.std(angles_degrees):.1f}°")
        _down_the_axis(right, part, model, parts, content)
        return picture_of(
            figure,
            f"part_{part}_motion",
            "Left: how far the part is turned about its mean axis in each particle; 0 is the "
            "neutral model, the dashed line the mean. Right: seen against the axis (cross), the "
            "way of its Gaussians from the 5% to the 95% quantile; grey is what is near.",
        )


def _down_the_axis(
    axes: Axes, part: int, model: GaussianModel, parts: PartLabels, content: dict[str, Any]
) -> None:
    axis = np.array(content["screw"]["axis"])
    helper = np.eye(3)[np.abs(axis).argmin()]
    right = np.cross(helper, axis)
    right /= np.linalg.norm(right)
    view = np.stack([right, np.cross(axis, right), axis])
    pivot = np.array(content["screw"]["pivot_angstrom"])
    placed = (model.positions.astype(np.float64) - pivot) @ view.T
    members = parts.members(part)
    own = placed[members]
    middle, reach = own.mean(axis=0), _NEIGHBOURHOOD * float(np.ptp(own, axis=0).max()) / 2
    near = (np.abs(placed - middle) < reach).all(axis=1) | members
    _dots(axes, placed[near], np.where(members, part, 0)[near], 22.0)
    centred = {"screw": {**content["screw"], "pivot_angstrom": [0.0, 0.0, 0.0]}}
    turned = centred | {"signed_angle_degrees": content["signed_angle_degrees"]}
    _arrows(axes, own @ view, turned, view, INK)
    axes.plot(0, 0, marker="+", color=INK, markersize=11, markeredgewidth=2)
    axes.annotate("axis", (0, 0), xytext=(6, 6), textcoords="offset points", fontsize=8)
    axes.set_title("seen against the axis")
    axes.set_aspect("equal")
    bare(axes)


def _dots(axes: Axes, placed: FloatArray, labels: NDArray[np.int64], size: float) -> None:
    """Gaussians at (right, up, towards the viewer), pale, what is nearer over the rest."""
    order = np.argsort(placed[:, 2])
    colours = [part_colour(int(v)) if v > 0 else CORE_COLOUR for v in labels[order]]
    axes.scatter(placed[order, 0], placed[order, 1], s=size, c=colours, alpha=0.28, linewidths=0)


def _arrows(
    axes: Axes, positions: FloatArray, content: dict[str, Any], view: FloatArray, colour: str
) -> None:
    chosen = positions[np.unique(np.linspace(0, len(positions) - 1, MOST_ARROWS).astype(int))]
    first, last = (points @ view.T for points in displacement_along(chosen, content))
    way = last - first
    axes.quiver(
        first[:, 0],
        first[:, 1],
        way[:, 0],
        way[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
        color=colour,
        zorder=3,
    )
    _make_room(axes, last)


def _axis(
    axes: Axes, positions: FloatArray, content: dict[str, Any], view: FloatArray, colour: str
) -> None:
    start, end = (point @ view.T for point in axis_ends(positions, content["screw"]))
    axes.annotate(
        "",
        xy=(end[0], end[1]),
        xytext=(start[0], start[1]),
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "mutation_scale": 13},
        zorder=4,
    )
    axes.plot(*np.array(content["screw"]["pivot_angstrom"]) @ view.T[:, :2], "o", color=INK, ms=4)
    _make_room(axes, np.stack([start, end]))


def _make_room(axes: Axes, placed: FloatArray) -> None:
    """Arrows do not widen the axes by themselves: their ends must."""
    axes.update_datalim(placed[:, :2])
    axes.autoscale_view()
