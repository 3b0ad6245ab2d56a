"""Figures that every benchmark has: sweep over the noise, latent space, Gaussians and parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from cryoparts.benchmark.drawing import (
    ShownRun,
    best_view,
    draw_balls,
    latent_plane,
    method_colour,
)
from cryoparts.benchmark.metrics import METRICS
from cryoparts.benchmark.table import DECODER_TITLES, METHOD_ORDER, method_title
from cryoparts.figures.latent import draw_states
from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.palette import GRID, part_colour, state_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from cryoparts.benchmark.table import Table
    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]

MAIN_METRIC = {
    "composition": "accuracy",
    "motion": "rmsd_angstrom",
    "both": "area_mean",
    "assembly": "presence_auc",
}
PANELS_A_ROW = 4
"""Panels side by side: more would be too small to read in print."""


def noise_sweep(benchmark: str, tables: Sequence[Table]) -> Picture | None:
    """The main number against the signal-to-noise ratio; None for a single ratio."""
    key = MAIN_METRIC[benchmark]
    metric = next(m for m in METRICS[benchmark] if m.key == key)
    first = tables[0].kind
    alike = [t for t in tables if t.kind == replace(first, snr=t.kind.snr)]
    if len({t.kind.snr for t in alike}) < 2:
        return None
    ordered = sorted(alike, key=lambda t: t.kind.snr)
    factor = 100.0 if metric.unit == "share" else 1.0
    with new_figure(5.2, 3.4) as figure:
        axes = figure.subplots()
        for method in METHOD_ORDER:
            found = [(t.kind.snr, s) for t in ordered if (s := t.spread(method, key)) is not None]
            if not found:
                continue
            middle = np.array([s.mean for _, s in found])
            low, high = ([getattr(s, end) for _, s in found] for end in ("low", "high"))
            axes.errorbar(
                [snr for snr, _ in found],
                factor * middle,
                yerr=factor * np.abs(np.array([low, high]) - middle),
                color=method_colour(method),
                linestyle="-" if method in DECODER_TITLES else "--",
                marker="o",
                markersize=4,
                capsize=3,
                label=method_title(method),
            )
        axes.set_xscale("log")
        ratios = [t.kind.snr for t in ordered]
        axes.set_xticks(ratios, [f"{snr:g}" for snr in ratios])
        axes.minorticks_off()
        unit = {"share": " (%)", "angstrom": " (Å)"}.get(metric.unit, "")
        axes.set(xlabel="signal-to-noise ratio", ylabel=metric.title + unit)
        axes.legend()
        return picture_of(
            figure,
            "noise_sweep",
            f"{metric.title.capitalize()} against the noise; bars run from the lowest to the "
            "highest run. The oracle is told the truth's segments and solves for the rest.",
        )


def latent_by_truth(
    run: ShownRun,
    panels: Sequence[tuple[str, NDArray[Any]]],
    colours: str | Colormap,
    label: str,
    ticks: Sequence[tuple[float, str]] = (),
) -> Picture:
    """The particles' latent space, one panel a true quantity.

    Parameters
    ----------
    run : ShownRun
    panels : sequence of (title, values (P,))
    colours : str or Colormap
        One of matplotlib's colour maps.
    label : str
        What the values are.
    ticks : sequence of (value, text)
        Of the colour bar, where values are classes.
    """
    rows = run.dots()
    plane = latent_plane(run, rows)
    columns = min(len(panels), PANELS_A_ROW)
    lines = -(-len(panels) // columns)
    limit = [float(f(v[rows].astype(float))) for f in (np.min, np.max) for _, v in panels]
    low, high = min(limit), max(limit)
    with new_figure(max(2.5 * columns, 4.0), 2.5 * lines + 0.3) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, values) in zip(grid.ravel(), panels, strict=False):
            dots = axes.scatter(
                plane[:, 0],
                plane[:, 1],
                c=values[rows].astype(float),
                cmap=colours,
                vmin=low,
                vmax=high,
                s=max(1.5, 6000 / len(rows)) if len(rows) < 3000 else 2.5,
                linewidths=0,
            )
            axes.set_title(title)
            axes.tick_params(labelbottom=False, labelleft=False, length=0)
        bar = figure.colorbar(dots, ax=grid, label=label, shrink=0.8, aspect=30)
        if ticks:
            bar.set_ticks([value for value, _ in ticks], labels=[text for _, text in ticks])
        return picture_of(
            figure,
            f"latent_{run.method}",
            f"Latent space of {len(rows):,} particles ({run.title}), laid out by UMAP and coloured "
            "by the truth, which the program has not seen.",
            light=True,
        )


def gaussian_map(run: ShownRun, truth_label: NDArray[np.int64], truth_names: list[str]) -> Picture:
    """The Gaussians' plane with its clusters, the parts on the model, and the truth there.

    Parameters
    ----------
    run : ShownRun
    truth_label : int array, shape (N,)
        True segment of each Gaussian, 0 what stays; -1 everywhere where none is known.
    truth_names : list of str
        Of the labels from 0.
    """
    known = bool((truth_label >= 0).any())
    panels = 3 if known else 2
    labels = run.parts.labels
    view = best_view(run.model.positions, labels > 0)
    placed = run.model.positions @ view.T
    with new_figure(3.4 * panels, 3.7) as figure:
        grid = figure.subplots(1, panels)
        _plane(grid[0], run)
        draw_balls(grid[1], placed, _colours(labels), 3.2)
        grid[1].set_title(f"parts found: {run.parts.n_parts}")
        if known:
            matched = _matched(run, truth_label, truth_names)
            draw_balls(grid[2], placed, _colours(matched), 3.2)
            grid[2].set_title(f"truth: {len(truth_names) - 1} segments")
        present = [int(v) for v in np.unique(labels) if v > 0]
        handles = [
            Line2D([], [], color=part_colour(v), marker="o", linestyle="none", markersize=5)
            for v in [*present, 0]
        ]
        names = [*(f"part {v}" for v in present), "core"]
        figure.legend(handles, names, loc="outside lower center", ncols=9, handletextpad=0.1)
        return picture_of(
            figure,
            f"gaussian_map_{run.method}",
            f"{run.title}: the Gaussians by what happens to them ({run.parts.method.upper()}), "
            "coloured by part; the parts on the model; and the true segments, each in the colour "
            "of the part that recovers it, or in one of its own where none does.",
            light=True,
        )


def _plane(axes: Axes, run: ShownRun) -> None:
    points = run.parts.embedding
    order = np.random.default_rng(0).permutation(len(points))
    axes.scatter(
        points[order, 0], points[order, 1], c=_colours(run.parts.labels[order]), s=7, linewidths=0
    )
    axes.set_title(f"Gaussians, {run.parts.method.upper()}")
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
    axes.grid(color=GRID)


def _colours(labels: NDArray[np.int64]) -> FloatArray:
    return np.array([to_rgb(part_colour(int(label))) for label in labels])


def _matched(run: ShownRun, truth: NDArray[np.int64], names: list[str]) -> NDArray[np.int64]:
    """The part that recovers each Gaussian's true segment, a number of its own where none does."""
    part_of = {
        match["segment"]: match["part"]
        for match in run.details.get("parts", {}).get("matches", [])
        if match["recovered"]
    }
    own = {name: run.parts.n_parts + 1 + n for n, name in enumerate(names[1:])} | {names[0]: 0}
    numbers = np.array([part_of.get(name, own[name]) for name in names])
    return np.asarray(numbers[truth], dtype=np.int64)


