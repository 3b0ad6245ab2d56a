"""`cryoparts focus`: the particles, seen by one part alone or by several together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.options import Focusing, RunFolder
from cryoparts.config import FocusConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.pipeline.focus import FocusResult
    from cryoparts.run.run import Run
    from cryoparts.states.focus import FocusedParticles

PartName = Annotated[
    str | None, Parameter(name="--part", help="Name or number of a part. Default: all.")
]
PartNames = Annotated[
    tuple[str, ...],
    Parameter(name="--parts", help="Parts to look at together: --parts part_1 part_3."),
]

ORDERS = {
    "curve": "no separate states, cut along a curve",
    "presence": "there or away, by the images",
}
"""What is said of states that are no clusters."""


def focus(
    run: RunFolder,
    *,
    part: PartName = None,
    parts: PartNames = (),
    options: Focusing = FocusConfig(),
) -> None:
    """Embed the particles by the Gaussians of parts, and group or order them into states.

    Without --part or --parts by every part in turn. Writes each particle's state
    by its name and, where the particles came from RELION, a .star file of each
    state that RELION opens. Along a curve, also a trajectory of the molecule, to be
    played in ChimeraX: open trajectory/trajectory.cif coordsets true.
    """
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        looks: list[list[int]] = []
        if parts:
            labels = opened.parts
            looks.append(sorted({labels.part_number(name) for name in parts}))
        if part is not None or not parts:
            looks += [[number] for number in part_numbers(opened, part)]
        _look(opened, looks, options)


def _look(run: Run, looks: Sequence[Sequence[int]], options: FocusConfig) -> None:
    from cryoparts.pipeline.focus import find_states

    results: tuple[FocusResult, ...] = ()
    if looks:
        with progress_bar("decoding") as shown:
            results = find_states(run, looks, options, shown)
    show_states(results)


def show_states(results: Sequence[FocusResult]) -> None:
    """Say what each part's states are."""
    if not results:
        say("no part changes, so there are no states to find")
    for result in results:
        say(f"{result.folder.name}: {_describe(result.focused)}")


def _describe(focused: FocusedParticles) -> str:
    if focused.n_states == 1:
        return "no states"
    described = [ORDERS[focused.order]] if focused.order in ORDERS else []
    for state in range(1, focused.n_states + 1):
        rows = focused.members(state)
        described.append(f"state_{state} {len(rows)} particles ({_change(focused, rows)})")
    return "; ".join(described)


def _change(focused: FocusedParticles, rows: NDArray[np.int64]) -> str:
    """What the parts do in the particles of a state."""
    amplitudes, moved = focused.amplitude_of_part, focused.displacement_of_part
    if amplitudes is None or moved is None:
        return f"amplitude {focused.mean_amplitude[rows].mean():.2f}"
    said = []
    for column, part in enumerate(focused.parts):
        change = f"amplitude {amplitudes[rows, column].mean():.2f}"
        if moved.any():
            change += f", displacement {moved[rows, column].mean():.1f} Å"
        said.append(change if len(focused.parts) == 1 else f"part_{part} {change}")
    return ", ".join(said)
