"""Figures of the composition benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap

from cryoparts.benchmark.amplitude_histogram import AmplitudeHistogram
from cryoparts.benchmark.drawing import best_view, colour_scale, draw_balls, method_colour
from cryoparts.benchmark.figures import gaussian_map, latent_by_truth, part_embeddings
from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.inference.calibration import PRESENT_ABOVE
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.palette import GAINED_COLOUR, LOST_COLOUR, MUTED
from cryoparts.simulation.ground_truth import CompositionTruth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cryoparts.benchmark.drawing import ShownRun
    from cryoparts.figures.pictures import Picture

EXAMPLES = 4
"""Particles shown: one row of the page."""

AMPLITUDES = colormaps["YlGnBu"]
HIGHEST_SHOWN = 1.25
"""Relative amplitude at the end of the colour scale: present is 1, and noise goes beyond it."""

ERRORS = colormaps["YlOrRd"]
PRESENCE = ListedColormap([LOST_COLOUR, GAINED_COLOUR])


def composition_pictures(runs: Sequence[ShownRun]) -> list[Picture]:
    """All figures of runs on one data set, the first run's decoder first."""
    pictures = [amplitude_histograms(runs), single_particles(runs), segment_accuracy(runs)]
    for run in runs:
        truth = _truth(run)
        optional = [int(s) for s in truth.optional_segments]
        names = [str(name) for name in truth.segment_names]
        panels = [(names[s], truth.presence[:, s]) for s in optional]
        states = run.details.get("states", {})
        notes = {name: f", {100 * s['accuracy']:.1f}% right" for name, s in states.items()}
        found = [
            latent_by_truth(
                run, panels, PRESENCE, "in truth", [(0.25, "absent"), (0.75, "present")]
            ),
            # The core comes first, as the label of what stays.
            gaussian_map(
                run,
                _core_first(run.arrays["segment"], truth.core),
                [names[truth.core], *np.delete(names, truth.core).tolist()],
            ),
            part_embeddings(run, [names[s] for s in optional], notes),
        ]
        pictures += [picture for picture in found if picture is not None]
    return [*pictures, errors_on_model(runs)]


def _truth(run: ShownRun) -> CompositionTruth:
    assert isinstance(run.truth, CompositionTruth)
    return run.truth


def _core_first(segment: NDArray[np.int64], core: int) -> NDArray[np.int64]:
    order = [core, *(s for s in range(int(segment.max()) + 1) if s != core)]
    return np.asarray(np.argsort(order)[segment], dtype=np.int64)


def amplitude_histograms(runs: Sequence[ShownRun]) -> Picture:
    """Amplitudes of Gaussians that are there and that are not, a panel a decoder."""
    with new_figure(4.2 * len(runs), 3.0) as figure:
        grid = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
        for axes, run in zip(grid, runs, strict=True):
            _histogram(axes, AmplitudeHistogram.from_dict(run.record["details"]["histogram"]))
            accuracy = 100 * run.record["values"]["accuracy"]
            axes.set_title(f"{run.title}: {accuracy:.2f}% right at {PRESENT_ABOVE:g}")
        grid[0].set_ylabel("share of the pairs")
        grid[0].legend(loc="upper center")
        return picture_of(
            figure,
            "amplitude_histograms",
            "Amplitude, relative to the neutral model, of every Gaussian of an optional segment in "
            f"every particle. At {PRESENT_ABOVE:g} it counts as present.",
        )


def _histogram(axes: Axes, counts: AmplitudeHistogram) -> None:
    total = max(int(counts.present.sum() + counts.absent.sum()), 1)
    groups = ((counts.absent, LOST_COLOUR, "absent"), (counts.present, GAINED_COLOUR, "present"))
    for values, colour, name in groups:
        axes.stairs(values / total, counts.edges, fill=True, color=colour, alpha=0.55, label=name)
    axes.axvline(PRESENT_ABOVE, color=MUTED, linestyle="--", linewidth=1)
    axes.set(xlabel="relative amplitude", xlim=(0, 1.6))