def part_embeddings(
    run: ShownRun, segments: Sequence[str], notes: dict[str, str]
) -> Picture | None:
    """The particles seen by each recovered segment's part, coloured by the states found."""
    seen = [(name, focused) for name in segments if (focused := run.focused(name)) is not None]
    if not seen:
        return None
    columns = min(len(seen), PANELS_A_ROW)
    lines = -(-len(seen) // columns)
    with new_figure(max(2.5 * columns, 4.0), 2.5 * lines) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.ravel()[len(seen) :]:
            axes.set_axis_off()
        for axes, (name, focused) in zip(grid.ravel(), seen, strict=False):
            points = focused.embedding
            if float(np.ptp(points[:, 1])) <= 1e-6 * float(np.ptp(points[:, 0])):
                # One number says it all: dots are spread so that they can be seen.
                spread = np.random.default_rng(0).normal(size=len(points))
                points = np.column_stack([points[:, 0], spread])
            shades = {state: state_colour(state) for state in range(1, focused.n_states + 1)}
            draw_states(axes, points, focused.states, shades)
            axes.set_title(f"{name}: {focused.n_states} states{notes.get(name, '')}")
            axes.tick_params(labelbottom=False, labelleft=False, length=0)
        return picture_of(
            figure,
            f"part_embeddings_{run.method}",
            f"{run.title}: the particles by what one part alone does in them, coloured by the "
            "states that were found.",
            light=True,
        )
