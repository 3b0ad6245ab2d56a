"""`cryoparts export`: particles of states or of a selection, as other programs read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName
from cryoparts.cli.console import progress_bars, say
from cryoparts.cli.options import RunFolder
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from cryoparts.pipeline.exports.particles import ParticlesExported

Programs = Annotated[
    tuple[Literal["relion", "cryosparc", "eman2", "cryodrgn"], ...],
    Parameter(
        name="--to", help="Programs. Default: the one that the run's particle file comes from."
    ),
]
RefinedPoses = Annotated[
    bool,
    Parameter(
        name="--refined-poses",
        negative=(),
        help="All particles in the poses that the run has refined, in place of states.",
    ),
]
ExportFolder = Annotated[
    Path | None,
    Parameter(name=["--output", "-o"], help="Folder to write in. Default: RUN/export."),
]
SelectionName = Annotated[
    str | None,
    Parameter(name="--selection", help="Name of a selection, or a .csv file, in place of states."),
]


def export(
    run: RunFolder,
    *,
    to: Programs = (),
    part: PartName = None,
    selection: SelectionName = None,
    refined_poses: RefinedPoses = False,
    output: ExportFolder = None,
) -> None:
    """Write one file of all states with the class of each particle, and one file a state.

    For every part, or --part, or the particles of --selection. Rows of the program that the
    particles came from are copied as they stand; the class is rlnClassNumber (RELION) or
    alignments3D/class (cryoSPARC, counted from 0, with a .csg file to import). docs/exports.md
    says how each program takes the files.
    """
    from cryoparts.pipeline.exports.particles import (
        class_of_selection,
        classes_of_parts,
        export_particles,
        own_program,
    )
    from cryoparts.pipeline.exports.posed_particles import export_refined_poses
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.run.run import Run

    if part is not None and selection is not None:
        raise InputError("--selection", "cannot be combined with --part", "Export one of them.")
    opened = Run.open(run)
    folder = output or opened.root / "export"
    if refined_poses:
        for file in export_refined_poses(opened, folder):
            say(f"{file}: {len(opened.particles):,} particles in refined poses")
        return
    if selection is not None:
        classes = [class_of_selection(opened, selection)]
    else:
        classes = classes_of_parts(opened, part_numbers(opened, part))
    if not classes:
        raise InputError(str(run), "no part changes, so there are no states", "Give --selection.")
    with progress_bars() as progress:
        made = export_particles(opened, classes, to or (own_program(opened),), folder, progress)
    show_exported(made)


def show_exported(made: tuple[ParticlesExported, ...]) -> None:
    """Say what was written."""
    for one in made:
        for file, count in zip(one.files, one.particles, strict=True):
            say(f"{file}: {count:,} particles")
