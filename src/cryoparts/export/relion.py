"""Chosen particles as a RELION file, to go on with in RELION."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import euler_from_rotation, rotation_from_euler
from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.relion import EULER, particle_block
from cryoparts.particle_files.row_identity import chosen_rows, copy_names, row_names
from cryoparts.particle_files.star import VALUE, read_blocks
from cryoparts.particle_files.symmetry import group_elements
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cryoparts.particle_files.star import StarBlock

NAME_COLUMN = "rlnImageName"


def write_selected_star(
    source: Path, names: Iterable[str], target: Path, symmetry: str | None = None
) -> None:
    """Write the rows of the chosen particles of a RELION file as another.

    Optics table, columns, numbers and their digits, comments and the order of
    the lines stay as they are in the particle file; rows of other particles are
    left out. Rows are found by their own names, so that of several rows of one image
    only the chosen ones are written. Where the run has expanded the particles by their
    symmetry, a row is written for every chosen copy, with the angles of the copy.

    Parameters
    ----------
    source : Path
        The RELION file.
    names : iterable of str
        Rows to keep, by the names that the run gives them.
    target : Path
        The new file.
    symmetry : str, optional
        Point group by which the run has expanded the file.

    Raises
    ------
    InputError
        If the source is no RELION file or has moved, or one of the particles is
        not in it; then nothing is written.
    """
    block = particle_block(source, read_blocks(source))
    named = row_names(block.read([NAME_COLUMN])[NAME_COLUMN].astype(str).to_numpy(dtype=np.str_))
    elements = np.eye(3)[None] if symmetry is None else group_elements(symmetry, "relion")
    keep = chosen_rows(copy_names(named, len(elements)), names, source).reshape(len(named), -1)
    with write_atomically(target) as temporary:
        copy_rows(source, block, keep, _turned_angles(block, keep, elements), temporary)


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
    write_selected_star(particles, wanted, target, folder.config().symmetry)
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


def _turned_angles(
    block: StarBlock, keep: NDArray[np.bool_], elements: NDArray[np.float64]
) -> Iterator[dict[int, str]]:
    """For each kept copy but a row's first, in order: its angles by the number of their column."""
    row, copy = np.nonzero(keep[:, 1:])
    if not len(row):
        return
    given = block.read(EULER)
    rotation = rotation_from_euler(*(given[column].to_numpy(dtype=float)[row] for column in EULER))
    columns = [block.columns.index(column) for column in EULER]
    for angles in np.stack(euler_from_rotation(rotation @ elements[copy + 1]), axis=1).tolist():
        yield {column: f"{angle:.6f}" for column, angle in zip(columns, angles, strict=True)}


def copy_rows(
    source: Path,
    block: StarBlock,
    keep: NDArray[np.bool_],
    turned: Iterator[dict[int, str]],
    target: Path,
) -> None:
    """Copy `source` with the kept copies (P, n) of the block's rows, the first as it stands.

    Parameters
    ----------
    source : Path
    block : StarBlock
    keep : bool array, shape (P, n)
        n at least 1; a row is written for every True.
    turned : iterator of dict
        For each kept copy but a row's first, in order: its values by the number of their column.
    target : Path
    """
    comments = set(block.comment_lines)
    row = 0
    with (
        source.open(encoding="utf-8", newline="") as lines,
        target.open("w", encoding="utf-8", newline="") as stream,
    ):
        for number, line in enumerate(lines):
            if not (block.first_line <= number and row < len(block) and line.strip()) or (
                number in comments
            ):
                stream.write(line)
                continue
            if keep[row, 0]:
                stream.write(line)
            for _ in range(int(keep[row, 1:].sum())):
                stream.write(_with_values(line, next(turned)))
            row += 1


def _with_values(line: str, values: dict[int, str]) -> str:
    """A row with some of its values replaced; all else, blanks too, stays."""
    fields = list(VALUE.finditer(line))
    for column in sorted(values, reverse=True):
        start, end = fields[column].span()
        line = line[:start] + values[column] + line[end:]
    return line
