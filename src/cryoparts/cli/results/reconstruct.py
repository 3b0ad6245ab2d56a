"""`cryoparts reconstruct`: maps of states, along a trajectory, or of a selection."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName, chosen_parts
from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.options import Reconstructing, RunFolder
from cryoparts.config import ReconstructionConfig
from cryoparts.difference_maps.map_files import write_part_maps
from cryoparts.difference_maps.part_maps import Group, PartMaps, reconstruct_groups
from cryoparts.errors import InputError
from cryoparts.io.run_directory import RunDirectory
from cryoparts.pipeline.map_inputs import MapInputs, independence, selected_rows
from cryoparts.reconstruction.half_maps import Reconstruction
from cryoparts.reconstruction.windows import effective_count, soft_windows
from cryoparts.states.focus import FocusedParticles

FRAMES = 5

Selection = Annotated[
    str | None,
    Parameter(
        help="Name of a selection (selections/NAME.csv), or a .csv file with a column `name`: "
        "its particles against all others."
    ),
]


def reconstruct(
    run: RunFolder,
    *,
    part: PartName = None,
    along: Annotated[
        Literal["states", "trajectory"],
        Parameter(help="One map a state, or frames along the part's coordinate."),
    ] = "states",
    frames: Annotated[int, Parameter(help="Frames along the trajectory, at least 3.")] = FRAMES,
    selection: Selection = None,
    options: Reconstructing = ReconstructionConfig(),
) -> None:
    """Half maps, corrected FSC, filtered maps, and tested maps of the differences with peaks.

    The images are the working images of the run; the maps have their box.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        if selection is not None:
            if along == "trajectory":
                raise InputError(
                    "--selection",
                    "cannot be combined with --along trajectory",
                    "Reconstruct the selection, or train on it as a run of its own.",
                )
            reconstruct_selection(folder, selection, part, options)
        elif along == "trajectory":
            reconstruct_trajectories(folder, chosen_parts(folder, part), frames, options)
        else:
            reconstruct_parts(folder, chosen_parts(folder, part), options)


def reconstruct_parts(
    run: RunDirectory, parts: list[int], options: ReconstructionConfig | None = None
) -> None:
    """Reconstruct the states of each of the parts and write their reconstruction/ folders."""
    inputs = MapInputs.of(run, options)
    for part in parts:
        focused = _focused(run, part)
        rows = inputs.rows_of(focused.names)
        groups = [
            Group(f"state_{k}", rows[focused.members(k)]) for k in range(1, focused.n_states + 1)
        ]
        pairs = list(itertools.combinations([group.name for group in groups], 2))
        _make(inputs, groups, pairs, part, f"part_{part}", run.reconstruction_path(part), {})


def reconstruct_trajectories(
    run: RunDirectory, parts: list[int], frames: int, options: ReconstructionConfig | None = None
) -> None:
    """Reconstruct frames along each part's coordinate; neighbours share particles softly."""
    inputs = MapInputs.of(run, options)
    for part in parts:
        focused = _focused(run, part)
        rows = inputs.rows_of(focused.names)
        weights = soft_windows(focused.coordinate, frames)
        groups, described = [], []
        for number, weight in enumerate(weights, start=1):
            used = np.flatnonzero(weight > 0)
            groups.append(Group(f"frame_{number}", rows[used], weight[used]))
            described.append(
                {
                    "frame": number,
                    "mean_coordinate": float(np.average(focused.coordinate, weights=weight)),
                    "lowest_coordinate": float(focused.coordinate[used].min()),
                    "highest_coordinate": float(focused.coordinate[used].max()),
                    "effective_particles": effective_count(weight),
                }
            )
        # the last frame and the first: windows that share no particle
        pairs = [(groups[-1].name, groups[0].name)]
        _make(
            inputs,
            groups,
            pairs,
            part,
            f"part_{part} along its coordinate",
            run.trajectory_maps_path(part),
            {"frames": described},
        )


def reconstruct_selection(
    run: RunDirectory,
    selection: str,
    part_name: str | None,
    options: ReconstructionConfig | None = None,
) -> None:
    """Reconstruct the particles of a selection, all others, and their difference."""
    inputs = MapInputs.of(run, options)
    file = Path(selection)
    path = file if file.suffix else run.root / "selections" / f"{selection}.csv"
    chosen = selected_rows(path, inputs.particles.names)
    rest = np.setdiff1d(np.arange(len(inputs.particles)), chosen)
    part = None if part_name is None else chosen_parts(run, part_name)[0]
    groups = [Group("selected", chosen), Group("rest", rest)]
    _make(
        inputs,
        groups if len(rest) else groups[:1],
        [("selected", "rest")],
        part,
        path.stem,
        run.selection_maps_path(path.stem),
        {"selection": str(path)},
    )


def _focused(run: RunDirectory, part: int) -> FocusedParticles:
    path = run.require(run.focus_path(part), f"cryoparts focus {run.root} --part {part}")
    return FocusedParticles.load(path)


def _make(
    inputs: MapInputs,
    groups: list[Group],
    pairs: list[tuple[str, str]],
    part: int | None,
    title: str,
    folder: Path,
    notes: dict[str, Any],
) -> None:
    """Reconstruct, write, and say what came out."""
    total, done = sum(len(group.rows) for group in groups), 0
    options = inputs.options
    if part is None and options.test_within == "part":
        options = replace(options, test_within="molecule")
    with progress_bar(title) as shown:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            shown(done, total)

        maps = reconstruct_groups(
            inputs.particles,
            groups,
            options,
            model_mask=inputs.model_mask,
            given_mask=inputs.given_mask,
            part_mask=None if part is None else inputs.part_mask(part),
            pairs=pairs,
            threads=inputs.threads,
            seed=inputs.seed,
            progress=advance,
        )
    write_part_maps(folder, maps, inputs.surroundings, independence(inputs) | notes)
    say(f"{title}: " + "; ".join(f"{name} {_described(of.reconstruction)}"
                                 for name, of in maps.groups.items()))  # fmt: skip
    for line in _differences(maps):
        say(f"  {line}")


def _described(result: Reconstruction) -> str:
    count = f"{result.effective_particles:.0f} particles"
    if result.resolution_angstrom is None:
        return f"{count}, {result.note}"
    return f"{count}, {result.resolution_angstrom:.1f} Å"


def _differences(maps: PartMaps) -> list[str]:
    lines = []
    for (one, other), difference in maps.differences.items():
        if difference.z_score is None:
            continue
        volume = difference.significant.sum() * difference.pixel_size_angstrom**3
        strongest = float(np.abs(difference.z_score[difference.tested]).max(initial=0.0))
        lines.append(
            f"{one} − {other}: {volume:,.0f} Å³ differ beyond the noise (strongest "
            f"{strongest:.0f} standard deviations)"
            if volume
            else f"{one} − {other}: nothing differs beyond the noise"
        )
    return lines
