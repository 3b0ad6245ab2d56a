"""Reading arrays and tables of a run folder, with errors that name the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoparts.errors import InputError
from cryoparts.io.tables import load_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def read_array(path: Path, dimensions: int) -> NDArray[Any]:
    """An .npy array with the given number of dimensions.

    Raises
    ------
    InputError
        If the file is no such array.
    """
    array = load_array(path)
    if array.ndim != dimensions:
        raise InputError(
            str(path),
            f"should have {dimensions} dimensions, its shape is {array.shape}",
            "Run the step that writes it again.",
        )
    return array


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InputError(
            str(path), f"is not JSON: {fault}", "Run the step that writes it again."
        ) from fault
    return content if isinstance(content, dict) else {"value": content}


def read_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """A .csv table with at least the required columns; names of particles stay text.

    Raises
    ------
    InputError
        If the file cannot be read or a column is missing.
    """
    try:
        # a particle may well be called "NA": only empty cells are missing values
        table = pd.read_csv(path, dtype={"name": str}, keep_default_na=False, na_values=["", "nan"])
    except (OSError, ValueError) as fault:
        raise InputError(
            str(path), f"is not a table: {fault}", "Run the step that writes it again."
        ) from fault
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise InputError(
            str(path),
            f"lacks the column {missing[0]!r}; it has {', '.join(map(str, table.columns))}",
            "Run the step that writes it again.",
        )
    return table


def match_names(
    names: NDArray[np.str_], table_names: Sequence[str], values: NDArray[Any], *, absent: int
) -> NDArray[np.int64]:
    """The value of each name (by name, not by row), `absent` for names not in the table."""
    known = dict(zip(map(str, table_names), values.tolist(), strict=True))
    return np.array([known.get(str(name), absent) for name in names], dtype=np.int64)
