"""An atomic model's file with its atoms elsewhere, or without some residues; all else stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gemmi
import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

CURE = "Give a PDB (.pdb, .ent) or mmCIF (.cif) file with atoms; .gz is understood."


@dataclass(frozen=True)
class AtomicFile:
    """Every atom of the first model of a file, hydrogens, waters and alternatives too.

    Parameters
    ----------
    structure : gemmi.Structure
        The first model alone.
    positions : array, shape (A, 3)
        Å, in the file's own frame and order.
    radii : array, shape (A,)
        Covalent radii, Å.
    masses : array, shape (A,)
        Atomic numbers.
    residue : int array, shape (A,)
        Number of each atom's residue, from 0.
    """

    structure: gemmi.Structure
    positions: FloatArray
    radii: FloatArray
    masses: FloatArray
    residue: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> AtomicFile:
        """Read a PDB or mmCIF file.

        Raises
        ------
        InputError
            If it is absent, of another type, or has no atoms.
        """
        with reading(path, "an atomic model", CURE):
            structure = gemmi.read_structure(str(path))
            while len(structure) > 1:
                del structure[1]
        positions: list[list[float]] = []
        elements: list[gemmi.Element] = []
        residue: list[int] = []
        number = -1
        for chain in structure[0] if len(structure) else ():
            for one in chain:
                number += 1
                for atom in one:
                    positions.append(atom.pos.tolist())
                    elements.append(atom.element)
                    residue.append(number)
        if not positions:
            raise InputError(str(path), "there are no atoms in it", CURE)
        return cls(
            structure,
            np.array(positions),
            np.array([element.covalent_r for element in elements]),
            np.array([max(element.atomic_number, 1) for element in elements], dtype=np.float64),
            np.array(residue, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.residue)

    def residues_in(self, atoms: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Residues (R,) with most of their mass in the chosen atoms (A,)."""
        whole = np.bincount(self.residue, self.masses)
        return np.asarray(np.bincount(self.residue, self.masses * atoms) > 0.5 * whole)

    def write(self, path: Path, places: FloatArray, keep: NDArray[np.bool_] | None = None) -> None:
        """Write the atoms at other places as mmCIF, a model each; all else stays as it was.

        Parameters
        ----------
        path : Path
        places : array, shape (T, A, 3)
            Å, in the file's own frame.
        keep : bool array, shape (R,), optional
            Residues that are written. Default: all.
        """
        written = gemmi.Structure()
        written.name = self.structure.name or "cryoparts"
        written.cell = self.structure.cell
        for number, positions in enumerate(places, start=1):
            model = self.structure[0].clone()
            model.num = number
            row = iter(positions.tolist())
            for chain in model:
                for residue in chain:
                    for atom in residue:
                        atom.pos = gemmi.Position(*next(row))
            if keep is not None:
                _remove(model, keep)
            written.add_model(model)
        written.remove_empty_chains()
        written.entities = self.structure.entities
        written.setup_entities()
        document = written.make_mmcif_document()
        with write_atomically(path) as temporary:
            document.write_file(str(temporary))


def _remove(model: gemmi.Model, keep: NDArray[np.bool_]) -> None:
    number = len(keep)
    for chain in reversed(list(model)):
        for index in reversed(range(len(chain))):
            number -= 1
            if not keep[number]:
                del chain[index]
