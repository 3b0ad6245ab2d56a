"""Particles of a run, looked at one by one: what is known of each, chosen ones, decoded ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.selected import save_selection as write_selection
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import require_file
from cryoparts.io.names import rows_of_names
from cryoparts.selection.selection import (
    Selection,
    columns_with_selections,
    read_names,
    saved_selections,
    select_where,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryoparts.config.steps import Conditions
    from cryoparts.run.run import Run
    from cryoparts.selection.particle_columns import ParticleColumns

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedFile:
    """What was decoded into a file.

    Parameters
    ----------
    path : Path
        The .npz.
    shapes : dict of str to tuple of int
        Of each array in it, beside the names.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]


def decode_particles(run: Run, output: Path, particles: Path | None = None) -> DecodedFile:
    """Write relative amplitudes (P, N) and displacements (P, N, 3) in Å as .npz.

    Parameters
    ----------
    run : Run
        Trained.
    output : Path
        Its suffix becomes .npz.
    particles : Path, optional
        Text file with one particle's name a line: these, in this order. Default: all.

    Raises
    ------
    InputError
        If a name is no particle of the run.
    """
    rows = None
    if particles is not None:
        require_file(particles, "Check the path given with --particles.")
        lines = [line.strip() for line in particles.read_text(encoding="utf-8").split("\n")]
        wanted = [line for line in lines if line]
        rows = rows_of_names(run.particles.names, wanted, f"--particles {particles}")
    decoded = run.decoder.decode(rows)
    kinds = {
        "relative_amplitudes": decoded.relative_amplitudes,
        "displacements": decoded.displacements,
        "relative_widths": decoded.relative_widths,
    }
    arrays = {name: array for name, array in kinds.items() if array is not None}
    path = output.with_suffix(".npz")
    with write_atomically(path) as temporary:
        np.savez(temporary, allow_pickle=False, names=decoded.names, **arrays)
    return DecodedFile(path, {name: array.shape for name, array in arrays.items()})


def particle_columns(run: Run) -> ParticleColumns:
    """Everything that the run says of each particle, selections as columns too."""
    return columns_with_selections(run.directory)


@dataclass(frozen=True)
class SelectionSaved:
    """A selection of particles.

    Parameters
    ----------
    path : Path
        The .csv with their names.
    selected, total : int
        Particles in it, and in the run.
    particle_file : Path or None
        The run's .star or .cs with these particles only.
    """

    path: Path
    selected: int
    total: int
    particle_file: Path | None


def select_particles(
    run: Run,
    name: str,
    conditions: Conditions,
    *,
    complement: bool = False,
    replace: bool = False,
) -> SelectionSaved:
    """Save the particles that satisfy conditions as selections/NAME.csv, and their .star or .cs.

    Parameters
    ----------
    run : Run
    name : str
        Of the selection.
    conditions : Conditions
    complement : bool
        Those that do not satisfy them.
    replace : bool
        A selection of this name goes.

    Raises
    ------
    InputError
        If the name is taken, or a condition is wrong.
    """
    if name in saved_selections(run.directory) and not replace:
        raise InputError(
            name, "there is a selection of this name", "Choose another, or add --replace."
        )
    chosen = chosen_by(conditions, particle_columns(run))
    return save_selection(run, ~chosen if complement else chosen, name)


def save_selection(run: Run, selection: Selection, name: str) -> SelectionSaved:
    """Write a selection and, where the run's file is a .star or .cs, the file of its particles.

    A particle file that has moved is warned of, and does not keep the selection from being saved.
    """
    path, written = write_selection(run.directory, selection, name)
    return SelectionSaved(path, len(selection), len(selection.all_names), written)


def chosen_by(conditions: Conditions, columns: ParticleColumns) -> Selection:
    """The particles that satisfy all the conditions.

    Raises
    ------
    InputError
        If no condition is given, or one is wrong.
    """
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


def _where(expression: str, columns: ParticleColumns) -> Selection:
    selection, unknown = select_where(expression, columns)
    if unknown:
        LOG.warning(
            "%d particles lack a value that %r needs: not selected by it", unknown, expression
        )
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
