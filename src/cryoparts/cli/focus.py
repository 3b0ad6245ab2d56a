"""`cryoparts focus`: the particles, seen by one part alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import Focusing, RunFolder
from cryoparts.config import FocusConfig
from cryoparts.export.relion import write_state_star
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.focus import FocusedParticles, Order, focus_on_part
from cryoparts.parts.part_labels import PartLabels
from cryoparts.training.decode import Decoded, TrainedDecoder
from cryoparts.training.setup import set_threads

PartName = Annotated[
    str | None, Parameter(name="--part", help="Name or number of a part. Default: all.")
]


def focus(run: RunFolder, *, part: PartName = None, options: Focusing = FocusConfig()) -> None:
    """Embed the particles by one part's Gaussians, and group or order them into states.

    Writes each particle's state by its name and, where the particles came from
    RELION, a .star file of each state that RELION opens.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        focus_parts(folder, chosen_parts(folder, part), options)


def chosen_parts(run: RunDirectory, name: str | None) -> list[int]:
    """Numbers of the part called `name`, or of all parts."""
    run.require(run.parts_path, f"cryoparts parts {run.root}")
    labels = PartLabels.load(run.parts_path)
    return list(range(1, labels.n_parts + 1)) if name is None else [labels.part_number(name)]


def focus_parts(run: RunDirectory, parts: list[int], options: FocusConfig) -> None:
    """Find the states of each of the parts and write their focus/ folders."""
    if not parts:
        say("no part changes, so there are no states to find")
        return
    config = run.config().training
    set_threads(config.threads)
    labels = PartLabels.load(run.parts_path)
    trained = TrainedDecoder(run)
    for part in parts:
        members = np.flatnonzero(labels.members(part))
        decoded = trained.decode(gaussians=members)
        focused = _focused(decoded, len(members), options, config.seed)
        focused.save(run.focus_path(part))
        say(f"part_{part}: {_describe(focused)}")
        if Path(run.config().particles).suffix == ".star":
            for state in range(1, focused.n_states + 1):
                write_state_star(run.root, part, state)


def _focused(
    decoded: Decoded, n_gaussians: int, options: FocusConfig, seed: int
) -> FocusedParticles:
    """The particles in states; along a curve where there are no separate ones to be found."""
    orders: tuple[Order, ...] = (options.order,)
    if options.states is None:
        orders = (*orders, "curve")
    for order in orders:
        focused = focus_on_part(
            decoded.names,
            np.ones(n_gaussians, dtype=bool),
            decoded.relative_scalars,
            decoded.displacements,
            n_states=options.states,
            order=order,
            seed=seed,
        )
        if focused.n_states > 1:
            break
    return focused


def _describe(focused: FocusedParticles) -> str:
    if focused.n_states == 1:
        return "no states"
    described = ["no separate states, cut along a curve"] if focused.order == "curve" else []
    for state in range(1, focused.n_states + 1):
        rows = focused.members(state)
        change = f"amplitude {focused.mean_amplitude[rows].mean():.2f}"
        if focused.displacement_rms_angstrom.any():
            change += f", displacement {focused.displacement_rms_angstrom[rows].mean():.1f} Å"
        described.append(f"state_{state} {len(rows)} particles ({change})")
    return "; ".join(described)
