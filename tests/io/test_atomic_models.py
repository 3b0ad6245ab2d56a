"""No atom is dropped in silence: what was read and what was left out is counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cryoparts.config import ModelConfig
from cryoparts.gaussians.from_file import make_model
from cryoparts.io.atomic_models import read_structure


def atom(
    serial: int,
    xyz: tuple[float, float, float],
    *,
    name: str = " CA",
    residue: str = "GLY",
    number: int = 1,
    chain: str = "A",
    altloc: str = " ",
    occupancy: float = 1.0,
    element: str = "C",
) -> str:
    """One line of a PDB file; numbers wrap as programs let them."""
    x, y, z = xyz
    return (
        f"ATOM  {serial % 100000:5d} {name:<4s}{altloc}{residue:>3s} {chain}{number % 10000:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{1.0:6.2f}          {element:>2s}"
    )


def grid(count: int, start: float = 0.0) -> np.ndarray:
    """Points 3.8 Å apart."""
    side = int(np.ceil(count ** (1 / 3)))
    points = np.stack(np.meshgrid(*3 * [np.arange(side)], indexing="ij"), -1).reshape(-1, 3)
    return 3.8 * points[:count] + start


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("chain", ["A", " "])
def test_residue_numbers_that_start_again_keep_every_atom(tmp_path: Path, chain: str) -> None:
    points = grid(10_050)
    lines = [atom(i + 1, tuple(p), number=i + 1, chain=chain) for i, p in enumerate(points)]
    read = read_structure(write(tmp_path / "m.pdb", lines))
    assert len(read) == 10_050
    order = np.lexsort(read.positions.T)
    np.testing.assert_allclose(read.positions[order], points[np.lexsort(points.T)], atol=1e-3)
    assert read.notes == ("read 10,050 atoms, 10,050 residues, 1 chain; left out: none",)


def test_two_chains_without_names_keep_every_atom(tmp_path: Path) -> None:
    points = grid(40)
    lines = [
        atom(i + 1, tuple(p), number=i % 20 + 1, chain=" ", residue="ALA" if i < 20 else "GLY")
        for i, p in enumerate(points)
    ]
    assert len(read_structure(write(tmp_path / "m.pdb", lines))) == 40


def test_beads_of_one_name_in_one_residue_are_all_read(tmp_path: Path) -> None:
    lines = [atom(i + 1, tuple(p), residue="UNL") for i, p in enumerate(grid(500))]
    read = read_structure(write(tmp_path / "m.pdb", lines))
    assert len(read) == 500
    assert read.notes == ("read 500 atoms, 1 residue, 1 chain; left out: none",)


def test_of_alternatives_the_altloc_of_highest_occupancy_is_taken(tmp_path: Path) -> None:
    lines = [
        atom(1, (0, 0, 0), name=" N", element="N"),
        atom(2, (1, 0, 0), altloc="A", occupancy=0.3),
        atom(3, (2, 0, 0), altloc="B", occupancy=0.7),
        atom(4, (3, 0, 0), name=" CB", altloc="A", occupancy=0.3, residue="SER"),
        atom(5, (4, 0, 0), name=" SG", altloc="B", occupancy=0.7, residue="CYS", element="S"),
        atom(6, (5, 0, 0), number=2, altloc="B", occupancy=0.2),
    ]
    read = read_structure(write(tmp_path / "m.pdb", lines))
    assert sorted(read.positions[:, 0].tolist()) == [0, 2, 4, 5]
    assert "left out: 2 atoms of alternatives with a lower occupancy" in read.notes[0]


def models(*frames: np.ndarray) -> list[str]:
    lines = []
    for number, frame in enumerate(frames, start=1):
        lines.append(f"MODEL     {number:>4}")
        lines += [atom(i + 1, tuple(p), number=i + 1) for i, p in enumerate(frame)]
        lines.append("ENDMDL")
    return [*lines, "END"]


def test_models_of_an_assembly_are_all_read_as_chains_of_their_own(tmp_path: Path) -> None:
    frames = [grid(30), grid(30, start=40.0), grid(30, start=-40.0)]
    read = read_structure(write(tmp_path / "m.pdb", models(*frames)))
    assert len(read) == 90
    assert sorted(set(read.chain_ids)) == ["A", "A-2", "A-3"]
    np.testing.assert_allclose(read.positions[read.chain_ids == "A-2"], frames[1], atol=1e-3)
    assert "read 90 atoms, 90 residues, 3 chains" in read.notes[0]
    assert any("3 of 3 models" in note for note in read.notes)


def test_of_an_ensemble_the_first_model_is_read_and_that_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [grid(30), *(grid(30) + rng.normal(size=(30, 3)) for _ in range(4))]
    read = read_structure(write(tmp_path / "m.pdb", models(*frames)))
    np.testing.assert_allclose(read.positions, frames[0], atol=1e-3)
    assert "left out: 120 atoms of 4 further models" in read.notes[0]
    assert "the first is taken" in read.notes[0]


def test_atoms_behind_the_end_are_read(tmp_path: Path) -> None:
    first = [atom(i + 1, tuple(p), number=i + 1) for i, p in enumerate(grid(30))]
    second = [atom(i + 1, tuple(p), number=i + 1) for i, p in enumerate(grid(30, 40.0))]
    path = write(tmp_path / "m.pdb", [*first, "TER", "END", *second, "END"])
    read = read_structure(path)
    assert len(read) == 60
    assert any("END stands among the atoms" in note for note in read.notes)
    packed = tmp_path / "m.pdb.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_structure(packed).positions, read.positions)


def test_atoms_of_occupancy_0_are_read_and_told(tmp_path: Path) -> None:
    lines = [
        atom(i + 1, tuple(p), number=i + 1, occupancy=float(i > 3)) for i, p in enumerate(grid(9))
    ]
    read = read_structure(write(tmp_path / "m.pdb", lines))
    assert len(read) == 9
    assert any(note.startswith("4 atoms have occupancy 0") for note in read.notes)


def test_hydrogens_waters_and_unknown_elements_are_counted(tmp_path: Path) -> None:
    lines = [
        atom(1, (0, 0, 0)),
        atom(2, (1, 0, 0), name=" HA", element="H"),
        atom(3, (9, 0, 0), name=" O", residue="HOH", number=2, element="O"),
        atom(4, (5, 0, 0), name=" BB", residue="BEA", number=3, element=""),
    ]
    read = read_structure(write(tmp_path / "m.pdb", lines))
    assert len(read) == 2
    assert "1 atom of waters, 1 atom that are hydrogens" in read.notes[0]


def test_the_model_step_says_what_was_read(tmp_path: Path) -> None:
    path = write(tmp_path / "m.pdb", models(grid(60, -10.0), grid(60, -10.5)))
    told: list[str] = []
    make_model(path, ModelConfig(), 15.0, 32, 4.0, 0, told.append)
    assert told[0].startswith("m.pdb: read 60 atoms, 60 residues, 1 chain; left out: 60 atoms of 1")
