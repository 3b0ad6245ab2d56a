"""`cryoparts reconstruct`: maps of states, a trajectory, a selection, or of parts at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName
from cryoparts.cli.console import (
    TrainingProgress,
    progress_bar,
    progress_bars,
    say,
    table,
)
from cryoparts.cli.options import Flat, Reconstructing, RunFolder
from cryoparts.config import ReconstructionConfig
from cryoparts.config.steps import FRAMES, AtRestOptions
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from cryoparts.at_rest.composite import JudgedRegion
    from cryoparts.pipeline.maps.at_rest import AtRestResult
    from cryoparts.pipeline.maps.reconstruct import (
        DifferenceResult,
        GroupResult,
        ReconstructionResult,
    )
    from cryoparts.run.run import Run

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
    at_rest: Annotated[
        bool,
        Parameter(
            negative="",
            help="One map of all particles in which every part is at rest: each part "
            "back-projected in its own poses, at the particles' own box.",
        ),
    ] = False,
    resting: Annotated[AtRestOptions, Flat] = AtRestOptions(),
    options: Reconstructing = ReconstructionConfig(),
) -> None:
    """Half maps, corrected FSC, filtered maps, and tested maps of the differences with peaks.

    The images are the working images of the run, and the maps have their box; with --at-rest
    they are the particles' own images.
    """
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.pipeline.maps.reconstruct import (
        reconstruct_selection,
        reconstruct_states,
        reconstruct_trajectories,
    )
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        if at_rest:
            _at_rest(opened, part, selection, resting, options)
            return
        if resting != AtRestOptions():
            raise InputError(
                "--deformable, --neighbourhoods, --halves, --box-size, --pixel-size",
                "are options of maps at rest",
                "Give --at-rest too, or leave them out.",
            )
        if selection is not None and along == "trajectory":
            raise InputError(
                "--selection",
                "cannot be combined with --along trajectory",
                "Reconstruct the selection, or train on it as a run of its own.",
            )
        made: tuple[ReconstructionResult, ...]
        with progress_bar("reconstructing") as shown:
            if selection is not None:
                number = None if part is None else part_numbers(opened, part)[0]
                made = (reconstruct_selection(opened, selection, number, options, shown),)
            elif along == "states":
                made = reconstruct_states(opened, part_numbers(opened, part), options, shown)
            else:
                numbers = part_numbers(opened, part)
                made = reconstruct_trajectories(opened, numbers, frames, options, shown)
        show_maps(made)


def _at_rest(
    run: Run,
    part: str | None,
    selection: str | None,
    resting: AtRestOptions,
    options: ReconstructionConfig,
) -> None:
    from cryoparts.pipeline.maps.at_rest import reconstruct_at_rest

    if part is not None or selection is not None:
        raise InputError(
            "--at-rest",
            "is of all parts and all particles, and goes with neither --part nor --selection",
            "Leave those out.",
        )
    with progress_bars() as progress:
        epochs = TrainingProgress(run.training.epochs)
        made = reconstruct_at_rest(run, resting, options, progress, epochs)
    show_at_rest(made)


def show_at_rest(made: AtRestResult | None) -> None:
    """Say what every region gained, and where the maps are."""
    if made is None:
        return
    rows = [_region(one) for one in made.regions]
    header = ["", "consensus", "at rest", "kept", "gained, shells", "particles"]
    table(f"Maps at rest, {made.box_size} px of {made.pixel_size_angstrom:.3g} Å", header, rows)
    better = sum(one.kept != "consensus" for one in made.regions)
    kept = "no region is better at rest" if not better else f"{better} of {len(rows)} better"
    shared = "" if made.independent else "; halves share one model"
    say(f"{kept}: {made.folder / 'composite.mrc'} (0.143 of the half maps' FSC{shared})")


def _region(one: JudgedRegion) -> list[str]:
    others = [quality for kind, quality in one.qualities.items() if kind != "consensus"]
    found = [q.resolution_angstrom for q in others if q.resolution_angstrom is not None]
    return [
        one.name,
        _angstrom(one.before.resolution_angstrom),
        _angstrom(min(found, default=None)),
        one.kept,
        f"{one.gained_shells:+.1f}",
        f"× {one.times_particles:.1f}",
    ]


def _angstrom(resolution: float | None) -> str:
    return "–" if resolution is None else f"{resolution:.1f} Å"


def show_maps(made: tuple[ReconstructionResult, ...]) -> None:
    """Say what was reconstructed."""
    for result in made:
        say(f"{result.title}: " + "; ".join(_described(group) for group in result.groups))
        for difference in result.differences:
            say(f"  {_difference(difference)}")


def _described(group: GroupResult) -> str:
    count = f"{group.name} {group.effective_particles:.0f} particles"
    if group.resolution_angstrom is None:
        return f"{count}, {group.note}"
    return f"{count}, {group.resolution_angstrom:.1f} Å"


def _difference(found: DifferenceResult) -> str:
    pair = f"{found.first} − {found.second}"
    if not found.volume_cubic_angstrom:
        return f"{pair}: nothing differs beyond the noise"
    return (
        f"{pair}: {found.volume_cubic_angstrom:,.0f} Å³ differ beyond the noise (strongest "
        f"{found.strongest:.0f} standard deviations)"
    )
