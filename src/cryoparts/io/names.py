"""Particles are joined to tables by their names, never by the order of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
    names, asked = _texts(known), _texts(wanted)
    rows = _rows(names, asked)
    if (twice := _first_repeated(names)) is not None:
        raise InputError(where, f"two particles of {container} are called {twice!r}", cure)
    missing = [name for name, row in zip(asked, rows, strict=True) if row == ABSENT]
    if missing:
        shown = ", ".join(dict.fromkeys(missing[:SHOWN])) + (" ..." if len(missing) > SHOWN else "")
        looks = f" Names look like {names[0]!r}." if names else ""
        raise InputError(
            where,
            f"{len(missing)} of {whose} {len(asked)} particles are not in {container}: {shown}",
            f"{cure}{looks}",
        )
    return np.array(rows, dtype=np.int64)


def rows_or_absent(known: ArrayLike, wanted: ArrayLike) -> NDArray[np.int64]:
    """Row in `known` of each name in `wanted` (Q,), -1 where there is none."""
    return np.array(_rows(_texts(known), _texts(wanted)), dtype=np.int64)


def _texts(names: ArrayLike) -> list[str]:
    return [str(name) for name in np.asarray(names).tolist()]


def _rows(names: list[str], asked: list[str]) -> list[int]:
    row_of = {name: row for row, name in enumerate(names)}
    return [row_of.get(name, ABSENT) for name in asked]


def _first_repeated(names: list[str]) -> str | None:
    if len(set(names)) == len(names):
        return None
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
