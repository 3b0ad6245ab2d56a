"""`cryoparts reconstruct` on a run folder whose parts and states are made by hand."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryoparts.cli.main import main
from cryoparts.config import ReconstructionConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.mrc import read_map, write_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import Structure, write_structure
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.maps.reconstruct import reconstruct_states, reconstruct_trajectories
from cryoparts.run.run import Run
from cryoparts.states.focus import FocusedParticles
from training_example import PARTICLES, QUICK, make_example


def call(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Twenty of forty Gaussians, chain B, come and go; the states are the truth."""
    root = tmp_path_factory.mktemp("reconstruct") / "run"
    example = make_example(root, QUICK)
    np.save(example.run.latent_path, np.zeros((PARTICLES, QUICK.latent_dimensions), np.float32))
    model = GaussianModel.load(example.run.gaussians_path)
    structure = root.parent / "model.cif"
    write_structure(
        structure,
        Structure(
            positions=model.positions.astype(np.float32),
            masses=np.full(40, 6, dtype=np.float32),
            chain_ids=np.where(example.optional, "B", "A"),
            residue_numbers=np.arange(1, 41),
            residue_names=np.full(40, "ALA"),
            atom_names=np.full(40, "CA"),
            elements=np.full(40, "C"),
        ),
    )
    record = yaml.safe_load(example.run.config_path.read_text())
    record["options"]["model"] = str(structure)
    example.run.config_path.write_text(yaml.safe_dump(record))
    labels = example.optional.astype(np.int64)
    PartLabels(
        labels, np.zeros((40, 2)), model.positions.astype(np.float64), np.zeros(40), np.zeros(40),
        "pca",
    ).save(example.run.parts_path)  # fmt: skip
    names = np.array([f"{i + 1:06d}@stack.mrcs" for i in range(PARTICLES)])
    coordinate = example.present + 0.1 * np.random.default_rng(0).random(PARTICLES)
    FocusedParticles(
        names=names,
        embedding=np.stack([coordinate, coordinate], axis=1),
        states=np.where(example.present, 1, 2),
        coordinate=coordinate,
        mean_amplitude=example.present.astype(np.float64),
        displacement_rms_angstrom=np.zeros(PARTICLES),
        order="clusters",
        chosen_by="given",
    ).save(example.run.focus_path(1))
    selections = root / "selections"
    selections.mkdir()
    chosen = names[example.present].tolist()
    (selections / "full.csv").write_text("name\n" + "\n".join(chosen) + "\n")
    return root


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_states(run):
    assert call("reconstruct", run, "--b-factor", "-200", "--weighting", "cref") == 0
    folder = run / "reconstruction" / "part_1"
    changed = {(r["kind"], r["name"]): r for r in rows_of(folder / "changes.csv")}
    assert float(changed["chain", "B"]["share_gained"]) > 0.6
    assert float(changed["chain", "A"]["share_gained"]) < 0.2
    peaks = rows_of(folder / "peaks.csv")
    assert peaks
    assert {p["part"] for p in peaks if float(p["z_score"]) > 5} == {"part_1"}
    assert (folder / "state_1_sharpened.mrc").is_file()
    summary = json.loads((folder / "summary.json").read_text())
    assert "share no image" in summary["half_maps"]["independent"]
    assert "both halves" in summary["half_maps"]["not_independent"]


