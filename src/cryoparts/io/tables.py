"""Arrays, tables and JSON on disk: no pickles, whole or absent, errors that name the file."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_ROWS_AT_ONCE = 10_000
"""Rows that are turned into text together: as an object of Python a cell takes 60 bytes."""

AGAIN = "Run the step that writes it again."


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy."""
    with write_atomically(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def load_array(path: Path, dimensions: int | None = None) -> NDArray[Any]:
    """Read an .npy, of so many dimensions where they are given.

    Raises
    ------
    InputError
        If it is missing or not a plain array, or its dimensions are others.
    """
    with reading(path, "an array", AGAIN), path.open("rb") as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    if dimensions is not None and array.ndim != dimensions:
        raise InputError(
            str(path),
            f"should have {dimensions} dimensions, its shape is {array.shape}",
            AGAIN,
        )
    return array


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    if not path.exists():
        return None
    with reading(path, "JSON", AGAIN):
        content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {"value": content}


def read_table(
    path: Path, required: Sequence[str] = (), *, text: Sequence[str] = (), cure: str = AGAIN
) -> pd.DataFrame:
    """A .csv table with a header line.

    Parameters
    ----------
    path : Path
    required : sequence of str
        Columns that it must have.
    text : sequence of str
        Columns that are text whatever they look like, beside `name`.
    cure : str
        What to do if it is wrong.

    Returns
    -------
    pandas.DataFrame
        An empty cell is "" in a column of text, NaN in any other.

    Raises
    ------
    InputError
        If the file cannot be read or a column is missing.
    """
    texts = ["name", *text]
    with reading(path, "a table", cure):
        # a particle may well be called "NA": only empty cells are missing values
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values=["", "nan"],
        )
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError("its rows have more cells than its header")
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise InputError(
            str(path),
            f"lacks the column {missing[0]!r}; it has {', '.join(map(str, table.columns))}",
            cure,
        )
    for column in texts:
        if column in table.columns:
            table[column] = table[column].fillna("")
    return table


def read_rows(
    path: Path, required: Sequence[str] = (), *, cure: str = AGAIN
) -> list[dict[str, str]]:
    """The rows of a small .csv table, every cell as the text that it is.

    Raises
    ------
    InputError
        As `read_table`.
    """
    header = list(read_table(path, required, cure=cure).columns)
    table = read_table(path, text=header, cure=cure)
    return [dict(zip(header, map(str, row), strict=True)) for row in table.to_numpy().tolist()]


def numbers(
    table: pd.DataFrame, column: str, path: Path, *, cure: str = AGAIN
) -> NDArray[np.float64]:
    """A column of a table as float64, NaN where a cell is empty.

    Raises
    ------
    InputError
        If a cell is not a number.
    """
    try:
        values: NDArray[np.float64] = table[column].to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as fault:
        raise InputError(
            str(path), f"the column {column} is not of numbers: {fault}", cure
        ) from fault
    return values


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of equal length as .csv, numbers with 7 significant digits.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("the columns of a table must be equally long")
    count = len(next(iter(columns.values()), ()))
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for start in range(0, count, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            texts = (_as_text(column[rows]) for column in columns.values())
            writer.writerows(zip(*texts, strict=True))


def _as_text(column: NDArray[Any]) -> list[str]:
    # as Python's own numbers: formatting those of numpy takes twice as long
    if np.issubdtype(column.dtype, np.floating):
        return [f"{value:.7g}" for value in column.tolist()]
    return [str(value) for value in column.tolist()]
