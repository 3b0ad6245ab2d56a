"""Reading of atomic models: which of a file's atoms are taken, and what is said of the others.

gemmi parses the formats. It stops at END, and puts residues of one number in a chain
together; what to leave out is therefore decided here, on its atoms: nothing goes but
hydrogens, waters, the alternatives of an atom that another altloc gives, and models that
show the same molecule once more. What goes is counted in `Structure.notes`.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cryoparts.errors import InputError
from cryoparts.io.files import reading
from cryoparts.io.mrc import is_map
from cryoparts.io.structure import Structure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CURE = "Give a PDB (.pdb, .ent) or mmCIF (.cif) file with atoms; .gz is understood."
PDB = re.compile(r"\.(pdb|ent)(\.gz)?$", re.IGNORECASE)
ATOM_RECORDS = ("ATOM", "HETATM")

SAME_PLACE = 0.6
"""Atoms of another model nearer than this to one of the first, in distances between
neighbours, stand in its place: no two molecules come that close."""

SHARE_IN_THE_SAME_PLACE = 0.02
"""Of a model that shows the molecule again, in another conformation, more atoms do."""

UNKNOWN = "X"
COLUMNS = (
    "model", "chain", "residue", "number", "name", "element", "altloc", "occupancy", "place",
    "water", "group",
)  # fmt: skip


@dataclass(frozen=True)
class _Atoms:
    """What the file holds, before anything is left out: one entry an atom."""

    table: pd.DataFrame
    positions: NDArray[np.float64]

    def kept(self, keep: NDArray[np.bool_]) -> _Atoms:
        return _Atoms(self.table[keep].reset_index(drop=True), self.positions[keep])


STRUCTURES = {".cif", ".mmcif", ".pdb", ".ent", ".gz"}
"""Suffixes of atomic models; a compressed map is told from them by `cryoparts.io.mrc.is_map`."""

FARTHEST_ANGSTROM = 1e5
"""No molecule is larger: a coordinate beyond it is a damaged number."""


def is_structure(path: Path) -> bool:
    """Whether a file is an atomic model by its name."""
    return path.suffix.lower() in STRUCTURES and not is_map(path)


def read_structure(
    path: Path, *, keep_hydrogens: bool = False, keep_waters: bool = False
) -> Structure:
    """Read the atoms of a PDB or mmCIF file.

    Of alternative places of a residue those of the altloc with the highest occupancy are
    taken. Models that lie beside the first (the copies of a biological assembly) are read
    with it, their chains called ``A-2`` and so on; models that lie on it (an ensemble) are
    left out. Atoms behind END are read as a further model.

    Parameters
    ----------
    path : Path
    keep_hydrogens, keep_waters : bool

    Returns
    -------
    Structure
        Its `notes` say how many atoms, residues and chains were read, and how many atoms were
        left out for which reason.

    Raises
    ------
    InputError
        If the file is absent, of another type, has no atoms, or a coordinate is
        not a number.
    """
    with reading(path, "an atomic model", CURE):
        parsed, ends = _parsed(path)
        atoms = _atoms(parsed)
    if not len(atoms.table):
        raise InputError(str(path), "there are no atoms in it", CURE)
    notes = ["END stands among the atoms: those behind it are read as a further model"] * ends
    left_out: list[str] = []
    atoms = _without_unwanted(
        atoms, left_out, keep_hydrogens=keep_hydrogens, keep_waters=keep_waters
    )
    if not len(atoms.table):
        raise InputError(str(path), "there are no atoms in it besides hydrogens and waters", CURE)
    _require_finite(atoms, path)
    atoms = _highest_altlocs(atoms, left_out)
    atoms = _distinct_models(atoms, left_out, notes)
    return _structure(atoms, left_out, notes)


def _parsed(path: Path) -> tuple[gemmi.Structure, int]:
    """The file as gemmi reads it, and whether END stood among its atoms (0 or 1)."""
    if PDB.search(path.name) is None:
        return gemmi.read_structure(str(path)), 0
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("latin-1")
    if not re.search(r"^END\s*$(?=.*^(ATOM|HETATM))", text, re.MULTILINE | re.DOTALL):
        return gemmi.read_pdb_string(text), 0
    return gemmi.read_pdb_string(_ends_as_models(text.splitlines())), 1


def _ends_as_models(lines: Sequence[str]) -> str:
    """END between atoms parts models, as programs of molecular dynamics write them."""
    out: list[str] = []
    number, is_open = 0, False
    for line in lines:
        record = line[:6].strip()
        if record in ATOM_RECORDS and not is_open:
            number += 1
            out.append(f"MODEL     {number:>4}")
            is_open = True
        if record in ("END", "ENDMDL", "MODEL"):
            if is_open:
                out.append("ENDMDL")
            is_open = False
            continue
        out.append(line)
    return "\n".join([*out, "ENDMDL" if is_open else "", "END"]) + "\n"


def _atoms(parsed: gemmi.Structure) -> _Atoms:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    positions: list[list[float]] = []
    group = 0
    for model_number, model in enumerate(parsed):
        for chain in model:
            for residue in chain:
                atoms = list(residue)
                count = len(atoms)
                positions.extend(atom.pos.tolist() for atom in atoms)
                for name, value in (
                    ("model", model_number),
                    ("chain", chain.name),
                    ("residue", residue.name),
                    ("number", residue.seqid.num or 0),
                    ("place", str(residue.seqid)),
                    ("water", residue.is_water()),
                ):
                    columns[name].extend([value] * count)
                names = [atom.name for atom in atoms]
                columns["name"].extend(names)
                columns["element"].extend(atom.element.name for atom in atoms)
                columns["altloc"].extend(atom.altloc.strip("\0 ") for atom in atoms)
                columns["occupancy"].extend(atom.occ for atom in atoms)
                columns["group"].extend(groups := _residues_of(atoms, names, group))
                group = groups[-1] + 1 if groups else group
    return _Atoms(pd.DataFrame(columns), np.asarray(positions, dtype=np.float64).reshape(-1, 3))


def _residues_of(atoms: Sequence[gemmi.Atom], names: Sequence[str], first: int) -> list[int]:
    """Number of each atom's residue: gemmi joins those of one number, serials tell them apart."""
    if len(set(names)) == len(names) or len({(a.name, a.altloc) for a in atoms}) == len(names):
        return [first] * len(names)
    serials = np.array([atom.serial for atom in atoms])
    breaks = np.concatenate([[0], np.cumsum(np.diff(serials) > 1)])
    return [first + int(b) for b in breaks]


