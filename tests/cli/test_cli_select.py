"""Focus on several parts, selections and their training, as a user does it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import gemmi
import mrcfile
import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.config import RunConfig
from cryoparts.errors import InputError
from cryoparts.inference.decoded import Decoded
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.star import read_blocks
from cryoparts.pipeline.start import open_particles
from cryoparts.states.focus import FocusedParticles
from run_of_particles import PARTICLES, make_run, names_of

STAR = """data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
_rlnImageSize #6
1 300 2.7 0.1 4.0 8

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
"""


class Particles(list):
    """As many as it is long, with names."""

    names: np.ndarray


class StoredDecoder:
    """Parts 1 and 2 fade independently; the core stays."""

    keeping = nullcontext
    particle_weights = np.ones(PARTICLES)

    def __init__(self, run: RunDirectory) -> None:
        assert run.gaussians_path.exists()
        self.particles = Particles([None] * PARTICLES)
        self.particles.names = names_of()
        self.config = run.config().training

    def decode(self, indices=None, gaussians=None) -> Decoded:
        rows = np.arange(PARTICLES) if indices is None else indices
        columns = np.arange(30) if gaussians is None else gaussians
        one, two = np.arange(PARTICLES) % 2, np.arange(PARTICLES) // 2 % 2
        amplitudes = 1 + 0.02 * np.random.default_rng(0).normal(size=(PARTICLES, 30))
        amplitudes[:, 16:25] -= one[:, None]
        amplitudes[:, 25:] -= two[:, None]
        chosen = amplitudes[np.ix_(rows, columns)].astype(np.float32)
        return Decoded(names_of()[rows], chosen, None, None)

    def batches(self, gaussians, progress) -> Iterator[Decoded]:
        yield self.decode(gaussians=gaussians)
        progress(PARTICLES, PARTICLES)

    def displacements_from_neutral(self, decoded: Decoded) -> None:
        assert decoded.displacements is None


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDirectory:
    monkeypatch.setattr("cryoparts.run.run.TrainedDecoder", StoredDecoder)
    star = tmp_path / "particles.star"
    with mrcfile.new(tmp_path / "a, b.mrcs") as stack:
        stack.set_data(np.zeros((PARTICLES, 8, 8), dtype=np.float32))
        stack.voxel_size = 4.0
    lines = [f'"{n}" 1 0 0 0 0 0 10000 10000 0\n' for n in names_of()]
    star.write_text(STAR + "".join(lines))
    return make_run(tmp_path / "run", str(star))


def call(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def names_in(path) -> list[str]:
    with path.open(newline="") as lines:
        return [row["name"] for row in csv.DictReader(lines)]


def test_focus_on_several_parts_has_its_own_folder(run):
    assert call("focus", run.root, "--parts", "arm", "part_1", "--states", 4) == 0
    seen = FocusedParticles.load(run.root / "focus" / "part_1+part_2")
    assert (seen.parts, seen.n_states) == ((1, 2), 4)
    expected = np.arange(PARTICLES) % 4
    assert all(len(set(expected[seen.members(k)])) == 1 for k in range(1, 5))
    block = read_blocks(run.root / "focus" / "part_1+part_2" / "state_4.star")["particles"]
    assert len(block) == PARTICLES // 4


def test_a_curve_leaves_a_trajectory_that_clusters_take_away(run):
    folder = run.focus_path(1) / "trajectory"
    call("focus", run.root, "--part", 1, "--order", "curve", "--trajectory-points", 5)
    assert np.load(folder / "amplitudes.npy").shape == (5, 30)
    assert len(gemmi.read_structure(str(folder / "trajectory.cif"))) == 5
    assert (run.focus_path(1) / "state_3.star").exists()
    assert call("focus", run.root, "--part", 1, "--states", 2, "--order", "mixture") == 0
    assert not folder.exists()
    assert not (run.focus_path(1) / "state_3.star").exists()


def test_conditions_are_joined_and_exported(run, capsys):
    selected = run.root / "selections"
    assert call("select", run.root, "early", "--where", "amplitude:part1 < 0.5") == 0
    assert call("select", run.root, "one", "--part", "arm", "--states", 1, "--all-of", "early") == 0
    assert call("select", run.root, "rest", "--any-of", "early", "--complement") == 0
    assert call("select", run.root, "both", "--any-of", "one", "rest", "--none-of", "x") == 2
    assert "selection:x" in capsys.readouterr().err
    assert call("select", run.root, "both", "--any-of", "one", "rest") == 0
    row = np.arange(PARTICLES)
    half = row < PARTICLES // 2
    for name, rows in {
        "early": half, "one": half & (row % 2 == 0), "rest": ~half,
        "both": (half & (row % 2 == 0)) | ~half,
    }.items():  # fmt: skip
        assert names_in(selected / f"{name}.csv") == names_of()[rows].tolist(), name
        block = read_blocks(selected / f"{name}.star")["particles"].read(["rlnImageName"])
        assert block["rlnImageName"].tolist() == names_of()[rows].tolist()
    assert json.loads((selected / "rest.json").read_text())["particles"] == PARTICLES // 2
    assert call("select", run.root) == 0
    assert "early" in capsys.readouterr().out


def test_selections_by_place_and_density(run):
    call("select", run.root, "place", "--part", 1, "--coordinate", 0.25, 0.5)
    call("select", run.root, "sparse", "--part", 1, "--sparsest", 0.25)
    call("select", run.root, "between", "--part", "1+2", "--certainty-below", 0.25)
    rows = {
        name: np.flatnonzero(np.isin(names_of(), names_in(run.selections_path / f"{name}.csv")))
        for name in ("place", "sparse", "between")
    }
    assert rows["place"].tolist() == list(range(10, 21))
    assert rows["sparse"].tolist() == list(range(10))
    assert rows["between"].tolist() == list(range(31, 40))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x",), "no condition"),
        (("x", "--states", "1"), "--part"),
        (("x", "--part", "1"), "nothing is asked"),
        (("x", "--where", "amplitude:tail < 1"), "Known columns"),
        (("a b", "--where", "half == 1"), "cannot be called"),
        (("x", "--where", "half == 3"), "no particle is selected"),
    ],
)
def test_what_cannot_be_selected_is_said(run, capsys, arguments, said):
    assert call("select", run.root, *arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not run.selections_path.exists()


def test_a_selection_is_not_overwritten_unasked(run, capsys):
    assert call("select", run.root, "a", "--where", "half == 1") == 0
    assert call("select", run.root, "a", "--where", "half == 2") == 2
    assert "--replace" in capsys.readouterr().err
    assert call("select", run.root, "a", "--where", "half == 2", "--replace") == 0
    assert names_in(run.selections_path / "a.csv") == names_of()[1::2].tolist()


def test_a_particle_file_that_has_moved_leaves_the_list_of_names(run, tmp_path, capsys):
    (tmp_path / "particles.star").unlink()
    assert call("select", run.root, "a", "--where", "half == 1") == 0
    assert "by name only" in " ".join(capsys.readouterr().err.split())
    assert not (run.selections_path / "a.star").exists()


def test_columns_are_listed_and_written(run, tmp_path, capsys):
    assert call("columns", run.root) == 0
    assert "part_2 is also called arm" in capsys.readouterr().out
    assert call("columns", run.root, "-o", tmp_path / "table.csv") == 0
    with (tmp_path / "table.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == names_of().tolist()
    assert rows[7]["angle:part_2"] == "-13"
    assert rows[3]["angle:part_2"] == "nan"


def test_a_run_on_a_selection_keeps_its_particles_and_says_how_many(run, tmp_path):
    call("select", run.root, "odd", "--where", "half == 2")
    path = run.selections_path / "odd.csv"
    config = RunConfig(str(tmp_path / "particles.star"), "m.cif", selection=str(path))
    told: list[str] = []
    table = open_particles(config, told.append).table
    assert table.names.tolist() == names_of()[1::2].tolist()
    assert table.slice_in_stack.tolist() == list(range(1, PARTICLES, 2))
    assert f"{PARTICLES // 2} of {PARTICLES} particles are kept" in told[0]
    path.write_text(path.read_text() + "000001@other.mrcs\n")
    with pytest.raises(InputError, match=r"1 of its 21 particles are not in .*000001@other"):
        open_particles(config)
    with pytest.raises(InputError, match="no such selection"):
        open_particles(replace(config, selection=str(tmp_path / "no.csv")))


def test_the_dashboard_of_a_folder_that_is_no_run(tmp_path, capsys):
    assert call("dashboard", tmp_path, "--no-open-browser") == 2
    assert "not a run folder" in capsys.readouterr().err
