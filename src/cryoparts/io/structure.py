"""Atoms of a model, and writing of atoms and pseudo-atoms; gemmi writes the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gemmi
import numpy as np

from cryoparts.io.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

ATOM_COLUMNS = (
    "group_PDB",
    "id",
    "type_symbol",
    "label_atom_id",
    "label_alt_id",
    "label_comp_id",
    "label_asym_id",
    "label_entity_id",
    "label_seq_id",
    "pdbx_PDB_ins_code",
    "Cartn_x",
    "Cartn_y",
    "Cartn_z",
    "occupancy",
    "B_iso_or_equiv",
    "auth_seq_id",
    "auth_asym_id",
    "pdbx_PDB_model_num",
)


@dataclass(frozen=True)
class Structure:
    """A atoms of a model, in the file's order and frame.

    Parameters
    ----------
    positions : float32 array, shape (A, 3)
        (x, y, z), Å, in the file's own coordinates.
    masses : float32 array, shape (A,)
        Scattering mass: the atomic number.
    chain_ids, residue_names, atom_names, elements : str arrays, shape (A,)
    residue_numbers : int array, shape (A,)
    """

    positions: NDArray[np.float32]
    masses: NDArray[np.float32]
    chain_ids: NDArray[np.str_]
    residue_numbers: NDArray[np.int64]
    residue_names: NDArray[np.str_]
    atom_names: NDArray[np.str_]
    elements: NDArray[np.str_]
    notes: tuple[str, ...] = ()
    """How much was read, and what was left out and why."""

    def __post_init__(self) -> None:
        count = len(self.masses)
        shapes = {len(a) for a in (self.chain_ids, self.residue_numbers, self.residue_names)}
        shapes |= {len(self.atom_names), len(self.elements)}
        if self.positions.shape != (count, 3) or shapes != {count}:
            raise ValueError(f"every array of a structure of {count} atoms must have that length")

    def __len__(self) -> int:
        return len(self.masses)


def write_structure(
    path: Path,
    structure: Structure,
    *,
    occupancies: ArrayLike | None = None,
    b_factors: ArrayLike | None = None,
) -> None:
    """Write an mmCIF file, atomically.

    Parameters
    ----------
    occupancies, b_factors : arrays, shape (A,), optional
        Default 1 and 0.
    """
    count = len(structure)
    document = gemmi.cif.Document()
    block = document.add_new_block("cryoparts")
    occupancy = np.ones(count) if occupancies is None else np.asarray(occupancies)
    b_factor = np.zeros(count) if b_factors is None else np.asarray(b_factors)
    chains = [_quoted(c) for c in structure.chain_ids]
    sequence = structure.residue_numbers.astype(str).tolist()
    _add_atoms(
        block,
        group="ATOM",
        elements=structure.elements.tolist(),
        atom_names=[_quoted(a) for a in structure.atom_names],
        residue_names=[_quoted(r) for r in structure.residue_names],
        chains=chains,
        sequence=sequence,
        positions=structure.positions,
        occupancies=occupancy,
        b_factors=b_factor,
    )
    with write_atomically(path) as temporary:
        document.write_file(str(temporary))


def write_gaussians_cif(
    path: Path,
    positions: ArrayLike,
    amplitudes: ArrayLike,
    widths: ArrayLike,
    labels: ArrayLike | None = None,
) -> None:
    """Write Gaussians as an mmCIF file of pseudo-atoms that ChimeraX opens, atomically.

    One carbon pseudo-atom a Gaussian; occupancy is the amplitude relative to the
    largest. With `labels` (-1 unassigned, 0 core, 1.. parts) the B-factor is the
    label and each label is a chain of its own (``unassigned``, ``core``,
    ``part_1`` ...); without, the B-factor is the amplitude and the chain is
    ``gaussians``. A second table, ``_cryoparts_gaussian``, keeps amplitudes and
    widths (Å) with all digits.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Å.
    amplitudes, widths : arrays, shape (N,)
    labels : int array, shape (N,), optional
    """
    xyz = np.asarray(positions, dtype=np.float64)
    amplitude = np.asarray(amplitudes, dtype=np.float64)
    width = np.asarray(widths, dtype=np.float64)
    count = len(amplitude)
    if xyz.shape != (count, 3) or width.shape != (count,):
        raise ValueError(f"{count} amplitudes need positions ({count}, 3) and widths ({count},)")
    label = None if labels is None else np.asarray(labels)
    named = {-1: "unassigned", 0: "core"}
    chains = (
        ["gaussians"] * count
        if label is None
        else [named.get(int(v), f"part_{int(v)}") for v in label]
    )
    number = [str(i + 1) for i in range(count)]
    document = gemmi.cif.Document()
    block = document.add_new_block("cryoparts_gaussians")
    _add_atoms(
        block,
        group="HETATM",
        elements=["C"] * count,
        atom_names=["C"] * count,
        residue_names=["GAU"] * count,
        chains=chains,
        sequence=number,
        positions=xyz,
        occupancies=amplitude / max(float(amplitude.max(initial=0.0)), 1e-30),
        b_factors=amplitude if label is None else label.astype(np.float64),
    )
    loop = block.init_loop("_cryoparts_gaussian.", ["id", "amplitude", "width_angstrom"])
    loop.set_all_values([number, _formatted(amplitude, "%.9g"), _formatted(width, "%.9g")])
    with write_atomically(path) as temporary:
        document.write_file(str(temporary))


def _add_atoms(
    block: gemmi.cif.Block,
    *,
    group: str,
    elements: list[str],
    atom_names: list[str],
    residue_names: list[str],
    chains: list[str],
    sequence: list[str],
    positions: NDArray[np.floating],
    occupancies: NDArray[np.floating],
    b_factors: NDArray[np.floating],
) -> None:
    """Fill `_atom_site` a column at a time: 90,000 atoms in a fraction of a second."""
    count = len(elements)
    columns = {
        "group_PDB": [group] * count,
        "id": [str(i + 1) for i in range(count)],
        "type_symbol": elements,
        "label_atom_id": atom_names,
        "label_alt_id": ["."] * count,
        "label_comp_id": residue_names,
        "label_asym_id": chains,
        "label_entity_id": ["1"] * count,
        "label_seq_id": sequence if group == "ATOM" else ["."] * count,
        "pdbx_PDB_ins_code": ["?"] * count,
        "Cartn_x": _formatted(positions[:, 0], "%.3f"),
        "Cartn_y": _formatted(positions[:, 1], "%.3f"),
        "Cartn_z": _formatted(positions[:, 2], "%.3f"),
        "occupancy": _formatted(occupancies, "%.4f"),
        "B_iso_or_equiv": _formatted(b_factors, "%.4f"),
        "auth_seq_id": sequence,
        "auth_asym_id": chains,
        "pdbx_PDB_model_num": ["1"] * count,
    }
    loop = block.init_loop("_atom_site.", list(ATOM_COLUMNS))
    loop.set_all_values([columns[name] for name in ATOM_COLUMNS])


def _formatted(values: NDArray[np.floating], pattern: str) -> list[str]:
    return [pattern % v for v in np.asarray(values).tolist()]


def _quoted(text: str) -> str:
    quoted: str = gemmi.cif.quote(str(text))
    return quoted