def single_particles(runs: Sequence[ShownRun]) -> Picture:
    """What the decoders say of single particles, drawn on the model beside the truth."""
    first = runs[0]
    truth, segment = _truth(first), first.arrays["segment"]
    rows = examples(truth.presence)
    view = best_view(first.model.positions, segment != truth.core)
    placed = first.model.positions @ view.T
    columns = [("truth", truth.presence[rows][:, segment].astype(np.float64))]
    for run in runs:
        decoded = TrainedDecoder(run.directory).decode(rows).relative_amplitudes
        assert decoded is not None
        columns.append((run.title, decoded.astype(np.float64)))
    side = 2.2
    with new_figure(side * len(rows) + 0.9, side * len(columns)) as figure:
        grid = figure.subplots(len(columns), len(rows), squeeze=False)
        for line, (title, values) in zip(grid, columns, strict=True):
            for number, axes in enumerate(line):
                draw_balls(axes, placed, AMPLITUDES(values[number] / HIGHEST_SHOWN), side)
                right = ((values[number] > PRESENT_ABOVE) == (columns[0][1][number] > 0)).mean()
                note = "" if title == "truth" else f": {100 * right:.1f}%"
                axes.set_title(f"{title}{note}", fontsize=8)
        shown = colour_scale(HIGHEST_SHOWN, "YlGnBu")
        figure.colorbar(shown, ax=grid, label="relative amplitude", shrink=0.6, aspect=25)
        return picture_of(
            figure,
            "single_particles",
            "The decoders' output for single particles, one column each, beside the truth; with "
            "the share of all Gaussians judged rightly.",
            light=True,
        )


def examples(presence: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Particles with few, some and most of the segments, the first of each kind."""
    present = presence.sum(axis=1)
    wanted = np.quantile(present, np.linspace(0.1, 0.9, EXAMPLES))
    rows: list[int] = []
    for count in wanted:
        order = np.argsort(np.abs(present - count), kind="stable")
        rows.append(int(next(row for row in order if row not in rows)))
    return np.array(rows, dtype=np.int64)


def segment_accuracy(runs: Sequence[ShownRun]) -> Picture:
    """Accuracy of every segment by the mean of its Gaussians, with the oracle's."""
    segments = [
        s for s in runs[0].details["composition"]["segments"] if s["amplitude_absent"] is not None
    ]
    names = [f"{s['name']}\n{s['gaussians']} Gaussians" for s in segments]
    where = np.arange(len(names))
    with new_figure(max(1.15 * len(names), 5.0), 3.2) as figure:
        axes = figure.subplots()
        for run in runs:
            found = {s["name"]: s for s in run.details["composition"]["segments"]}
            for key, marker, note in (
                ("mean_accuracy", "o", "by segment"),
                ("accuracy", "_", "Gaussian by Gaussian"),
            ):
                values = [100 * found[s["name"]][key] for s in segments]
                axes.plot(
                    where,
                    values,
                    marker=marker,
                    markersize=7,
                    markeredgewidth=2 if marker == "_" else 0,
                    linestyle="none",
                    color=method_colour(run.method),
                    label=f"{run.title}, {note}",
                )
        oracle = runs[0].record["details"].get("oracle")
        if oracle:
            told = [100 * oracle["by_segment"][s["name"]] for s in segments]
            axes.plot(where, told, "k+", markersize=8, label="oracle, by segment")
        axes.set_xticks(where, names, fontsize=7)
        axes.set_ylabel("particles judged rightly (%)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return picture_of(
            figure,
            "segment_accuracy",
            "Accuracy of each optional segment: by the mean amplitude of its Gaussians, and "
            "Gaussian by Gaussian.",
        )


def errors_on_model(runs: Sequence[ShownRun]) -> Picture:
    """How often each Gaussian is judged wrongly, drawn on the model."""
    with new_figure(3.4 * len(runs) + 0.8, 3.6) as figure:
        grid = figure.subplots(1, len(runs), squeeze=False)[0]
        top = max(0.05, *(float(np.quantile(r.arrays["error_of_gaussian"], 0.98)) for r in runs))
        for axes, run in zip(grid, runs, strict=True):
            view = best_view(run.model.positions, run.arrays["segment"] != _truth(run).core)
            share = run.arrays["error_of_gaussian"] / top
            draw_balls(axes, run.model.positions @ view.T, ERRORS(share), 3.2)
            axes.set_title(run.title)
        figure.colorbar(
            colour_scale(100 * top, "YlOrRd"),
            ax=grid,
            label="particles judged wrongly (%)",
            shrink=0.7,
        )
        return picture_of(
            figure,
            "errors_on_model",
            "Where the errors are: the share of particles in which each Gaussian is judged "
            "wrongly. Gaussians next to another segment stand for atoms of both.",
            light=True,
        )