def _without_unwanted(
    atoms: _Atoms, left_out: list[str], *, keep_hydrogens: bool, keep_waters: bool
) -> _Atoms:
    water = atoms.table["water"].to_numpy(dtype=bool) & (not keep_waters)
    hydrogen = atoms.table["element"].isin(["H", "D"]).to_numpy() & (not keep_hydrogens) & ~water
    _count(left_out, int(water.sum()), "of waters")
    _count(left_out, int(hydrogen.sum()), "that are hydrogens")
    return atoms.kept(~(water | hydrogen))


def _highest_altlocs(atoms: _Atoms, left_out: list[str]) -> _Atoms:
    """Of each residue's alternatives those of the altloc with the highest occupancy."""
    table = atoms.table
    named = table["altloc"] != ""
    if not named.any():
        return atoms
    place = table.groupby(["model", "chain", "place"], sort=False).ngroup().to_numpy()
    choices = (
        pd.DataFrame(
            {
                "place": place[named],
                "altloc": table["altloc"][named],
                "occupancy": table["occupancy"][named],
            }
        )
        .groupby(["place", "altloc"], sort=True)["occupancy"]
        .mean()
        .reset_index()
        .sort_values(["place", "occupancy", "altloc"], ascending=[True, False, True], kind="stable")
        .drop_duplicates("place")
        .set_index("place")["altloc"]
    )
    chosen = pd.Series(place).map(choices).to_numpy()
    drop = named.to_numpy() & (table["altloc"].to_numpy() != chosen)
    _count(left_out, int(drop.sum()), "of alternatives with a lower occupancy")
    return atoms.kept(~drop)


