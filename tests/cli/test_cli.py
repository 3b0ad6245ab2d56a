"""The program as a user calls it: what it makes, what it says, how it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from cryoparts.cli.main import COMMANDS, main
from cryoparts.particle_files.read_particles import read_particles

SIMULATED = 64


def call(*arguments: object) -> int:
    """Exit code of the program."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="session")
def structure(tmp_path_factory) -> Path:
    """Three balls of atoms in three chains."""
    from cryoparts.io.structure import Structure, write_structure

    random = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [45, 0, 0], [0, 50, 10]])
    sizes = (220, 120, 100)
    points = np.concatenate(
        [c + random.normal(scale=11, size=(n, 3)) for c, n in zip(centres, sizes, strict=True)]
    )
    count = len(points)
    path = tmp_path_factory.mktemp("structure") / "three.cif"
    write_structure(
        path,
        Structure(
            positions=(points - points.mean(0)).astype(np.float32),
            masses=np.full(count, 6, dtype=np.float32),
            chain_ids=np.repeat(np.array(list("ABC")), sizes),
            residue_numbers=np.concatenate([np.arange(1, n + 1) for n in sizes]),
            residue_names=np.full(count, "ALA"),
            atom_names=np.full(count, "CA"),
            elements=np.full(count, "C"),
        ),
    )
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory, structure) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "data"
    segments = folder.parent / "segments.csv"
    segments.write_text("chain,segment\nA,core\nB,left\nC,right\n")
    code = call(
        "simulate", "composition", structure, "-o", folder, "--n-particles", SIMULATED,
        "--box-size", 32, "--pixel-size", 6, "--snr", 1, "--segments-file", segments,
    )  # fmt: skip
    assert code == 0
    return folder


QUICK = ("--vary", "amplitude", "--epochs", "2", "--batch-size", "16", "--n-gaussians", "60",
         "--latent-dimensions", "2", "--embedding", "pca")  # fmt: skip


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, data) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    code = call("run", data / "particles.star", "--model", data / "model.cif", "-o", folder, *QUICK)
    assert code == 0
    return folder


def test_a_run_leaves_everything_it_promises(run_folder):
    for name in ("config.yaml", "command.txt", "run.log", "metrics.jsonl", "gaussians.npz",
                 "gaussians.cif", "latent.npy", "latent.csv", "report.html", "parts/labels.npy",
                 "checkpoints/best.safetensors"):  # fmt: skip
        assert (run_folder / name).stat().st_size > 0, name
    rows = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert len(np.load(run_folder / "latent.npy")) == SIMULATED
    assert len(gemmi.read_structure(str(run_folder / "gaussians.cif"))[0]) >= 1
    assert not list(run_folder.parent.glob(".*partial*"))
    assert not list(run_folder.rglob("*.pkl"))


def test_states_and_selections_are_exported(run_folder, data, tmp_path, capsys):
    assert call("export", run_folder, "--to", "relion", "cryodrgn", "-o", tmp_path / "out") == 0
    table = read_particles(tmp_path / "out" / "relion" / "part_1.star", datadir=data)
    assert len(table) == SIMULATED
    assert (tmp_path / "out" / "cryodrgn" / "z.pkl").is_file()
    assert "particles" in capsys.readouterr().out
    assert call("select", run_folder, "odd", "--where", "half == 1") == 0
    assert call("export", run_folder, "--selection", "odd", "-o", tmp_path / "odd") == 0
    assert [path.name for path in (tmp_path / "odd" / "relion").iterdir()] == ["odd.star"]
    assert call("export", run_folder, "--to", "cryosparc") == 2
    assert "Import Particle Stack" in capsys.readouterr().err
    assert call("export", run_folder, "--part", "part_1", "--selection", "odd") == 2


def test_a_model_without_a_part_and_no_motion_that_was_not_measured(run_folder, tmp_path, capsys):
    code = call("morph", run_folder, "--without", "part_1", "-o", tmp_path / "models")
    assert code == 0
    left = gemmi.read_structure(str(tmp_path / "models" / "without_part_1.cif"))[0]
    assert 0 < left.count_atom_sites() < 440
    assert call("morph", run_folder, "-o", tmp_path / "models") == 2
    assert "cryoparts motion" in capsys.readouterr().err


def test_a_movie_of_the_states_of_a_part(run_folder, tmp_path, capsys):
    target = tmp_path / "part.gif"
    short = ("--seconds", 0.4, "--size", 48)
    assert call("movie", run_folder, "--part", "part_1", "-o", target, *short) == 0
    assert target.stat().st_size > 0
    assert "states of part 1" in capsys.readouterr().out
    assert call("movie", run_folder, "--part", "part_1", "--of", "motion") == 2
    assert call("movie", run_folder, "--part", "part_1", "-o", tmp_path / "a.avi") == 2


