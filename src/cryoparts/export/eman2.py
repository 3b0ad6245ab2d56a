"""Chosen particles as an EMAN2 list, to go on with in EMAN2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.atomic import write_atomically
from cryoparts.particle_files.row_identity import chosen_rows, row_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def write_selected_lst(source: Path, names: Iterable[str], target: Path) -> None:
    """Write the lines of the chosen particles of an EMAN2 .lst file as another.

    Lines and their length, which EMAN2 relies on, stay as they are.

    Parameters
    ----------
    source : Path
        The .lst file.
    names : iterable of str
        Rows to keep, by the names that the run gives them (``index@file``).
    target : Path
        The new file.

    Raises
    ------
    InputError
        If one of the particles is not in the source; then nothing is written.
    """
    known = row_names(np.array([name for _, name in _rows(source)], dtype=np.str_))
    keep = chosen_rows(known, names, source)
    with (
        write_atomically(target) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        row = 0
        with source.open(encoding="utf-8", newline="") as lines:
            for line in lines:
                if not _is_row(line):
                    stream.write(line)
                    continue
                if keep[row]:
                    stream.write(line)
                row += 1


def _rows(source: Path) -> Iterator[tuple[str, str]]:
    """Each particle's line and the name that the run gives it."""
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            if _is_row(line):
                number, file = line.split("\t", 2)[:2]
                yield line, f"{int(number)}@{file.strip()}"


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")