def _distinct_models(atoms: _Atoms, left_out: list[str], notes: list[str]) -> _Atoms:
    """The first model and those that lie beside it, not on it."""
    number = atoms.table["model"].to_numpy()
    present = np.unique(number)
    if len(present) < 2:
        return atoms
    taken = [int(present[0])]
    first = atoms.positions[number == taken[0]]
    reach = SAME_PLACE * _spacing(first)
    for model in present[1:]:
        tree = cKDTree(atoms.positions[np.isin(number, taken)])
        distance, _ = tree.query(atoms.positions[number == model])
        if float((distance < reach).mean()) <= SHARE_IN_THE_SAME_PLACE:
            taken.append(int(model))
    keep = np.isin(number, taken)
    if len(taken) > 1:
        notes.append(
            f"{len(taken)} of {len(present)} models lie beside each other, as the copies of an "
            "assembly do: all are read, the chains of the others called A-2 and so on"
        )
    others = len(present) - len(taken)
    _count(
        left_out,
        int((~keep).sum()),
        f"of {others} further model{'s' if others > 1 else ''} that show the molecule once more "
        "(an ensemble; the first is taken)",
    )
    table = atoms.table.copy()
    rank = {model: place + 1 for place, model in enumerate(taken)}
    later = table["model"].map(rank).fillna(1).astype(int)
    table["chain"] = np.where(
        later > 1, table["chain"].astype(str) + "-" + later.astype(str), table["chain"]
    )
    return _Atoms(table, atoms.positions).kept(keep)


def _spacing(positions: NDArray[np.float64]) -> float:
    """Median distance from an atom to the next, Å."""
    if len(positions) < 2:
        return 1.0
    distance, _ = cKDTree(positions).query(positions, k=2)
    return float(np.median(distance[:, 1]))


def _structure(atoms: _Atoms, left_out: list[str], notes: list[str]) -> Structure:
    table = atoms.table
    elements = table["element"].to_numpy(dtype=np.str_)
    unique, inverse = np.unique(elements, return_inverse=True)
    numbers = np.array([gemmi.Element(s).atomic_number for s in unique], dtype=np.float32)
    unknown = int((elements == UNKNOWN).sum())
    if unknown:
        notes.append(f"{unknown:,} atoms have no element: they count as carbon")
    absent = int((table["occupancy"] == 0).sum())
    if absent:
        notes.append(f"{absent:,} atoms have occupancy 0: they are read as the others")
    read = ", ".join(
        f"{count:,} {noun}{'' if count == 1 else 's'}"
        for count, noun in (
            (len(table), "atom"),
            (table["group"].nunique(), "residue"),
            (table["chain"].nunique(), "chain"),
        )
    )
    told = f"read {read}; left out: {', '.join(left_out) or 'none'}"
    return Structure(
        positions=atoms.positions.astype(np.float32),
        # An unknown element (X, atomic number 0) scatters like carbon rather than not at all.
        masses=np.where(numbers == 0, np.float32(6), numbers)[inverse.reshape(-1)],
        chain_ids=table["chain"].to_numpy(dtype=np.str_),
        residue_numbers=table["number"].to_numpy(dtype=np.int64),
        residue_names=table["residue"].to_numpy(dtype=np.str_),
        atom_names=table["name"].to_numpy(dtype=np.str_),
        elements=elements,
        notes=(told, *notes),
    )


def _require_finite(atoms: _Atoms, path: Path) -> None:
    bad = ~(np.abs(atoms.positions) < FARTHEST_ANGSTROM).all(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        place = ", ".join(f"{value:g}" for value in atoms.positions[first])
        raise InputError(
            f"{path}, atom {first + 1}",
            f"its coordinates must be numbers within {FARTHEST_ANGSTROM:g} Å, they are {place}",
            "Correct the file.",
        )


def _count(left_out: list[str], count: int, what: str) -> None:
    if count:
        left_out.append(f"{count:,} atom{'' if count == 1 else 's'} {what}")
