from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.structure import (
    Structure,
    write_gaussians_cif,
    write_structure,
)

PDB = """\
ATOM      1  N   GLY A   1      11.104   6.134  -6.504  1.00 10.00           N
ATOM      2  CA AGLY A   1      11.639   6.071  -5.147  0.60 10.00           C
ATOM      3  CA BGLY A   1      12.639   6.071  -5.147  0.40 10.00           C
ATOM      4  HA  GLY A   1      10.639   6.571  -5.147  1.00 10.00           H
ATOM      5  P     G B   7       1.000   2.000   3.000  1.00 10.00           P
ATOM      6  O5'   G B   7       2.000   2.000   3.000  1.00 10.00           O
HETATM    7 MG    MG C   8       5.000   2.000   3.000  1.00 10.00          MG
HETATM    8  O   HOH D   9       9.000   2.000   3.000  1.00 10.00           O
END
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pdb"
    path.write_text(PDB)
    return path


def test_atoms_come_in_order_with_atomic_numbers_as_masses(model: Path) -> None:
    atoms = read_structure(model)
    assert atoms.elements.tolist() == ["N", "C", "P", "O", "Mg"]
    assert atoms.masses.tolist() == [7, 6, 15, 8, 12]
    assert atoms.chain_ids.tolist() == ["A", "A", "B", "B", "C"]
    assert atoms.residue_numbers.tolist() == [1, 1, 7, 7, 8]
    assert atoms.residue_names.tolist() == ["GLY", "GLY", "G", "G", "MG"]
    np.testing.assert_allclose(atoms.positions[1], [11.639, 6.071, -5.147], atol=1e-4)


def test_hydrogens_and_waters_can_be_kept(model: Path) -> None:
    assert "H" in read_structure(model, keep_hydrogens=True).elements
    assert "HOH" in read_structure(model, keep_waters=True).residue_names


def test_mmcif_round_trip(model: Path, tmp_path: Path) -> None:
    atoms = read_structure(model)
    write_structure(tmp_path / "o.cif", atoms, b_factors=np.arange(5.0))
    again = read_structure(tmp_path / "o.cif")
    for name in (
        "masses",
        "chain_ids",
        "residue_numbers",
        "residue_names",
        "atom_names",
        "elements",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(atoms, name))
    np.testing.assert_allclose(again.positions, atoms.positions, atol=5e-4)
    stored = gemmi.read_structure(str(tmp_path / "o.cif"))
    assert [a.atom.b_iso for a in stored[0].all()] == [0, 1, 2, 3, 4]


def test_gaussians_are_one_pseudo_atom_each_with_a_chain_a_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xyz, amplitude = rng.normal(size=(12000, 3)) * 80, rng.uniform(1, 9, 12000)
    label = np.arange(12000) % 4 - 1
    write_gaussians_cif(tmp_path / "g.cif", xyz, amplitude, np.full(12000, 3.5), label)
    stored = gemmi.read_structure(str(tmp_path / "g.cif"))
    atoms = list(stored[0].all())
    assert {c.name for c in stored[0]} == {"unassigned", "core", "part_1", "part_2"}
    assert len(atoms) == 12000
    order = np.array([int(a.residue.seqid.num) - 1 for a in atoms])
    assert sorted(order.tolist()) == list(range(12000))
    found = np.array([a.atom.pos.tolist() for a in atoms])
    np.testing.assert_allclose(found, xyz[order], atol=6e-4)
    np.testing.assert_array_equal([a.atom.b_iso for a in atoms], label[order])
    assert max(a.atom.occ for a in atoms) == pytest.approx(1.0)
    table = (
        gemmi.cif.read(str(tmp_path / "g.cif"))
        .sole_block()
        .find("_cryoparts_gaussian.", ["amplitude", "width_angstrom"])
    )
    np.testing.assert_allclose([float(row[0]) for row in table], amplitude, rtol=1e-8)
    assert {row[1] for row in table} == {"3.5"}


def test_without_labels_the_b_factor_is_the_amplitude(tmp_path: Path) -> None:
    write_gaussians_cif(tmp_path / "g.cif", np.eye(3), [1.0, 2.0, 4.0], [1, 1, 1])
    atoms = list(gemmi.read_structure(str(tmp_path / "g.cif"))[0].all())
    assert [a.atom.b_iso for a in atoms] == [1, 2, 4]
    assert [a.atom.occ for a in atoms] == [0.25, 0.5, 1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "is empty"), ("data_x\n", "no atoms"), ("END\n", "no atoms")],
)
def test_files_without_atoms_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "m.cif" if content.startswith("data") else tmp_path / "m.pdb"
    path.write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_structure(path)
    assert str(path) in caught.value.where


def test_a_structure_of_unequal_arrays_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 atoms"):
        Structure(
            np.zeros((2, 3), np.float32),
            np.ones(2, np.float32),
            np.array(["A"]),
            np.array([1, 2]),
            np.array(["GLY", "GLY"]),
            np.array(["N", "C"]),
            np.array(["N", "C"]),
        )
