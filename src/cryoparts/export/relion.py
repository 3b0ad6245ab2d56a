"""Chosen particles as a RELION file, to go on with in RELION."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.star import read_blocks
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoparts.particle_files.star import StarBlock

NAME_COLUMN = "rlnImageName"


def write_selected_star(source: Path, names: Iterable[str], target: Path) -> None:
    """Write the lines of the chosen particles of a RELION file as another.

    Optics table, columns, numbers and their digits, comments and the order of
    the lines stay as they are in the particle file; lines of other particles are
    left out. Particles are found by name.

    Parameters
    ----------
    source : Path
        The RELION file.
    names : iterable of str
        Particles to keep.
    target : Path
        The new file.

    Raises
    ------
    InputError
        If the source is no RELION file or has moved, or one of the particles is
        not in it; then nothing is written.
    """
    wanted = set(names)
    with write_atomically(target) as temporary:
        found = _copy_rows(source, _particle_block(source), wanted, temporary)
        missing = sorted(wanted - found)
        if missing:
            raise InputError(
                str(source),
                f"lacks {len(missing)} of the {len(wanted)} particles, {missing[0]} for one",
                "Give the file that the run was made from.",
            )


def write_state_star(run: Path, part: int, state: int, source: Path | None = None) -> Path:
    """Write ``focus/part_<part>/state_<state>.star``: that state's lines of the particle file.

    Parameters
    ----------
    run : Path
        The run folder.
    part, state : int
        1 ...
    source : Path, optional
        The RELION file. Default: the one that the run was made from.

    Returns
    -------
    Path
        The new file.

    Raises
    ------
    InputError
        If the part has no states yet, the state no particles, the source is no
        RELION file or has moved, or one of the particles is not in it.
    """
    folder = RunDirectory.open(run)
    focus = folder.focus_path(part)
    wanted = _names(folder, part, state)
    particles = source if source is not None else Path(folder.config().particles)
    target = focus / f"state_{state}.star"
    write_selected_star(particles, wanted, target)
    return target


def _names(folder: RunDirectory, part: int, state: int) -> set[str]:
    focus = folder.focus_path(part)
    folder.require(focus / "particles.csv", f"cryoparts focus {folder.root}")
    focused = FocusedParticles.load(focus)
    names = set(focused.names[focused.members(state)].tolist())
    if not names:
        raise InputError(
            f"state {state} of part {part}",
            f"there is no such state, or no particle in it; the part has {focused.n_states}",
            f"Choose a state from 1 to {focused.n_states}.",
        )
    return names


def _particle_block(path: Path) -> StarBlock:
    for block in read_blocks(path).values():
        if NAME_COLUMN in block.columns and not block.values:
            return block
    raise InputError(
        str(path),
        f"no block has a column {NAME_COLUMN}",
        "Give the RELION .star file that the run was made from.",
    )


def _copy_rows(source: Path, block: StarBlock, wanted: set[str], target: Path) -> set[str]:
    """Copy `source` without the rows of other particles; returns the names that were found."""
    column = block.columns.index(NAME_COLUMN)
    found: set[str] = set()
    rows_left = len(block)
    with (
        source.open(encoding="utf-8", newline="") as lines,
        target.open("w", encoding="utf-8", newline="") as stream,
    ):
        for number, line in enumerate(lines):
            if number >= block.first_line and rows_left and line.strip():
                rows_left -= 1
                name = _value(line, column)
                if name not in wanted:
                    continue
                found.add(name)
            stream.write(line)
    return found


def _value(line: str, column: int) -> str:
    """One value of a row; quotes may hold spaces."""
    values = line.split() if '"' not in line and "'" not in line else shlex.split(line)
    return values[column] if column < len(values) else ""
