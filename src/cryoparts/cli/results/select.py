"""`cryoparts select`: choose particles and save them under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say, table
from cryoparts.cli.options import Flat, RunFolder
from cryoparts.config.steps import Conditions

if TYPE_CHECKING:
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.pipeline.particles import SelectionSaved


def select(
    run: RunFolder,
    name: Annotated[str | None, Parameter(help="Name of the new selection.")] = None,
    *,
    conditions: Annotated[Conditions, Flat] = Conditions(),
    complement: bool = False,
    replace: bool = False,
) -> None:
    """Save the particles that satisfy conditions as selections/NAME.csv; list them without NAME.

    Beside it, where the run was made from a .star or .cs file, that file with these
    particles only. Train on them again: cryoparts run ... --selection
    RUN/selections/NAME.csv.

    Parameters
    ----------
    run
        Folder of a run.
    complement
        Take the particles that do not satisfy the conditions.
    replace
        Replace a selection of this name.
    """
    from cryoparts.pipeline.particles import select_particles
    from cryoparts.run.run import Run

    opened = Run.open(run)
    if name is None:
        _list(opened.directory)
        return
    with opened.directory.logging():
        show_selection(
            select_particles(opened, name, conditions, complement=complement, replace=replace)
        )


def show_selection(saved: SelectionSaved) -> None:
    """Say what was saved, and where."""
    say(f"{saved.path}: {saved.selected} of {saved.total} particles")
    if saved.particle_file is not None:
        say(f"{saved.particle_file}: the same particles")


def _list(run: RunDirectory) -> None:
    from cryoparts.selection.selection import read_names, saved_selections

    saved = saved_selections(run)
    if not saved:
        say(f"no selections yet; make one: cryoparts select {run.root} NAME --where ...")
        return
    rows = [[name, len(read_names(path)), str(path)] for name, path in saved.items()]
    table(f"{len(saved)} selections", ["name", "particles", "file"], rows)