def test_all_parts_and_their_frames_come_from_one_reading(run, monkeypatch):
    """Three parts of the same states, or windows along them: each image is read once."""
    read, images = Counter(), PreparedParticles.images

    def counted(self, rows):
        read.update(np.asarray(rows).tolist())
        return images(self, rows)

    monkeypatch.setattr(PreparedParticles, "images", counted)
    directory = RunDirectory.open(run)
    focused = FocusedParticles.load(directory.focus_path(1))
    for part in (2, 3):
        replace(focused, states=np.roll(focused.states, part)).save(directory.focus_path(part))
    done = []
    parts = (1, 2, 3)
    states = reconstruct_states(Run(directory), parts, progress=lambda *now: done.append(now))
    assert read == Counter(range(PARTICLES))
    assert done[-1] == (PARTICLES, PARTICLES)
    assert [result.title for result in states] == ["part_1", "part_2", "part_3"]
    assert [group.effective_particles for group in states[0].groups] == [
        len(focused.members(state)) for state in (1, 2)
    ]
    read.clear()
    frames = reconstruct_trajectories(Run(directory), parts, 3)
    assert read == Counter(range(PARTICLES))
    assert [len(result.groups) for result in frames] == [3, 3, 3]
    little = ReconstructionConfig(memory_gigabytes=1e-9)
    read.clear()
    reconstruct_states(Run(directory), parts, little)
    assert read == Counter({row: len(parts) for row in range(PARTICLES)})
    for part in (2, 3):
        shutil.rmtree(directory.focus_path(part))


def test_trajectory(run):
    command = ("reconstruct", run, "--part", 1, "--along", "trajectory", "--frames", 4)
    assert call(*command) == 0
    folder = run / "reconstruction" / "part_1" / "trajectory"
    frames = json.loads((folder / "summary.json").read_text())["frames"]
    means = [frame["mean_coordinate"] for frame in frames]
    assert means == sorted(means)
    assert sum(frame["effective_particles"] for frame in frames) > PARTICLES
    first, last = (read_map(folder / f"frame_{k}.mrc").density for k in (1, 4))
    difference = read_map(folder / "difference_4_minus_1.mrc").density
    assert np.corrcoef((last - first).ravel(), difference.ravel())[0, 1] > 0.5
    assert not (folder / "frame_5.mrc").exists()


def test_selection(run):
    assert call("reconstruct", run, "--selection", "full", "--part", 1) == 0
    folder = run / "reconstruction" / "selection_full"
    summary = json.loads((folder / "summary.json").read_text())
    counts = [summary["states"][name]["particles"] for name in ("selected", "rest")]
    assert sum(counts) == PARTICLES
    power = summary["differences"]["difference_selected_minus_rest"]["share_of_significant_power"]
    assert power["part_1"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--selection", "none"), "no such selection"),
        (("--selection", "full", "--along", "trajectory"), "cannot be combined"),
        (("--along", "trajectory", "--frames", "2"), "--frames"),
        (("--false-discovery-rate", "2"), "between 0 and 1"),
        (("--solvent-mask", "tight"), "density, model or a map file"),
    ],
)
def test_what_cannot_be_done_is_said(run, capsys, arguments, told):
    assert call("reconstruct", run, *arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_selections_that_name_strangers_or_nobody(run, tmp_path, capsys):
    for text, told in (
        ("name\nnobody\n", "are not in the run: nobody"),
        ("name\n", "names no particle"),
        ("x\n1\n", "lacks the column"),
    ):
        path = tmp_path / "s.csv"
        path.write_text(text)
        assert call("reconstruct", run, "--selection", path) == 2
        assert told in " ".join(capsys.readouterr().err.split())


def test_a_mask_of_the_user(run, tmp_path, capsys):
    ball = np.zeros((32, 32, 32), dtype=np.float32)
    ball[8:24, 8:24, 8:24] = 1
    write_map(tmp_path / "mask.mrc", ball, 5.0)
    assert call("reconstruct", run, "--solvent-mask", tmp_path / "mask.mrc") == 0
    used = read_map(run / "reconstruction" / "part_1" / "mask.mrc").density
    np.testing.assert_array_equal(used, ball)
    write_map(tmp_path / "mask.mrc", 7 * ball, 5.0)
    assert call("reconstruct", run, "--solvent-mask", tmp_path / "mask.mrc") == 2
    assert "from 0 to 1" in " ".join(capsys.readouterr().err.split())
