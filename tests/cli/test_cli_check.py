"""What `check` says of wrong files, what mends them, and that a run stops at them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.mending import Mending
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion import write_relion
from cryoparts.pipeline import input_checks, start

COUNT, BOX, PIXEL = 96, 32, 6.0
TINY = ("--epochs", "1", "--n-gaussians", "40", "--decoder", "mlp", "--batch-size", "32",
        "--latent-dimensions", "1", "--vary", "amplitude")  # fmt: skip


def call(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A chiral molecule of five balls, seen with shifts."""
    from cryoparts.io.structure import Structure, write_structure

    random = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [45, 0, 0], [0, 40, 10], [10, 20, 45], [-20, -30, 30]])
    sizes = (200, 120, 100, 80, 60)
    points = np.concatenate(
        [c + random.normal(scale=8, size=(n, 3)) for c, n in zip(centres, sizes, strict=True)]
    )
    count = len(points)
    folder = tmp_path_factory.mktemp("simulated")
    write_structure(
        folder / "five.cif",
        Structure(
            positions=(points - points.mean(0)).astype(np.float32),
            masses=np.full(count, 6, dtype=np.float32),
            chain_ids=np.repeat(np.array(list("ABCDE")), sizes),
            residue_numbers=np.concatenate([np.arange(1, n + 1) for n in sizes]),
            residue_names=np.full(count, "ALA"),
            atom_names=np.full(count, "CA"),
            elements=np.full(count, "C"),
        ),
    )
    (folder / "segments.csv").write_text("chain,segment\nA,core\nB,core\nC,core\nD,core\nE,arm\n")
    code = call(
        "simulate", "composition", folder / "five.cif", "-o", folder / "data", "--n-particles",
        COUNT, "--box-size", BOX, "--pixel-size", PIXEL, "--snr", 2, "--segments-file",
        folder / "segments.csv", "--shift-sigma", 8,
    )  # fmt: skip
    assert code == 0
    return folder / "data"


def wrong_file(data: Path, folder: Path, mending: Mending) -> Path:
    """The particles with poses in another convention, beside their stack."""
    for stack in data.glob("*.mrcs"):
        shutil.copy(stack, folder / stack.name)
    table = read_particles(data / "particles.star")
    write_relion(folder / "wrong.star", mending.table(table))
    return folder / "wrong.star"


def said(capsys) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_right_files_give_no_line(data, capsys):
    assert call("check", data / "particles.star", "--model", data / "model.cif") == 0
    text = said(capsys)
    assert "96 of 96 particles sampled" in text
    assert "Agreement with the model of 96 of 96 particles" in text
    assert "Ewald curvature" in text
    assert "cannot be right" not in text
    assert [line for line in text.splitlines() if "warning" in line] == [
        "warning: only 96 particles: too few to conclude much about heterogeneity."
    ]


@pytest.mark.parametrize(
    "mending",
    [
        Mending(transpose_poses=True),
        Mending(mirror_hand=True),
        Mending(invert_shifts=True),
        Mending(transpose_poses=True, invert_shifts=True),
    ],
    ids=lambda m: m.label,
)
def test_a_wrong_convention_is_named_with_the_option_that_mends_it(data, tmp_path, capsys, mending):
    wrong = wrong_file(data, tmp_path, mending)
    assert call("check", wrong, "--model", data / "model.cif") == 0
    text = said(capsys)
    assert f"another: {mending.label}" in text
    assert f"Give {mending.options}." in text
    options = mending.options.split()
    assert call("check", wrong, "--model", data / "model.cif", *options) == 0
    assert "cannot be right" not in said(capsys)
    # the option where the file needs none is wrong in its turn
    assert call("check", data / "particles.star", "--model", data / "model.cif", *options) == 0
    assert f"Leave out {mending.options}." in said(capsys)


