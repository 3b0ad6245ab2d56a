"""Figures of the motion benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps

from cryoparts.benchmark.drawing import best_view, colour_scale, draw_balls, method_colour
from cryoparts.benchmark.figures import gaussian_map, latent_by_truth, part_embeddings
from cryoparts.benchmark.table import method_title
from cryoparts.evaluation.motion_rmsd import true_displacements
from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.palette import INK
from cryoparts.simulation.ground_truth import MotionTruth
from cryoparts.simulation.rigid_motion import Hinges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.benchmark.drawing import ShownRun
    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]

EXAMPLES = 4
"""Particles shown: one row of the page."""

LENGTHS = "YlOrRd"
ARROWS = 120
"""Arrows drawn on a model: more hide it."""


def motion_pictures(runs: Sequence[ShownRun]) -> list[Picture]:
    """All figures of runs on one data set, the first run's decoder first."""
    pictures = [rmsd_histogram(runs), single_motions(runs)]
    angles = region_angles(runs)
    pictures += [angles] if angles is not None else []
    for run in runs:
        truth = _truth(run)
        names = [str(name) for name in truth.region_names]
        panels = [(name, truth.angles_degrees[:, r]) for r, name in enumerate(names)]
        found = [
            latent_by_truth(run, panels, "coolwarm", "true angle (degrees)"),
            gaussian_map(run, run.arrays["region"].astype(np.int64), ["still", *names]),
            part_embeddings(run, names, {}),
        ]
        pictures += [picture for picture in found if picture is not None]
    return pictures


def _truth(run: ShownRun) -> MotionTruth:
    assert isinstance(run.truth, MotionTruth)
    return run.truth


def rmsd_histogram(runs: Sequence[ShownRun]) -> Picture:
    """Displacement errors of the particles: no motion, the decoders, the oracle."""
    first = runs[0].arrays
    groups = [("no motion", first["no_motion_rmsd"])]
    groups += [(run.method, run.arrays["rmsd"]) for run in reversed(runs)]
    if "oracle_rmsd" in first:
        groups.append(("oracle", first["oracle_rmsd"]))
    top = float(max(np.quantile(values, 0.995) for _, values in groups))
    with new_figure(6.0, 3.2) as figure:
        axes = figure.subplots()
        for method, values in groups:
            # The oracle solves some of the particles only: densities compare, counts do not.
            bins = int(np.clip(2 * np.sqrt(len(values)), 12, 60))
            axes.hist(
                np.clip(values, 0, top),
                bins=np.linspace(0, top, bins + 1).tolist(),
                density=True,
                histtype="step",
                linewidth=1.6,
                linestyle="--" if method == "oracle" else "-",
                color=method_colour(method),
                label=f"{method_title(method)}: mean {values.mean():.2f} Å",
            )
        axes.set(xlabel="RMSD to the true displacements (Å)", ylabel="share of the particles per Å")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return picture_of(
            figure,
            "rmsd_histogram",
            "Root mean square, over the Gaussians, of predicted minus true displacement in each "
            "particle. The oracle is told regions and axes and solves for the angles.",
        )


def single_motions(runs: Sequence[ShownRun]) -> Picture:
    """What the decoders say of single particles, as displacements on the model."""
    first = runs[0]
    truth, region = _truth(first), first.arrays["region"].astype(np.int64)
    positions = first.model.positions.astype(np.float64)
    rows = _examples(first.arrays["no_motion_rmsd"])
    moves = true_displacements(
        positions, region, Hinges(truth.axes, truth.pivots), truth.angles_degrees[rows]
    )
    columns = [("truth", moves, first.arrays["no_motion_rmsd"][rows])]
    for run in runs:
        decoded = TrainedDecoder(run.directory).decode(rows).displacements
        assert decoded is not None
        columns.append((run.title, decoded.astype(np.float64), run.arrays["rmsd"][rows]))
    view = best_view(positions, region > 0)
    placed = positions @ view.T
    top = max(float(np.quantile(np.linalg.norm(moves, axis=2), 0.99)), 1e-3)
    chosen = np.random.default_rng(0).permutation(len(positions))[:ARROWS]
    side = 2.3
    with new_figure(side * len(rows) + 0.9, side * len(columns)) as figure:
        grid = figure.subplots(len(columns), len(rows), squeeze=False)
        for line, (title, values, errors) in zip(grid, columns, strict=True):
            for number, axes in enumerate(line):
                lengths = np.linalg.norm(values[number], axis=1) / top
                draw_balls(axes, placed, colormaps[LENGTHS](lengths), side)
                moved = values[number, chosen] @ view.T
                axes.quiver(
                    placed[chosen, 0],
                    placed[chosen, 1],
                    moved[:, 0],
                    moved[:, 1],
                    angles="xy",
                    scale_units="xy",
                    scale=0.4,
                    width=0.004,
                    color=INK,
                )
                note = "size" if title == "truth" else "error"
                axes.set_title(f"{title}: {note} {errors[number]:.1f} Å", fontsize=8)
        shown = colour_scale(top, LENGTHS)
        figure.colorbar(shown, ax=grid, label="displacement (Å)", shrink=0.6, aspect=25)
        return picture_of(
            figure,
            "single_particles",
            "The decoders' output for single particles, one column each, beside the truth: "
            "colour is the length of the displacement, arrows show it 2.5 times enlarged.",
            light=True,
        )


def _examples(size: FloatArray) -> NDArray[np.int64]:
    """Particles from little to much motion."""
    order = np.argsort(size, kind="stable")
    places = np.linspace(0.2, 0.95, min(EXAMPLES, len(order))) * (len(order) - 1)
    return np.unique(order[places.astype(np.int64)])


def region_angles(runs: Sequence[ShownRun]) -> Picture | None:
    """The coordinate that was found of each region against its true angle."""
    truth = _truth(runs[0])
    names = [str(name) for name in truth.region_names]
    seen = {
        (line, column): focused
        for line, run in enumerate(runs)
        for column, name in enumerate(names)
        if (focused := run.focused(name)) is not None
    }
    if not seen:
        return None
    with new_figure(2.7 * len(names) + 0.6, 2.6 * len(runs)) as figure:
        grid = figure.subplots(len(runs), len(names), squeeze=False)
        for line, run in enumerate(runs):
            for column, name in enumerate(names):
                axes = grid[line, column]
                focused = seen.get((line, column))
                correlation = run.details.get("angles", {}).get(name, {}).get("pearson")
                if focused is None or correlation is None:
                    axes.set_axis_off()
                    axes.set_title(f"{name}: not found")
                    continue
                rows = run.dots()
                axes.scatter(
                    truth.angles_degrees[rows, column],
                    focused.coordinate[rows],
                    s=3,
                    alpha=0.4,
                    linewidths=0,
                    color=method_colour(run.method),
                )
                axes.set_title(f"{name}: |r| = {correlation:.3f}")
                axes.tick_params(labelleft=False)
            grid[line, 0].set_ylabel(f"{run.title}\ncoordinate found")
        for axes in grid[-1]:
            axes.set_xlabel("true angle (degrees)")
        return picture_of(
            figure,
            "region_angles",
            "Each particle's coordinate along what a part does, against the true angle of the "
            "region that the part recovers; its sign is free.",
            light=True,
        )
