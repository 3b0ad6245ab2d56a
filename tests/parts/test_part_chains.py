from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cryoparts.config import ModelConfig, RunConfig
from cryoparts.errors import InputError
from cryoparts.gaussians.from_structure import gaussians_from_structure
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import Structure, write_structure
from cryoparts.parts import part_chains
from cryoparts.parts.part_chains import (
    Atoms,
    atoms_of_run,
    chains_of_part,
    in_brief,
    select_gaussians,
)
from cryoparts.parts.part_description import (
    describe_parts,
    read_description,
    read_stability,
    write_description,
)
from cryoparts.parts.part_kinds import PartChange
from cryoparts.parts.part_labels import PartLabels

BOX, PIXEL = 64, 3.0


@pytest.fixture
def atoms():
    """Chain A has residues 1-40 on Gaussians 0-3, chain B 1-10 on Gaussian 4; two atoms each."""
    residues = np.repeat(np.concatenate([np.arange(1, 41), np.arange(1, 11)]), 2)
    chains = np.repeat(np.array(["A", "B"]), [80, 20])
    gaussian = np.concatenate([np.repeat(np.arange(4), 20), np.full(20, 4)])
    return Atoms(chains, residues, np.ones(100), gaussian, "model.cif")


def mask(*numbers):
    members = np.zeros(5, dtype=bool)
    members[list(numbers)] = True
    return members


def test_a_part_in_chains_and_residues(atoms):
    assert [str(r) for r in chains_of_part(atoms, mask(1, 2, 4))] == ["A:11-30", "B:1-10"]
    assert [str(r) for r in chains_of_part(atoms, mask(0, 3))] == ["A:1-10", "A:31-40"]
    assert chains_of_part(atoms, mask()) == []
    assert in_brief(chains_of_part(atoms, mask(1, 2, 4)), most=1) == "A:11-30, and 1 more"


def test_residues_belong_where_most_of_their_mass_is(atoms):
    """One of the two atoms of residue 10 is moved over, then weighs more."""
    gaussian = atoms.gaussian.copy()
    gaussian[18] = 1
    for mass, first in ((0.5, 11), (2.0, 10)):
        masses = atoms.masses.copy()
        masses[18] = mass
        moved = Atoms(atoms.chains, atoms.residues, masses, gaussian, "model.cif")
        assert chains_of_part(moved, mask(1))[0].first == first


def test_short_gaps_are_bridged(atoms):
    kept = ~np.isin(atoms.residues, [13, 14, 15]) | (atoms.chains == "B")
    gappy = Atoms(
        atoms.chains[kept], atoms.residues[kept], atoms.masses[kept], atoms.gaussian[kept], "m"
    )
    assert [str(r) for r in chains_of_part(gappy, mask(1))] == ["A:11-20"]


def test_selections(atoms):
    for text, expected in (
        ("A", mask(0, 1, 2, 3)),
        ("A,B", mask(0, 1, 2, 3, 4)),
        ("A:11-30", mask(1, 2)),
        ("A:11-17 B", mask(1, 4)),
        ("A:11-15", mask()),  # half of a Gaussian is not most of it
    ):
        np.testing.assert_array_equal(select_gaussians(atoms, text, 5), expected)
    for wrong, message in (
        ("C", "no chain 'C'.*Its chains: A, B"),
        ("A:90-95", "no such residues.*run from 1 to 40"),
        ("A:x", "neither a chain"),
    ):
        with pytest.raises(InputError, match=message):
            select_gaussians(atoms, wrong, 5)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run made from a structure whose origin is the corner of the box."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(100, 3)) * 9, rng.normal(size=(60, 3)) * 7 + 45])
    structure = Structure(
        positions=(points + BOX // 2 * PIXEL).astype(np.float32),
        masses=np.full(160, 6, dtype=np.float32),
        chain_ids=np.repeat(np.array(["A", "B"]), [100, 60]),
        residue_numbers=np.concatenate([np.arange(1, 101), np.arange(1, 61)]),
        residue_names=np.full(160, "ALA"),
        atom_names=np.full(160, "CA"),
        elements=np.full(160, "C"),
    )
    path = tmp_path / "model.cif"
    write_structure(path, structure)
    config = RunConfig("p.star", str(path), gaussians=ModelConfig(n_gaussians=40))
    run = RunDirectory.create(tmp_path / "run", config, [])
    monkeypatch.setattr(part_chains, "original_box", lambda _: (BOX, PIXEL))
    model = gaussians_from_structure(structure, 40, 10.0, BOX, PIXEL)
    return run, model


def test_atoms_are_placed_as_the_gaussians_were(run):
    folder, model = run
    atoms = atoms_of_run(folder, model)
    members = model.positions.mean(axis=1) > 25
    assert [str(r) for r in chains_of_part(atoms, members)] == ["B:1-60"]
    np.testing.assert_array_equal(select_gaussians(atoms, "B", len(model)), members)


def test_runs_from_a_map_know_no_chains_and_a_lost_structure_is_named(run, tmp_path):
    folder, model = run
    other = RunDirectory.create(tmp_path / "other", RunConfig("p.star", "map.mrc"), [])
    assert atoms_of_run(other, model) is None
    assert atoms_of_run(other, model, tmp_path / "model.cif") is not None
    (tmp_path / "model.cif").unlink()
    with pytest.raises(InputError, match=r"model\.cif"):
        atoms_of_run(folder, model)


def test_the_description_of_parts(run, tmp_path):
    folder, model = run
    labels = (model.positions.mean(axis=1) > 25).astype(int)
    count = len(labels)
    parts = PartLabels(
        labels, np.zeros((count, 2)), model.positions.astype(float),
        np.zeros(count), np.zeros(count), "pca", ("core", "arm"),
    )  # fmt: skip
    change = PartChange("rotation", 1.0, 0.0, 3.0, 0.9, 0.4, 6.0)
    described = describe_parts(model, parts, {1: change}, atoms_of_run(folder, model))
    trust = tmp_path / "trust"
    assert read_stability(trust) == {}
    trust.mkdir()
    (trust / "parts.csv").write_text("part,name,null_ratio,flagged\npart_1,arm,7.5,no\n")
    write_description(tmp_path, described, read_stability(trust))
    core, arm = read_description(tmp_path)
    assert (core["part"], core["kind"], core["null_ratio"]) == ("core", "", "")
    assert (arm["name"], arm["kind"], arm["null_ratio"], arm["flagged"]) == (
        "arm", "rotation", "7.5", "no",
    )  # fmt: skip
    assert float(arm["mass_share"]) == pytest.approx(60 / 160, abs=1e-3)
    assert arm["chains"] == "B:1-60"
    with (tmp_path / "chains.csv").open() as lines:
        assert [(r["name"], r["chain"], r["last_residue"]) for r in csv.DictReader(lines)] == [
            ("core", "A", "100"), ("arm", "B", "60"),
        ]  # fmt: skip
    assert json.dumps(arm)
