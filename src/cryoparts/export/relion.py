"""Chosen particles as a RELION file, to go on with in RELION."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

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
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cryoparts.particle_files.star import StarBlock

NAME_COLUMN, CLASS_COLUMN = "rlnImageName", "rlnClassNumber"


def write_selected_star(
    source: Path,
    names: Iterable[str],
    target: Path,
    symmetry: str | None = None,
    classes: Mapping[str, int] | None = None,
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
    classes : mapping of str to int, optional
        The class of each of `names`, for rlnClassNumber: the one value that changes, or
        the one column that is added behind the others.

    Raises
    ------
    InputError
        If the source is no RELION file or has moved, or one of the particles is
        not in it; then nothing is written.
    """
    RelionRows.of(source, symmetry).write(names, target, classes)


@dataclass(frozen=True)
class RelionRows:
    """The rows of a RELION file, found once, of which any number of selections are written.

    Parameters
    ----------
    source : Path
    block : StarBlock
        Of the particles.
    names : str array, shape (P * n,)
        Of the n copies of every row, by which they are chosen.
    elements : array, shape (n, 3, 3)
        Of the point group by which the run has expanded the file.
    """

    source: Path
    block: StarBlock
    names: NDArray[np.str_]
    elements: NDArray[np.float64]

    @classmethod
    def of(cls, source: Path, symmetry: str | None = None) -> Self:
        """Find the rows; see `write_selected_star`."""
        block = particle_block(source, read_blocks(source))
        named = row_names(block.read([NAME_COLUMN])[NAME_COLUMN].astype(str).to_numpy(np.str_))
        elements = np.eye(3)[None] if symmetry is None else group_elements(symmetry, "relion")
        return cls(source, block, copy_names(named, len(elements)), elements)

    def write(
        self, names: Iterable[str], target: Path, classes: Mapping[str, int] | None = None
    ) -> None:
        """Write the chosen rows as another file; see `write_selected_star`."""
        chosen = chosen_rows(self.names, names, self.source)
        keep = chosen.reshape(-1, len(self.elements))
        numbers = None if classes is None else [classes[name] for name in self.names[chosen]]
        edits = Edits(self.block, _turned_angles(self.block, keep, self.elements), numbers)
        with write_atomically(target) as temporary:
            copy_rows(self.source, self.block, keep, edits, temporary)


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


class Edits:
    """What differs from the source in the rows that are written, in their order."""

    def __init__(
        self, block: StarBlock, turned: Iterator[dict[int, str]], numbers: Sequence[int] | None
    ) -> None:
        self._turned = turned
        self._numbers = None if numbers is None else iter(numbers)
        present = numbers is not None and CLASS_COLUMN in block.columns
        self._column = block.columns.index(CLASS_COLUMN) if present else None
        self.new_tag = (
            f"_{CLASS_COLUMN} #{len(block.columns) + 1}"
            if numbers is not None and not present
            else None
        )

    def first(self, line: str) -> str:
        """A row as it stands, but for its class."""
        return self._classified(line, {})

    def copy(self, line: str) -> str:
        """The row of a further copy."""
        return self._classified(line, next(self._turned))

    def _classified(self, line: str, values: dict[int, str]) -> str:
        if self._numbers is None:
            return _with_values(line, values)
        number = str(next(self._numbers))
        if self._column is not None:
            return _with_values(line, values | {self._column: number})
        text = _with_values(line, values)
        bare = text.rstrip()
        return f"{bare} {number}{text[len(bare) :] or chr(10)}"


def copy_rows(
    source: Path, block: StarBlock, keep: NDArray[np.bool_], edits: Edits, target: Path
) -> None:
    """Copy `source` with the kept copies (P, n) of the block's rows, the first as it stands."""
    comments = set(block.comment_lines)
    last_tag = _last_tag(source, block) if edits.new_tag is not None else -1
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
                if number == last_tag:
                    stream.write(f"{edits.new_tag}\n")
                continue
            if keep[row, 0]:
                stream.write(edits.first(line))
            for _ in range(int(keep[row, 1:].sum())):
                stream.write(edits.copy(line))
            row += 1


def _last_tag(source: Path, block: StarBlock) -> int:
    """0-based line of the last column's name of a loop."""
    found = -1
    with source.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines):
            if number >= block.first_line:
                break
            if line.lstrip().startswith("_"):
                found = number
    return found


def _with_values(line: str, values: dict[int, str]) -> str:
    """A row with some of its values replaced; all else, blanks too, stays."""
    if not values:
        return line
    fields = list(VALUE.finditer(line))
    for column in sorted(values, reverse=True):
        start, end = fields[column].span()
        line = line[:start] + values[column] + line[end:]
    return line
