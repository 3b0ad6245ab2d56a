"""A symmetric complex with a subunit in two states, expanded and run to the report."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles
from cryoparts.training.setup import prepare_training
from ring_of_four import presence_by_row, ring_of_four

IMAGES, COPIES = 64, 4
QUICK = ("--vary", "amplitude", "--epochs", 8, "--batch-size", 8, "--n-gaussians", 80,
         "--latent-dimensions", 4, "--embedding", "pca", "--decoder", "mlp")  # fmt: skip


def call(*arguments: object) -> int:
    """Exit code of the program."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ring")
    structure, segments = ring_of_four(folder)
    assert call("simulate", "composition", structure, "-o", folder / "data", "--snr", 2,
                "--n-particles", IMAGES, "--box-size", 32, "--pixel-size", 6,
                "--segments-file", segments) == 0  # fmt: skip
    return folder / "data"


@pytest.fixture(scope="module")
def run(data: Path) -> RunDirectory:
    folder = data.parent / "run"
    particles = data / "particles.star"
    model = data / "model.cif"
    assert call("run", particles, "--model", model, "--symmetry", "c4", "-o", folder, *QUICK) == 0
    return RunDirectory.open(folder)


def place_of_parts(run: RunDirectory, data: Path) -> list[int]:
    """Which subunit (0 ...) each part's Gaussians lie on."""
    structure = read_structure(data / "model.cif")
    chains = np.array(list("BCDE"))
    centres = np.array([structure.positions[structure.chain_ids == c].mean(axis=0) for c in chains])
    positions = GaussianModel.load(run.gaussians_path).positions
    labels = PartLabels.load(run.parts_path)
    means = [positions[labels.members(k)].mean(axis=0) for k in range(1, labels.n_parts + 1)]
    return [int(np.linalg.norm(centres - mean, axis=1).argmin()) for mean in means]


def test_states_are_those_of_each_row_and_so_are_their_files(run: RunDirectory, data: Path) -> None:
    places = place_of_parts(run, data)
    assert sorted(places) == [0, 1, 2, 3]
    true = presence_by_row(np.load(data / "truth.npz")["presence"][:, 1:])
    whole = read_particles(data / "particles.star")
    for part, place in enumerate(places, start=1):
        focused = FocusedParticles.load(run.focus_path(part))
        assert focused.n_states == 2
        # state 1 is the one with more density
        assert np.mean((focused.states == 1) == true[:, place]) > 0.95
        for state in (1, 2):
            members = focused.members(state)
            written = read_particles(run.focus_path(part) / f"state_{state}.star", datadir=data)
            assert len(written) == len(members)
            image, copy = np.divmod(members, COPIES)
            assert written.slice_in_stack.tolist() == image.tolist()
            given = whole.poses.rotation[image][copy == 0]
            np.testing.assert_array_equal(written.poses.rotation[copy == 0], given)
            # as given, not as refined by the run
            as_given = np.load(run.particles_path / "particles.npz")["rotation"]
            np.testing.assert_allclose(written.poses.rotation, as_given[members], atol=1e-6)


def test_halves_and_held_out_particles_share_no_image(run: RunDirectory) -> None:
    prepared = PreparedParticles.open(run.particles_path)
    assert (len(prepared), prepared.image_count) == (IMAGES * COPIES, IMAGES)
    assert len(np.load(run.particles_path / "images.npy", mmap_mode="r")) == IMAGES
    one, two = (set(prepared.image[prepared.half_set == half]) for half in (1, 2))
    assert not one & two
    assert len(one) == len(two) == IMAGES // 2
    split = prepare_training(run, run.config().training).split
    assert len(split.held_out) % COPIES == 0
    assert not set(prepared.image[split.training]) & set(prepared.image[split.held_out])


def test_an_image_s_name_stands_for_its_rows(run: RunDirectory, data: Path, capsys) -> None:
    report = (run.root / "report.html").read_text()
    assert f"rows of {IMAGES} images" in report
    listed = data.parent / "images.csv"
    listed.write_text("name\n000002@particles.mrcs\n000005@particles.mrcs#3\n")
    assert call("select", run.root, "some", "--file", listed) == 0
    written = read_particles(run.selections_path / "some.star", datadir=data)
    assert written.slice_in_stack.tolist() == [1, 1, 1, 1, 4]
    assert call("columns", run.root, "-o", data.parent / "table.csv") == 0
    with (data.parent / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert (rows[5]["name"], rows[5]["image"]) == (
        "000002@particles.mrcs#2", "000002@particles.mrcs",
    )  # fmt: skip
    capsys.readouterr()
    assert call("check", data / "particles.star", "--model", data / "model.cif",
                "--symmetry", "D4") == 0  # fmt: skip
    said = capsys.readouterr()
    assert "turned by D4, the model fits the images worse" in " ".join(said.err.split())
    assert call("check", run.focus_path(1) / "state_1.star", "--datadir", data,
                "--symmetry", "C4") == 2  # fmt: skip
    assert "symmetry-expanded already" in " ".join(capsys.readouterr().err.split())


def test_a_run_of_copies_is_not_compared_with_a_truth_of_images(run: RunDirectory, data, capsys):
    assert call("evaluate", run.root, "--truth", data) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "rows are copies of" in said
    assert "without --symmetry" in said
