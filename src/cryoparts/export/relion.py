"""Chosen particles as a RELION file, to go on with in RELION."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.relion import particle_block
from cryoparts.particle_files.row_identity import chosen_rows, row_names
from cryoparts.particle_files.star import read_blocks
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cryoparts.particle_files.star import StarBlock

NAME_COLUMN = "rlnImageName"


def write_selected_star(source: Path, names: Iterable[str], target: Path) -> None:
    """Write the rows of the chosen particles of a RELION file as another.

    Optics table, columns, numbers and their digits, comments and the order of
    the lines stay as they are in the particle file; rows of other particles are
    left out. Rows are found by their own names, so that of several rows of one image
    only the chosen ones are written.

    Parameters
    ----------
    source : Path
        The RELION file.
    names : iterable of str
        Rows to keep, by the names that the run gives them.
    target : Path
        The new file.

    Raises
    ------
    InputError
        If the source is no RELION file or has moved, or one of the particles is
        not in it; then nothing is written.
    """
    block = particle_block(source, read_blocks(source))
    named = row_names(block.read([NAME_COLUMN])[NAME_COLUMN].astype(str).to_numpy(dtype=np.str_))
    keep = chosen_rows(named, names, source)
    with write_atomically(target) as temporary:
        _copy_rows(source, block, keep, temporary)


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


def _copy_rows(source: Path, block: StarBlock, keep: NDArray[np.bool_], target: Path) -> None:
    """Copy `source` without the rows of the block that are not kept."""
    comments = set(block.comment_lines)
    row = 0
    with (
        source.open(encoding="utf-8", newline="") as lines,
        target.open("w", encoding="utf-8", newline="") as stream,
    ):
        for number, line in enumerate(lines):
            within = block.first_line <= number and row < len(block)
            if within and line.strip() and number not in comments:
                row += 1
                if not keep[row - 1]:
                    continue
            stream.write(line)
