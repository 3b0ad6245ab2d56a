"""The parts on the model: a rotatable scene, three still views, and the Gaussians' plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from cryoparts.figures.molecule_scene import molecule_json
from cryoparts.figures.pictures import Scene, bare, new_figure, picture_of
from cryoparts.figures.viewpoints import facing_views
from cryoparts.palette import GRID, INK, part_colour, part_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]

SCALE_BARS = (10, 20, 50, 100, 200)
"""Lengths of a scale bar, Å: the largest that fits is drawn."""


def parts_on_model(
    model: GaussianModel,
    parts: PartLabels | None,
    motions: Mapping[int, dict[str, Any]] | None = None,
) -> Scene:
    """The molecule coloured by part, in a scene and in three still views.

    Parameters
    ----------
    model : GaussianModel
    parts : PartLabels or None
    motions : mapping, optional
        Of each part that moves: its entry in motions.json. The scene plays it.
    """
    labels = np.zeros(len(model), dtype=np.int64) if parts is None else parts.labels
    return Scene(
        _still_views(model, labels, _ball_sizes(model)),
        molecule_json(model, labels, parts, motions or {}),
    )


def _ball_sizes(model: GaussianModel) -> FloatArray:
    """Marker diameter of each Gaussian as a part of the typical one: by its mass."""
    amplitude = model.amplitudes.astype(np.float64)
    typical = max(float(np.median(amplitude)), 1e-30)
    sizes: FloatArray = np.clip(np.cbrt(amplitude / typical), 0.4, 2.0)
    return sizes


def _ordered(labels: NDArray[np.int64]) -> list[int]:
    """Parts first, then the core, then what is unassigned: the order of the legend."""
    present = [int(v) for v in np.unique(labels)]
    return [v for v in present if v > 0] + [v for v in (0, -1) if v in present]


def _still_views(model: GaussianModel, labels: NDArray[np.int64], sizes: FloatArray) -> Picture:
    with new_figure(10.0, 3.9) as figure:
        panels = figure.subplots(1, 3)
        for axes, (name, view) in zip(panels, facing_views(model.positions, labels), strict=True):
            _draw_view(axes, model.positions @ view.T, labels, sizes)
            axes.set_title(f"seen from {name}")
        _scale_bar(panels[0], float(np.ptp(model.positions, axis=0).max()))
        caption = "The Gaussians of the neutral model, one ball each, sized by mass."
        if (labels > 0).any():
            _part_legend(figure, _ordered(labels))
            caption += " Colours are parts; grey does not change over the particles."
        return picture_of(figure, "parts_on_model", caption)


def _part_legend(figure: Figure, labels: list[int]) -> None:
    handles = [
        Line2D([], [], color=part_colour(label), marker="o", linestyle="none", markersize=6)
        for label in labels
    ]
    figure.legend(
        handles,
        [part_title(label) for label in labels],
        loc="outside lower center",
        ncols=min(len(labels), 10),
        handletextpad=0.1,
    )


def _draw_view(
    axes: Axes, positions: FloatArray, labels: NDArray[np.int64], sizes: FloatArray
) -> None:
    """Balls at (right, up, towards the viewer): what lies nearer is drawn later, over the rest."""
    order = np.argsort(positions[:, 2])
    span = float(np.ptp(positions, axis=0).max()) + 1e-6
    # 3.1 inches hold the span; a ball is about as wide as the Gaussians' spacing
    spacing = span / np.cbrt(max(len(positions), 1))
    points = 72 * 3.1 * 0.8 * spacing / span
    near = (positions[order, 2] - positions[:, 2].min()) / span
    axes.scatter(
        positions[order, 0],
        positions[order, 1],
        s=(points * sizes[order]) ** 2,
        c=[
            _toward_white(part_colour(int(v)), 0.45 * (1 - n))
            for v, n in zip(labels[order], near, strict=True)
        ],
        edgecolors=(0, 0, 0, 0.18),
        linewidths=0.3,
        clip_on=False,
    )
    axes.margins(0.08)
    axes.set_aspect("equal")
    bare(axes)


def _toward_white(colour: str, amount: float) -> tuple[float, float, float]:
    """Distance fades: the depth cue of the still views."""
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(c + (1 - c) * amount for c in (r, g, b))  # type: ignore[return-value]


def _scale_bar(axes: Axes, span: float) -> None:
    length = max((bar for bar in SCALE_BARS if bar <= max(span / 3, 10)), default=10)
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    axes.plot([left, left + length], [bottom, bottom], color=INK, linewidth=2, clip_on=False)
    axes.annotate(
        f"{length} Å",
        (left + length, bottom),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def gaussian_plane(parts: PartLabels) -> Picture:
    """The plane in which Gaussians that change together lie together, coloured by part."""
    with new_figure(5.4, 4.0) as figure:
        axes = figure.subplots()
        for label in reversed(_ordered(parts.labels)):
            chosen = parts.members(label)
            axes.scatter(
                parts.embedding[chosen, 0],
                parts.embedding[chosen, 1],
                s=9,
                color=part_colour(label),
                linewidths=0,
                alpha=0.8,
                label=part_title(label),
            )
        handles, names = axes.get_legend_handles_labels()
        axes.legend(
            handles[::-1],
            names[::-1],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            markerscale=1.6,
        )
        axes.set(
            xlabel=f"{parts.method.upper()} axis 1 (arbitrary unit)",
            ylabel=f"{parts.method.upper()} axis 2 (arbitrary unit)",
        )
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        axes.grid(color=GRID)
        return picture_of(
            figure,
            "gaussian_plane",
            "One dot a Gaussian: those that change together over the particles lie together. "
            "Distances between far groups mean little.",
        )
