"""Atoms along a motion: bodies are rigid, hinges keep their bonds, files keep their words."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.export.atomic_file import AtomicFile
from cryoparts.export.atomic_morph import (
    HINGE,
    SHORTEST_RUN,
    Screw,
    bond_deviation,
    find_bonds,
    morph,
    ramp,
)

MOST_ANGSTROM = 0.02
STRUCTURES = [
    ("transporter_fab.cif", [0.0, 0.0, 1.0], 0.7),
    ("adenylate_kinase.cif", [0, 0, 1], 0.6),
]


def chain_of(count: int) -> np.ndarray:
    return np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)


def cut(file: AtomicFile, direction, quantile: float) -> tuple[np.ndarray, Screw]:
    """A part that is what lies beyond a plane, whatever chains cross it, and a turn of it."""
    way = np.asarray(direction, dtype=float)
    height = (file.positions - file.positions.mean(axis=0)) @ way
    inside = height > np.quantile(height, quantile)
    axis = np.cross(way, [0.3, 0.5, 0.8])
    pivot = file.positions[inside].mean(axis=0) - 20 * way
    return file.residues_in(inside), Screw(axis / np.linalg.norm(axis), pivot, 0.05)


@pytest.mark.parametrize(("name", "direction", "quantile"), STRUCTURES)
@pytest.mark.parametrize("degrees", [-10.0, 20.0])
def test_bodies_are_rigid_and_bonds_are_kept(reference_data, name, direction, quantile, degrees):
    file = AtomicFile.read(reference_data / "structures" / name)
    bonded = find_bonds(file.positions, file.radii)
    assert 0.9 < len(bonded.bonds) / len(file) < 1.2
    inside, screw = cut(file, direction, quantile)
    share = ramp(inside, bonded.links(file.residue))[file.residue]
    (moved,) = morph(file.positions, bonded, share, screw, [degrees])
    blended = screw.moved(file.positions, share * degrees)
    body = screw.moved(file.positions, np.full(len(file), degrees))
    far = {0.0: file.positions, 1.0: body}
    for value, expected in far.items():
        own = share == value
        off = np.linalg.norm(moved[own] - expected[own], axis=1)
        assert own.mean() > 0.2
        assert np.median(off) < 1e-9
        assert off.max() < 1.0, "atoms beside a hinge give way a little"
    deviation, largest = bond_deviation(file.positions, moved, bonded)
    assert deviation < MOST_ANGSTROM
    assert largest < 0.1
    raw, _ = bond_deviation(file.positions, blended, bonded)
    assert deviation < 0.1 * raw, "the ramp alone would tear the hinges"


def test_nothing_moves_where_nothing_turns(reference_data):
    file = AtomicFile.read(reference_data / "structures" / "adenylate_kinase.cif")
    bonded = find_bonds(file.positions, file.radii)
    inside, screw = cut(file, [0, 0, 1], 0.6)
    share = ramp(inside, bonded.links(file.residue))[file.residue]
    (still,) = morph(file.positions, bonded, share, screw, [0.0])
    np.testing.assert_allclose(still, file.positions, atol=1e-4)


def test_bonds_of_a_peptide_are_its_covalent_ones():
    positions = np.array([[0, 0, 0], [1.46, 0, 0], [2.0, 1.42, 0], [1.2, 2.4, 0], [9, 9, 9.0]])
    bonded = find_bonds(positions, np.array([0.71, 0.76, 0.76, 0.66, 0.76]))
    assert sorted(map(tuple, np.sort(bonded.bonds, axis=1).tolist())) == [(0, 1), (1, 2), (2, 3)]
    assert sorted(map(tuple, bonded.angles.tolist())) == [(0, 2), (1, 3)]
    assert bonded.links(np.array([0, 0, 1, 1, 2])).tolist() == [[0, 1]]


def test_a_ramp_leads_from_nothing_to_everything_about_the_border():
    inside = np.arange(60) >= 30
    share = ramp(inside, chain_of(60))
    assert share[30 - HINGE // 2 - 1] == 0
    assert share[30 + HINGE // 2] == 1
    assert share[29] + share[30] == pytest.approx(1.0)
    assert (np.diff(share) >= 0).all()
    np.testing.assert_allclose(share + share[::-1], 1.0)


def test_short_islands_go_with_their_chain_and_loose_residues_stay():
    inside = np.zeros(40, dtype=bool)
    inside[10 : 10 + SHORTEST_RUN - 1] = True
    assert not ramp(inside, chain_of(40)).any()
    inside[20:40] = True
    assert ramp(inside, chain_of(40)).max() == 1
    ligand = np.array([True, False])
    assert ramp(ligand, np.zeros((0, 2), dtype=np.int64)).tolist() == [1.0, 0.0]


def test_a_file_of_several_models_keeps_names_factors_and_order(reference_data, tmp_path):
    source = reference_data / "structures" / "adenylate_kinase.cif"
    file = AtomicFile.read(source)
    places = np.stack([file.positions + step for step in (0.0, 1.0, 2.0)])
    file.write(tmp_path / "out.cif", places)
    before, after = (
        gemmi.read_structure(str(source))[0],
        gemmi.read_structure(str(tmp_path / "out.cif")),
    )
    assert len(after) == 3
    for step, model in enumerate(after):
        assert model.count_atom_sites() == before.count_atom_sites() == len(file)
        for a, b in zip(before.all(), model.all(), strict=True):
            assert (a.chain.name, str(a.residue), a.atom.name) == (
                b.chain.name, str(b.residue), b.atom.name,
            )  # fmt: skip
            assert b.atom.b_iso == pytest.approx(a.atom.b_iso, abs=0.01)
            assert b.atom.pos.x == pytest.approx(a.atom.pos.x + step, abs=2e-3)


def test_residues_of_an_absent_part_are_left_out_and_their_chain_with_them(
    reference_data, tmp_path
):
    file = AtomicFile.read(reference_data / "structures" / "transporter_fab.cif")
    chains = [chain.name for chain in file.structure[0] for _ in chain]
    keep = np.array([name not in ("L", "H") for name in chains])
    file.write(tmp_path / "out.cif", file.positions[None], keep)
    written = gemmi.read_structure(str(tmp_path / "out.cif"))[0]
    assert {chain.name for chain in written} == set(chains) - {"L", "H"}
    assert sum(len(chain) for chain in written) == keep.sum()


def test_what_is_no_structure_is_refused(tmp_path):
    (tmp_path / "a.cif").write_text("data_x\n")
    with pytest.raises(InputError, match="no atoms"):
        AtomicFile.read(tmp_path / "a.cif")
    with pytest.raises(InputError):
        AtomicFile.read(tmp_path / "absent.pdb")
