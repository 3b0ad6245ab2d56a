"""Parts described, edited, masked and measured, as a user does it."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import torch

from cryoparts.cli.analyse.parts import show_parts
from cryoparts.cli.main import main
from cryoparts.config import RunConfig, TrainingConfig
from cryoparts.gaussians.from_structure import gaussians_from_structure
from cryoparts.inference.decoded import Decoded
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import Structure, write_structure
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.parts import PartsFound

BOX, PIXEL, PARTICLES = 48, 4.0, 40


class Particles(list):
    """As many particles as asked for, with their names."""

    names = np.array([f"{i + 1:06d}@s.mrcs" for i in range(PARTICLES)])
    image = np.arange(PARTICLES)


class StoredDecoder:
    """A trained decoder whose answers are known."""

    displacements: np.ndarray
    particles = Particles([None] * PARTICLES)
    particle_weights = np.ones(PARTICLES)

    def __init__(self, run: RunDirectory) -> None:
        assert run.gaussians_path.exists()

    def mean_displacement(self) -> torch.Tensor:
        return torch.zeros(self.displacements.shape[1:])

    def decode(self, indices) -> Decoded:
        return Decoded(Particles.names[indices], None, self.displacements[indices], None)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Three balls in three chains, the second of which turns."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [45, 0, 0], [0, 45, 5]])
    sizes = (150, 90, 80)
    points = np.concatenate(
        [c + rng.normal(size=(n, 3)) * 6 for c, n in zip(centres, sizes, strict=True)]
    )
    count = len(points)
    structure = Structure(
        points.astype(np.float32), np.full(count, 6, np.float32),
        np.repeat(np.array(list("ABC")), sizes),
        np.concatenate([np.arange(1, n + 1) for n in sizes]),
        np.full(count, "ALA"), np.full(count, "CA"), np.full(count, "C"),
    )  # fmt: skip
    write_structure(tmp_path / "model.cif", structure)
    training = TrainingConfig(refinement=0)  # there are no images
    config = RunConfig("p.star", str(tmp_path / "model.cif"), training=training)
    run = RunDirectory.create(tmp_path / "run", config, [])
    model = gaussians_from_structure(structure, 64, 12.0, BOX, PIXEL)
    model.save(run.gaussians_path)
    np.save(run.latent_path, np.zeros((PARTICLES, 4), np.float32))
    labels = np.argmin(((model.positions[:, None] - centres) ** 2).sum(axis=2), axis=1)
    PartLabels(
        labels, rng.normal(size=(64, 2)), model.positions.astype(float),
        np.zeros(64), np.zeros(64), "pca",
    ).save(run.parts_path)  # fmt: skip
    angles = np.deg2rad(rng.uniform(-10, 10, PARTICLES))
    moved = 0.05 * rng.normal(size=(PARTICLES, 64, 3)).astype(np.float32)
    moved[:, labels == 1, 0] -= angles[:, None] * model.positions[labels == 1, 1]
    moved[:, labels == 1, 1] += angles[:, None] * (model.positions[labels == 1, 0] - 35)
    monkeypatch.setattr(StoredDecoder, "displacements", moved, raising=False)
    monkeypatch.setattr("cryoparts.run.run.TrainedDecoder", StoredDecoder)
    monkeypatch.setattr("cryoparts.run.run.Run.particles", StoredDecoder.particles)
    for module in (
        "cryoparts.pipeline.outputs",
        "cryoparts.pipeline.editing",
        "cryoparts.parts.part_chains",
    ):
        monkeypatch.setattr(f"{module}.original_box", lambda _: (BOX, PIXEL))
    return run


def call(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def rows(path):
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_motion_and_masks_of_a_run(run, capsys):
    assert call("motion", run.root) == 0
    assert call("masks", run.root, "--pixel-size", "2", "--box-size", "96") == 0
    said = capsys.readouterr().out
    assert "Motion as seen from the core" in said
    assert "3 masks of 96 px at 2 Å" in said
    assert len(rows(run.motion_path / "part_1.csv")) == PARTICLES
    screw = json.loads((run.motion_path / "motions.json").read_text())["parts"]["part_1"]["screw"]
    assert abs(screw["axis"][2]) > 0.99
    assert (run.motion_path / "arrows.bild").read_text().count(".arrow") > 5
    with mrcfile.open(run.masks_path / "part_2.mrc") as file:
        assert file.data.shape == (96, 96, 96)


def test_small_groups_that_no_image_confirms_are_said(run, capsys):
    parts = PartLabels.load(run.parts_path)
    show_parts(PartsFound(parts, (), None, parts.n_parts))
    assert "fade by the networks" not in capsys.readouterr().out
    show_parts(PartsFound(parts, (), None, parts.n_parts, unconfirmed=(12, 7)))
    said = " ".join(capsys.readouterr().out.split())
    assert "19 Gaussians fade by the networks, but not in the images (2 small groups)" in said
    assert "--keep-flagged" in said


def test_images_correct_the_motion_where_they_are_asked(run, monkeypatch):
    def summary():
        return json.loads((run.motion_path / "motions.json").read_text())

    assert call("motion", run.root) == 0
    assert summary()["corrected_by_the_images"] is False
    asked = []

    def corrected(motion, labels, setup, offsets_of, vary, *, relative_to_core, seed, progress):
        asked.append((labels.n_parts, setup, vary, relative_to_core))
        return replace(motion, by_images=True)

    monkeypatch.setattr("cryoparts.pipeline.motion.refine_motion", corrected)
    monkeypatch.setattr("cryoparts.run.run.Run.setup", "setup")
    monkeypatch.setattr(StoredDecoder, "offsets", None, raising=False)
    assert call("motion", run.root, "--refine", "--frame", "lab") == 0
    assert asked == [(2, "setup", ("position", "amplitude"), False)]
    assert summary()["corrected_by_the_images"] is True
    assert call("motion", run.root, "--no-refine") == 0
    assert summary()["corrected_by_the_images"] is False


def test_editing_by_hand(run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cryoparts", "edit-parts"])
    assert call("edit-parts", run.root, "rename", "part_1", "arm") == 0
    assert call("motion", run.root) == 0
    assert call("edit-parts", run.root, "add", "--select", "A:1-150", "--name", "body") == 0
    said = capsys.readouterr().out
    assert "out of date and removed" in said
    assert "motion/part_1.csv" not in said
    described = {row["name"]: row for row in rows(run.parts_path / "description.csv")}
    assert described["body"]["chains"].startswith("A:")
    assert described["arm"]["kind"] == "rotation"
    assert described["arm"]["chains"] == "B:1-90"
    assert (run.motion_path / "part_1.csv").exists()
    assert call("edit-parts", run.root, "merge", "arm", "2") == 0
    assert PartLabels.load(run.parts_path).n_parts == 2
    assert not (run.motion_path / "part_1.csv").exists()
    assert call("edit-parts", run.root, "list") == 0
    assert "3. merged arm and part_2" in capsys.readouterr().out
    assert call("edit-parts", run.root, "restore") == 0
    assert PartLabels.load(run.parts_path).names == ("core", "part_1", "part_2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split", "part_9"], "no part 'part_9'"),
        (["merge", "1"], "two parts"),
        (["rename", "1"], "a part and its new name"),
        (["add"], "either --mask or --select"),
        (["add", "--select", "Q"], "no chain 'Q'"),
        (["undo"], "no edit to take back"),
    ],
)
def test_mistakes_are_named(run, capsys, arguments, message):
    assert call("edit-parts", run.root, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (run.parts_path / "edits.json").exists()
