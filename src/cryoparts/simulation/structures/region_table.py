"""Tables that name parts of a structure by chain and residue."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.io.structure import Structure

RESIDUE_COLUMNS = ("first_residue", "last_residue")


@dataclass(frozen=True)
class RegionTable:
    """Atoms named by a table.

    Parameters
    ----------
    label : int64 array, shape (A,)
        Region of each atom in the order of `names`; -1 where no row has it.
    names : tuple of str
        In the order of their first rows.
    extra : dict
        For each region, the other columns of its first row that are filled in.
    """

    label: NDArray[np.int64]
    names: tuple[str, ...]
    extra: dict[str, dict[str, str]]


def read_region_table(path: Path, structure: Structure, name_column: str) -> RegionTable:
    """Read a .csv with the columns chain and `name_column`, or residue ranges as well.

    With the columns first_residue and last_residue (both inclusive) a row takes
    those residues of the chain; a row that leaves them empty, or a table without
    them, takes the whole chain. A region may have several rows.

    Parameters
    ----------
    path : Path
    structure : Structure
        Whose chains and residues are meant.
    name_column : {"segment", "region"}

    Raises
    ------
    InputError
        If a column is missing, a row is malformed or selects no atom, or two
        regions claim one atom.
    """
    rows = _read_rows(path, name_column)
    label = np.full(len(structure.positions), -1, dtype=np.int64)
    names: list[str] = []
    extra: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{path}, row {number}"
        name = row[name_column]
        if not name or not row["chain"]:
            raise InputError(
                where, f"chain or {name_column} is empty", "Fill in both, or delete the row."
            )
        if name not in names:
            names.append(name)
            known = {"chain", name_column, *RESIDUE_COLUMNS}
            extra[name] = {key: text for key, text in row.items() if key not in known and text}
        selected = _select(row, structure, where)
        taken = label[selected]
        index = names.index(name)
        if (clash := taken[(taken >= 0) & (taken != index)]).size:
            raise InputError(
                where,
                f"{clash.size} atoms of chain {row['chain']} belong to {names[clash[0]]!r} already",
                f"Let each residue belong to one {name_column} only.",
            )
        label[selected] = index
    return RegionTable(label, tuple(names), extra)


def _read_rows(path: Path, name_column: str) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = [] if reader.fieldnames is None else list(reader.fieldnames)
            rows = [
                {key: (text or "").strip() for key, text in row.items() if key is not None}
                for row in reader
            ]
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(str(path), f"cannot be read: {fault}", "Give a .csv table.") from fault
    needed = ["chain", name_column]
    if any(column in columns for column in RESIDUE_COLUMNS):
        needed += RESIDUE_COLUMNS
    missing = [column for column in needed if column not in columns]
    if missing or not rows:
        raise InputError(
            str(path),
            f"needs the columns {', '.join(needed)} and a row at least; "
            f"it has {', '.join(columns) or 'none'} and {len(rows)} rows",
            f"Write chain,{name_column} or chain,first_residue,last_residue,{name_column}.",
        )
    return rows


def _select(row: dict[str, str], structure: Structure, where: str) -> NDArray[np.intp]:
    """Indices of the atoms a row takes."""
    in_chain = np.asarray(structure.chain_ids) == row["chain"]
    if not in_chain.any():
        known = ", ".join(dict.fromkeys(str(chain) for chain in structure.chain_ids))
        raise InputError(
            where,
            f"the structure has no chain {row['chain']!r}",
            f"Its chains are {known[:200]}.",
        )
    bounds = [row.get(column, "") for column in RESIDUE_COLUMNS]
    if any(bounds):
        try:
            first, last = (int(bound) for bound in bounds)
        except ValueError as fault:
            raise InputError(
                where,
                f"first_residue and last_residue must be whole numbers, got {bounds}",
                "Give both, or leave both empty for the whole chain.",
            ) from fault
        numbers = np.asarray(structure.residue_numbers)
        in_chain &= (numbers >= first) & (numbers <= last)
    if not in_chain.any():
        raise InputError(
            where,
            f"chain {row['chain']} has no residues {bounds[0]} to {bounds[1]}",
            "Correct the residue numbers.",
        )
    return np.flatnonzero(in_chain)