def test_decode_writes_all_or_the_chosen_particles(run_folder, tmp_path):
    assert call("decode", run_folder, "-o", tmp_path / "all.npz") == 0
    everything = np.load(tmp_path / "all.npz")
    assert everything["relative_amplitudes"].shape == (SIMULATED, 60)
    names = tmp_path / "names.txt"
    names.write_text(f"{everything['names'][9]}\n{everything['names'][2]}\n")
    assert call("decode", run_folder, "-o", tmp_path / "two.npz", "--particles", names) == 0
    two = np.load(tmp_path / "two.npz")
    np.testing.assert_allclose(
        two["relative_amplitudes"], everything["relative_amplitudes"][[9, 2]], rtol=1e-4
    )


def test_decode_refuses_a_name_it_does_not_know(run_folder, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("nobody@nowhere\n")
    assert call("decode", run_folder, "-o", tmp_path / "x.npz", "--particles", names) == 2
    assert "nobody@nowhere" in capsys.readouterr().err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("vary", [["width"], ["position"], ["position", "amplitude", "width"]])
def test_any_combination_may_vary(data, tmp_path, vary):
    code = call(
        "run", data / "particles.star", "--model", data / "model.cif", "-o", tmp_path / "run",
        "--vary", *vary, "--epochs", 1, "--decoder", "mlp", "--n-gaussians", 60,
        "--embedding", "pca",
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 0


def test_focus_on_one_part_with_states_asked_for(run_folder, data):
    """A part is made by hand: two epochs on 64 particles find none."""
    from cryoparts.parts.part_labels import PartLabels

    found = PartLabels.load(run_folder / "parts")
    labels = found.labels.copy()
    labels[:20] = 1
    replace(found, labels=labels).save(run_folder / "parts")
    assert call("focus", run_folder, "--part", "part_1", "--states", 2) == 0
    assert call("reconstruct", run_folder, "--part", "part_1") == 0
    assert call("report", run_folder) == 0
    folder = run_folder / "focus" / "part_1"
    in_states = [len(read_particles(folder / f"state_{s}.star", datadir=data)) for s in (1, 2)]
    assert sum(in_states) == SIMULATED
    assert (run_folder / "reconstruction" / "part_1" / "difference_1_minus_2.mrc").exists()


def test_evaluate_compares_with_the_truth(run_folder, data):
    assert call("evaluate", run_folder, "--truth", data / "truth.npz") == 0
    found = json.loads((run_folder / "evaluation.json").read_text())
    assert 0 <= found["composition"]["optional_accuracy"] <= 1
    assert found["oracle"]["optional_accuracy"] > 0.9


def test_check_says_that_the_geometry_is_right(data, capsys):
    assert call("check", data / "particles.star", "--model", data / "model.cif") == 0
    shown = capsys.readouterr()
    assert "as given" in shown.out
    assert "another convention" not in shown.err


def test_check_says_that_the_hand_is_wrong(data, tmp_path, capsys):
    mirrored = gemmi.read_structure(str(data / "model.cif"))
    for atom in mirrored[0].all():
        atom.atom.pos = gemmi.Position(atom.atom.pos.x, atom.atom.pos.y, -atom.atom.pos.z)
    mirrored.make_mmcif_document().write_file(str(tmp_path / "mirror.cif"))
    assert call("check", data / "particles.star", "--model", tmp_path / "mirror.cif") == 0
    assert "mirror hand" in capsys.readouterr().err


def test_resume_goes_on_and_refuses_other_options(run_folder, data, capsys):
    again = ("run", data / "particles.star", "--model", data / "model.cif", "-o", run_folder)
    assert call(*again, *QUICK, "--resume") == 0
    assert call(*again, *QUICK, "--resume", "--seed", "5") == 2
    assert "--resume" in capsys.readouterr().err


def test_model_from_a_structure_and_from_a_map(structure, tmp_path):
    code = call(
        "model", structure, "-o", tmp_path / "a", "--box-size", 32, "--pixel-size", 6,
        "--n-gaussians", 50,
    )  # fmt: skip
    assert code == 0
    with np.load(tmp_path / "a" / "gaussians.npz") as made:
        assert made["positions"].shape == (50, 3)


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help(verb, capsys):
    assert call(verb, "--help") == 0
    assert "Usage: cryoparts" in capsys.readouterr().out


class TestBadInput:
    """Exit code 2, a message with file, rule, value and cure, and nothing left behind."""

    def refused(self, capsys, tmp_path, *arguments: object) -> str:
        output = tmp_path / "out"
        assert call(*arguments, "-o", output) == 2
        assert not output.exists()
        assert not list(tmp_path.glob(".out*"))
        message = capsys.readouterr().err
        assert "Traceback" not in message
        return " ".join(message.split())

    def edited(self, data: Path, tmp_path: Path, change) -> Path:
        """The particle file after a change of its text, beside its stack."""
        path = tmp_path / "particles.star"
        path.write_text(change((data / "particles.star").read_text()))
        (tmp_path / "particles.mrcs").symlink_to(data / "particles.mrcs")
        return path

    @pytest.fixture
    def model(self, data) -> Path:
        return data / "model.cif"

    def test_stack_missing(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        path.write_text((data / "particles.star").read_text())
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "particles.mrcs" in message
        assert "--datadir" in message

    def test_stack_shorter_than_the_table(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        path.write_text((data / "particles.star").read_text())
        with mrcfile.open(data / "particles.mrcs", permissive=True) as whole:
            images = np.array(whole.data[:10])
            voxel = whole.voxel_size
        with mrcfile.new(tmp_path / "particles.mrcs") as short:
            short.set_data(images)
            short.voxel_size = voxel
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "10" in message

    def test_pixel_size_absent(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        text = (data / "particles.star").read_text()
        path.write_text(text.replace("_rlnImagePixelSize", "_rlnOther"))
        with mrcfile.open(data / "particles.mrcs") as whole:
            images = np.array(whole.data)
        with mrcfile.new(tmp_path / "particles.mrcs") as without:
            without.set_data(images)  # its voxel size stays 0: unknown
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "pixel size" in message.lower()
        assert "--pixel-size" in message

    def test_pixel_size_contradicting(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        path.write_text((data / "particles.star").read_text())
        with mrcfile.open(data / "particles.mrcs") as whole:
            images = np.array(whole.data)
        with mrcfile.new(tmp_path / "particles.mrcs") as other:
            other.set_data(images)
            other.voxel_size = 7.5
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "7.5" in message
        assert "--pixel-size" in message

    def test_poses_absent(self, data, model, tmp_path, capsys):
        path = self.edited(data, tmp_path, lambda t: t.replace("_rlnAngleRot", "_rlnOther"))
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "orientations" in message

    def test_defocus_absent(self, data, model, tmp_path, capsys):
        path = self.edited(data, tmp_path, lambda t: t.replace("_rlnDefocusU", "_rlnOther"))
        message = self.refused(capsys, tmp_path, "run", path, "--model", model)
        assert "defocus" in message

    def test_images_not_a_number(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        path.write_text((data / "particles.star").read_text())
        stack = tmp_path / "particles.mrcs"
        stack.write_bytes((data / "particles.mrcs").read_bytes())
        with mrcfile.open(stack, mode="r+") as opened:
            opened.data[5, 3, 3] = np.nan
        message = self.refused(capsys, tmp_path, "run", path, "--model", model, *QUICK)
        assert "particles.mrcs" in message

    def test_odd_box(self, data, model, tmp_path, capsys):
        path = tmp_path / "particles.star"
        text = (data / "particles.star").read_text()
        path.write_text(text)
        with mrcfile.open(data / "particles.mrcs") as whole:
            images, voxel = np.array(whole.data[:, :31, :31]), whole.voxel_size
        with mrcfile.new(tmp_path / "particles.mrcs") as odd:
            odd.set_data(images)
            odd.voxel_size = voxel
        message = self.refused(capsys, tmp_path, "run", path, "--model", model, *QUICK)
        assert "31" in message

    def test_model_outside_the_box(self, data, model, tmp_path, capsys):
        message = self.refused(
            capsys, tmp_path, "run", data / "particles.star", "--model", model,
            "--pixel-size", 1.0,
        )  # fmt: skip
        assert "box" in message

    def test_unknown_option(self, data, model, tmp_path, capsys):
        message = self.refused(
            capsys, tmp_path, "run", data / "particles.star", "--model", model, "--epoch", 3
        )
        assert "--epoch" in message

    def test_option_out_of_its_limits(self, data, model, tmp_path, capsys):
        message = self.refused(
            capsys, tmp_path, "run", data / "particles.star", "--model", model, "--box-size", 33
        )
        assert "--box-size" in message
        assert "33" in message

    def test_model_missing(self, data, tmp_path, capsys):
        message = self.refused(
            capsys, tmp_path, "run", data / "particles.star", "--model", tmp_path / "no.cif"
        )
        assert "no.cif" in message

    def test_run_folder_exists(self, data, model, run_folder, capsys):
        before = sorted(path.name for path in run_folder.iterdir())
        assert call("run", data / "particles.star", "--model", model, "-o", run_folder) == 2
        message = " ".join(capsys.readouterr().err.split())
        assert "exists" in message
        assert "--resume" in message
        assert sorted(path.name for path in run_folder.iterdir()) == before

    def test_run_folder_that_cannot_be_made(self, data, model, tmp_path, capsys):
        (tmp_path / "file").write_text("in the way")
        output = tmp_path / "file" / "run"
        assert call("run", data / "particles.star", "--model", model, "-o", output) == 2
        assert "cannot be made" in " ".join(capsys.readouterr().err.split())

    def test_parts_of_a_folder_that_is_no_run(self, tmp_path, capsys):
        assert call("parts", tmp_path) == 2
        assert "not a run folder" in capsys.readouterr().err
