"""`cryoparts reconstruct`: maps of states, along a trajectory, or of a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName
from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.options import Reconstructing, RunFolder
from cryoparts.config import ReconstructionConfig
from cryoparts.config.steps import FRAMES
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from cryoparts.pipeline.maps.reconstruct import (
        DifferenceResult,
        GroupResult,
        ReconstructionResult,
    )

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
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.pipeline.maps.reconstruct import (
        reconstruct_selection,
        reconstruct_states,
        reconstruct_trajectories,
    )
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
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
