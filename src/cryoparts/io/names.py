"""Particles are joined to tables by their names, never by the order of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ABSENT = -1
SHOWN = 3
"""Names that a message gives as examples."""


def rows_of_names(
    known: ArrayLike,
    wanted: ArrayLike,
    where: str,
    *,
    whose: str = "its",
    container: str = "the run",
    cure: str = "Give names of the same particle file.",
) -> NDArray[np.int64]:
    """Row in `known` of each name in `wanted`, in the order of `wanted`.

    Parameters
    ----------
    known : str array, shape (P,)
        The names that there are, each once.
    wanted : str array, shape (Q,)
        The names that are asked for; one may be asked for twice.
    where : str
        File or option that is at fault where a name is missing.
    whose, container, cure : str
        "WHOSE Q particles are not in CONTAINER", and what to do.

    Returns
    -------
    int array, shape (Q,)

    Raises
    ------
    InputError
        If a name is missing, or occurs twice in `known`; the message counts and shows them.
    """
    index, asked = _index(known), _index(wanted)
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise InputError(where, f"two particles of {container} are called {twice!r}", cure)
    rows = _rows(index, asked)
    missing = asked[rows == ABSENT]
    if len(missing):
        examples = missing[:SHOWN].unique()
        shown = ", ".join(examples) + (" ..." if len(missing) > SHOWN else "")
        looks = f" Names look like {index[0]!r}." if len(index) else ""
        raise InputError(
            where,
            f"{len(missing)} of {whose} {len(asked)} particles are not in {container}: {shown}",
            f"{cure}{looks}",
        )
    return rows


def rows_or_absent(known: ArrayLike, wanted: ArrayLike) -> NDArray[np.int64]:
    """Row in `known` of each name in `wanted` (Q,), -1 where there is none.

    Of a name that occurs twice in `known`, the last.
    """
    index, asked = _index(known), _index(wanted)
    if index.is_unique:
        return _rows(index, asked)
    last = ~index.duplicated(keep="last")
    found = _rows(index[last], asked)
    rows: NDArray[np.int64] = np.where(found == ABSENT, ABSENT, np.flatnonzero(last)[found])
    return rows


def _index(names: ArrayLike) -> pd.Index[Any]:
    """Names as Python's strings, hashed: an array of many wide ones is larger, sorting it slow."""
    texts = np.asarray(names)
    return pd.Index(
        texts if texts.dtype == object else texts.astype(str, copy=False).astype(object),
        dtype=object,
    )


def _rows(index: pd.Index[Any], asked: pd.Index[Any]) -> NDArray[np.int64]:
    return np.asarray(index.get_indexer(asked), dtype=np.int64)
