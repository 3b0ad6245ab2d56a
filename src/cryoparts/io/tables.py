"""Arrays and tables on disk: .npy without pickles, .csv, both whole or absent."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy."""
    with write_atomically(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def load_array(path: Path) -> NDArray[Any]:
    """Read an .npy.

    Raises
    ------
    InputError
        If it is missing or not a plain array.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as fault:
        raise InputError(
            str(path), f"cannot be read as an array: {fault}", "Run the step that writes it again."
        ) from fault
    return array


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of equal length as .csv, numbers with 7 significant digits.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("the columns of a table must be equally long")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_as_text(column) for column in columns.values()), strict=True))
    write_text(path, buffer.getvalue())


def _as_text(column: NDArray[Any]) -> list[str]:
    if np.issubdtype(column.dtype, np.floating):
        return [f"{value:.7g}" for value in column]
    return [str(value) for value in column]
