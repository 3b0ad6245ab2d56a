"""`cryoparts morph`: the atomic model along a part's motion, or without a part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName
from cryoparts.cli.console import progress_bars, say
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.pipeline.exports.morph import Morphed


def morph(
    run: RunFolder,
    *,
    part: PartName = None,
    without: Annotated[
        tuple[str, ...],
        Parameter(help="Parts whose residues are left out; alone, nothing moves."),
    ] = (),
    model: Annotated[
        Path | None,
        Parameter(
            name="--model", help="Atomic model that lies over the run's. Default: the run's own."
        ),
    ] = None,
    points: Annotated[int, Parameter(help="Models of a motion.")] = 11,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="Folder to write in. Default: RUN/models."),
    ] = None,
) -> None:
    """Write mmCIF files of several models: rigid parts, hinges between, bonds as they were.

    For every part that moves, or --part. With --without and no --part, one model without
    these parts.
    """
    from cryoparts.pipeline.exports.morph import morph_parts
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.run.run import Run

    opened = Run.open(run)
    absent = [opened.parts.part_number(name) for name in without]
    parts = [] if absent and part is None else part_numbers(opened, part)
    with progress_bars() as progress:
        made = morph_parts(
            opened,
            [number for number in parts if number not in absent],
            output or opened.root / "models",
            structure=model,
            without=absent,
            points=points,
            progress=progress,
        )
    show_morphed(made)


def show_morphed(made: tuple[Morphed, ...]) -> None:
    """Say what was written, and how well the bonds were kept."""
    for one in made:
        kept = (
            f", {one.hinge_residues} residues bend, bonds change by "
            f"{one.bond_deviation_angstrom:.4f} Å r.m.s. (at most {one.largest_angstrom:.2f} Å)"
            if one.models > 1
            else ""
        )
        models = f"{one.models} models" if one.models > 1 else "1 model"
        say(f"{one.path}: {models} of {one.atoms:,} atoms{kept}")