def test_a_run_stops_at_it_unless_it_is_mended_or_told_to_go_on(data, tmp_path, capsys):
    wrong = wrong_file(data, tmp_path, Mending(transpose_poses=True))
    model = ("--model", data / "model.cif", *TINY)
    assert call("train", wrong, *model, "-o", tmp_path / "run") == 2
    text = said(capsys)
    assert "rotations transposed" in text
    assert "Give --transpose-poses." in text
    assert "--as-given" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["wrong.star", *(p.name for p in data.glob("*.mrcs"))]
    )
    assert call("train", wrong, *model, "-o", tmp_path / "run", "--transpose-poses") == 0
    assert RunDirectory.open(tmp_path / "run").config().transpose_poses
    assert "cannot be right" not in said(capsys)
    assert call("train", wrong, *model, "-o", tmp_path / "as_given", "--as-given") == 0
    assert "cannot be right" in said(capsys)


def test_a_wrong_unit_stops_a_run_and_check_says_it(data, tmp_path, capsys):
    wrong = wrong_file(data, tmp_path, Mending())
    table = read_particles(wrong)
    volts = replace(table.ctf, voltage_kv=1e3 * table.ctf.voltage_kv)
    write_relion(wrong, replace(table, ctf=volts))
    assert call("check", wrong) == 0
    assert "voltage 300,000 kV in all 96 particles: 60 to 400 kV. Divide by 1,000" in said(capsys)
    model = ("--model", data / "model.cif", *TINY)
    assert call("train", wrong, *model, "-o", tmp_path / "run") == 2
    assert "voltage 300,000 kV" in said(capsys)


def test_blank_images_are_counted_listed_and_left_out_if_told(data, tmp_path, capsys):
    wrong = wrong_file(data, tmp_path, Mending())
    stack = next(tmp_path.glob("*.mrcs"))
    with mrcfile.mmap(stack, mode="r+") as file:
        file.data[[3, 40, 41]] = 1.5
    names = [str(n) for n in read_particles(wrong).names[[3, 40, 41]]]
    assert call("check", wrong, "--model", data / "model.cif") == 0
    text = said(capsys)
    assert "3 of the 96 images sampled are blank" in text
    assert all(name in text for name in names)
    model = ("--model", data / "model.cif", *TINY)
    assert call("train", wrong, *model, "-o", tmp_path / "run") == 2
    assert "3 of 96 images are blank" in said(capsys)
    assert call("train", wrong, *model, "-o", tmp_path / "run", "--skip-blank") == 0
    assert "3 of 96 particles are blank and left out: " + ", ".join(names) in said(capsys)
    kept = np.load(tmp_path / "run/particles/particles.npz")["names"]
    assert len(kept) == 93
    assert not set(names) & {n.decode() for n in kept}
    assert RunDirectory.open(tmp_path / "run").config().skip_blank


def test_many_particles_are_not_read_before_a_sample_has_agreed(
    data, tmp_path, capsys, monkeypatch
):
    wrong = wrong_file(data, tmp_path, Mending(invert_shifts=True))
    monkeypatch.setattr(input_checks, "WORTH_A_SAMPLE", 50)
    monkeypatch.setattr(start, "prepare", None)  # all of them would be read here
    model = ("--model", data / "model.cif", *TINY)
    assert call("train", wrong, *model, "-o", tmp_path / "run") == 2
    assert "Give --invert-shifts." in said(capsys)


def test_the_wrong_contrast_stops_a_run(data, tmp_path, capsys):
    right, wrong = "bright", "dark"
    particles, model = data / "particles.star", ("--model", data / "model.cif")
    for verb in ("check", "train"):
        rest = () if verb == "check" else ("-o", tmp_path / "run", *TINY)
        code = call(verb, particles, *model, "--contrast", wrong, *rest)
        assert code == (0 if verb == "check" else 2)
        assert "Give --contrast auto, or the other one." in said(capsys)
    assert call("check", particles, *model, "--contrast", right) == 0
    assert "cannot be right" not in said(capsys)
