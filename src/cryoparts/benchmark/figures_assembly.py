"""Figures of the assembly benchmark."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps

from cryoparts.benchmark.drawing import best_view, colour_scale, draw_balls
from cryoparts.benchmark.figures import gaussian_map, latent_by_truth
from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.palette import part_title
from cryoparts.simulation.ground_truth import MapsTruth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cryoparts.benchmark.drawing import ShownRun
    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]

EXAMPLES = 4
"""Particles shown: one row of the page."""

AMPLITUDES = "YlGnBu"
HIGHEST_SHOWN = 1.8
"""Relative amplitude at the end of the colour scale: decoded ones rarely exceed it."""

MOST_LATENT_PARTS = 3
"""Parts whose colours are shown in the latent space: one row of panels."""


def assembly_pictures(runs: Sequence[ShownRun]) -> list[Picture]:
    """All figures of runs on one data set, the first run's decoder first."""
    pictures = [single_assemblies(runs)]
    for run in runs:
        truth = _truth(run)
        parts = _parts(run)
        panels: list[tuple[str, NDArray[Any]]] = [("by map", truth.map_index)]
        unknown = np.full(len(run.model), -1)
        pictures.append(latent_by_truth(run, panels, "tab20", "map"))
        shown = sorted(parts, key=lambda part: -part["gaussians"])[:MOST_LATENT_PARTS]
        if shown:
            density = [
                (
                    f"density of {part_title(part['part'])}",
                    np.array(part["map_density"])[truth.map_index],
                )
                for part in shown
            ]
            picture = latent_by_truth(run, density, "YlGnBu", "density in its map (core = 1)")
            pictures.append(replace(picture, name=f"latent_parts_{run.method}"))
            pictures.append(maps_and_parts(run))
        pictures.append(gaussian_map(run, unknown, []))
    return pictures


def _truth(run: ShownRun) -> MapsTruth:
    assert isinstance(run.truth, MapsTruth)
    return run.truth


def _parts(run: ShownRun) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = run.record["details"]["assembly"]["parts"]
    return found


def maps_and_parts(run: ShownRun) -> Picture:
    """How much of each part the maps have, and how much the decoder sees in their particles."""
    parts = _parts(run)
    density = np.array([part["map_density"] for part in parts])
    amplitude = np.array([part["map_amplitude"] for part in parts])
    order = np.argsort(density.mean(axis=0))[::-1]
    names = [str(name).removesuffix(".mrc") for name in _truth(run).map_names[order]]
    titles = [
        part_title(part["part"])
        + ("" if part["correlation"] is None else f" (r = {part['correlation']:.2f})")
        for part in parts
    ]
    height = 0.32 * len(parts) + 1.7
    with new_figure(11.0, height) as figure:
        grid = figure.subplots(1, 2, squeeze=False, sharey=True)[0]
        for axes, values, title in (
            (grid[0], density, "density in the maps (core = 1)"),
            (grid[1], amplitude, "amplitude that the decoder gives"),
        ):
            # Each part on its own scale: what counts is the pattern over the maps.
            low = np.nanmin(values, axis=1, keepdims=True)
            span = np.nanmax(values, axis=1, keepdims=True) - low
            axes.imshow(
                ((values - low) / np.maximum(span, 1e-9))[:, order],
                aspect="auto",
                cmap="YlGnBu",
                vmin=0,
                vmax=1,
            )
            axes.set_title(title)
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.grid(visible=False)
        grid[0].set_yticks(range(len(titles)), titles)
        return picture_of(
            figure,
            f"maps_and_parts_{run.method}",
            f"{run.title}: how much of every part each map has (left), and what the decoder gives "
            "the map's particles on average (right); every line from its least to its most.",
            light=True,
        )


def single_assemblies(runs: Sequence[ShownRun]) -> Picture:
    """What the decoders say of single particles, beside the density of the map each is from."""
    first = runs[0]
    density = first.arrays["gaussian_density"].astype(np.float64)
    relative = density / np.maximum(density.mean(axis=0), 1e-3 * density.max())
    index = _truth(first).map_index
    rows = _examples(index, density)
    columns = [("truth", relative[index[rows]])]
    for run in runs:
        decoded = TrainedDecoder(run.directory).decode(rows).relative_amplitudes
        if decoded is not None:
            columns.append((run.title, decoded.astype(np.float64)))
    view = best_view(first.model.positions, relative.std(axis=0) > np.median(relative.std(axis=0)))
    placed = first.model.positions @ view.T
    side = 2.3
    with new_figure(side * len(rows) + 0.9, side * len(columns)) as figure:
        grid = figure.subplots(len(columns), len(rows), squeeze=False)
        for line, (title, values) in zip(grid, columns, strict=True):
            for number, axes in enumerate(line):
                colours = colormaps[AMPLITUDES](np.clip(values[number] / HIGHEST_SHOWN, 0, 1))
                draw_balls(axes, placed, colours, side)
                name = str(_truth(first).map_names[index[rows[number]]]).removesuffix(".mrc")
                axes.set_title(f"{title}: {name}" if title == "truth" else title, fontsize=8)
        figure.colorbar(
            colour_scale(HIGHEST_SHOWN, AMPLITUDES),
            ax=grid,
            label="amplitude, mean map = 1",
            shrink=0.6,
            aspect=25,
        )
        return picture_of(
            figure,
            "single_particles",
            "The decoders' output for single particles, one column each, beside the density of "
            "the map that the particle came from, relative to the mean map.",
            light=True,
        )


def _examples(index: NDArray[np.int64], density: FloatArray) -> NDArray[np.int64]:
    """One particle of each of a few maps, from the emptiest to the fullest."""
    order = np.argsort(density.mean(axis=1))
    maps = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(np.int64)]
    rows = [np.flatnonzero(index == m)[:1] for m in maps]
    return np.concatenate(rows).astype(np.int64)
