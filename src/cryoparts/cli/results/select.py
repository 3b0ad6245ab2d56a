"""`cryoparts select`: choose particles and save them under a name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say, table, warn
from cryoparts.cli.options import Flat, RunFolder
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.particle_columns import ParticleColumns
    from cryoparts.selection.selection import Selection


@dataclass(frozen=True)
class Conditions:
    """What a particle must satisfy; all that are given are joined by `and`."""

    where: str | None = None
    """Condition on columns: "amplitude:part_3 < 0.3 and angle:part_1 > 5"
    (`cryoparts columns` lists them)."""

    part: str | None = None
    """Part, or parts joined by +, that the next four options are about."""

    states: tuple[int, ...] = ()
    """In one of these states."""

    coordinate: tuple[float, float] | None = None
    """Between these places along the curve or the first component."""

    sparsest: float | None = None
    """In the sparsest places: this fraction of the particles (0 to 1)."""

    certainty_below: float | None = None
    """Between the clusters: belongs to its state with a probability below this."""

    all_of: tuple[str, ...] = ()
    """In all of these selections (and)."""

    any_of: tuple[str, ...] = ()
    """In at least one of these selections (or)."""

    none_of: tuple[str, ...] = ()
    """In none of these selections (minus)."""

    file: Path | None = None
    """Named in this .csv (column name)."""


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
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.selection import columns_with_selections, saved_selections

    folder = RunDirectory.open(run)
    if name is None:
        _list(folder)
        return
    with folder.logging():
        if name in saved_selections(folder) and not replace:
            raise InputError(
                name, "there is a selection of this name", "Choose another, or add --replace."
            )
        chosen = chosen_by(conditions, columns_with_selections(folder))
        save_selection(folder, ~chosen if complement else chosen, name)


def chosen_by(conditions: Conditions, columns: ParticleColumns) -> Selection:
    """The particles that satisfy all the conditions.

    Raises
    ------
    InputError
        If no condition is given, or one is wrong.
    """
    from cryoparts.selection.selection import Selection, read_names

    made = [_where(text, columns) for text in _expressions(conditions)]
    if conditions.file is not None:
        names = read_names(conditions.file)
        where = str(conditions.file)
        listed = Selection.of(names, columns.names, where, columns.image_names)
        made.append(Selection(listed.all_names, listed.chosen, {"file": str(conditions.file)}))
    if not made:
        raise InputError(
            "select", "no condition is given", 'Give one, for example --where "half == 1".'
        )
    return reduce(lambda one, other: one & other, made)


def save_selection(run: RunDirectory, selection: Selection, name: str) -> Path:
    """Write a selection and, where the run's file is a .star or .cs, the file of its particles.

    A particle file that has moved is said, and does not keep the selection from being saved.
    """
    from cryoparts.export.selected import write_selected

    path = selection.save(run.selections_path, name)
    say(f"{path}: {len(selection)} of {len(selection.all_names)} particles")
    try:
        written = write_selected(run, selection.names.tolist(), run.selections_path / name)
    except InputError as fault:
        warn(f"the particles are listed by name only: {fault}")
    else:
        if written is not None:
            say(f"{written}: the same particles")
    return path


def _where(expression: str, columns: ParticleColumns) -> Selection:
    from cryoparts.selection.selection import select_where

    selection, unknown = select_where(expression, columns)
    if unknown:
        warn(f"{unknown} particles lack a value that {expression!r} needs: not selected by it")
    return selection


def _expressions(given: Conditions) -> list[str]:
    """Conditions in the language of --where."""
    texts = [] if given.where is None else [given.where]
    texts += _of_part(given)
    texts += [f"`selection:{name}`" for name in given.all_of]
    texts += [f"not `selection:{name}`" for name in given.none_of]
    if given.any_of:
        texts.append(" or ".join(f"`selection:{name}`" for name in given.any_of))
    return texts


def _of_part(given: Conditions) -> list[str]:
    """Conditions on the columns of --part."""
    wanted = {
        "state": None if not given.states else f"in {_listed(given.states)}",
        "coordinate": None
        if given.coordinate is None
        else f">= {given.coordinate[0]!r} and {{}} <= {given.coordinate[1]!r}",
        "density": None if given.sparsest is None else f"< {given.sparsest!r}",
        "certainty": None if given.certainty_below is None else f"< {given.certainty_below!r}",
    }
    asked = {kind: rest for kind, rest in wanted.items() if rest is not None}
    if asked and given.part is None:
        raise InputError("--part", "is not given", "Say which part the condition is about.")
    if given.part is not None and not asked:
        raise InputError(
            f"--part {given.part}",
            "nothing is asked of it",
            "Add --states, --coordinate, --sparsest or --certainty-below.",
        )
    columns = {kind: f"`{kind}:{given.part}`" for kind in asked}
    return [f"{columns[kind]} {rest.format(columns[kind])}" for kind, rest in asked.items()]


def _listed(states: Sequence[int]) -> str:
    return "(" + "".join(f"{state}, " for state in states) + ")"


def _list(run: RunDirectory) -> None:
    from cryoparts.selection.selection import read_names, saved_selections

    saved = saved_selections(run)
    if not saved:
        say(f"no selections yet; make one: cryoparts select {run.root} NAME --where ...")
        return
    rows = [[name, len(read_names(path)), str(path)] for name, path in saved.items()]
    table(f"{len(saved)} selections", ["name", "particles", "file"], rows)
