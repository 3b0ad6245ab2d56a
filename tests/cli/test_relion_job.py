"""RELION's part is played: its command, its files, its abort, its way of going on."""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import gemmi
import pytest

from cryoparts.cli.main import main
from cryoparts.export.relion_job import ABORT_FILE, ENDINGS, NODES_FILE
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions

QUICK = "--vary amplitude --epochs 4 --batch-size 16 --n-gaussians 120 --latent-dimensions 2"
QUICK += " --embedding pca --decoder mlp --keep-flagged"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of RELION's: particles with names relative to it, and a map."""
    from cryoparts.simulation.composition import simulate_composition
    from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

    root = tmp_path_factory.mktemp("project")
    segments = root / "segments.csv"
    write_toy_segments(segments)
    imaging = ImagingOptions(n_particles=128, box_size=32, pixel_size_angstrom=10.0, snr=4.0)
    simulate_composition(
        toy_complex(0), root / "made", imaging, CompositionOptions(segments_file=segments)
    )
    job = root / "Extract" / "job001"
    job.mkdir(parents=True)
    (root / "made" / "particles.mrcs").rename(job / "particles.mrcs")
    star = (root / "made" / "particles.star").read_text()
    (job / "particles.star").write_text(star.replace("@particles", "@Extract/job001/particles"))
    (root / "Import" / "job002").mkdir(parents=True)
    (root / "made" / "model.cif").rename(root / "Import" / "job002" / "model.cif")
    return root


def command(job: str, reference: str = "Import/job002/model.cif", more: str = QUICK) -> list[str]:
    """What RELION's screen makes of its fields; free parameters stand before the threads."""
    return shlex.split(
        f"--o {job} --in_parts Extract/job001/particles.star --in_3dref {reference} {more} --j 1"
    )


def as_relion(project: Path, monkeypatch, words: list[str]) -> int:
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["cryoparts-relion", *words])
    try:
        main(["relion", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def as_process(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """The executable that RELION starts, in the project's folder."""
    code = "from cryoparts.cli.main import relion_job; relion_job()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def ended(job: Path) -> list[str]:
    return [ending for ending in ENDINGS if (job / f"RELION_JOB_EXIT_{ending}").exists()]


def nodes(job: Path) -> list[tuple[str, str, str]]:
    block = gemmi.cif.read_file(str(job / NODES_FILE)).find_block("output_nodes")
    columns = ["_rlnPipeLineNodeName", "_rlnPipeLineNodeType", "_rlnPipeLineNodeTypeLabel"]
    return [tuple(row) for row in block.find(columns)]


@pytest.fixture(scope="module")
def finished(project) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert as_relion(project, monkeypatch, command("External/job003/")) == 0
    return project / "External" / "job003"


def test_a_job_that_succeeds_says_so_and_leaves_nothing_else(finished):
    assert ended(finished) == ["SUCCESS"]
    assert (finished / "run" / "report.html").is_file()
    assert not (finished / ABORT_FILE).exists()


def test_every_output_node_exists_in_the_project_and_is_of_its_kind(finished, project):
    found = nodes(finished)
    assert len({name for name, _, _ in found}) == len(found) > 4
    for name, number, label in found:
        assert name.startswith("External/job003/"), "names are relative to the project"
        assert (project / name).is_file()
        suffix = {"3": ".star", "6": ".mrc", "7": ".mrc"}[number]
        assert name.endswith(suffix)
        assert label.startswith({"3": "ParticleGroup", "6": "DensityMap", "7": "Mask3D"}[number])
    states = [name for name, number, _ in found if number == "3" and "_state_" in name]
    table = read_particles(project / states[0], datadir=project)
    assert 0 < len(table) < 128


def test_a_job_file_lets_relion_show_what_was_asked(finished):
    document = gemmi.cif.read_file(str(finished / "job.star"))
    job = document.find_block("job")
    assert job.find_value("_rlnJobTypeLabel") == "relion.external"
    columns = ["_rlnJobOptionVariable", "_rlnJobOptionValue"]
    rows = document.find_block("joboptions_values").find(columns)
    fields = {row.str(0): row.str(1) for row in rows}
    assert fields["fn_exe"] == "cryoparts-relion"
    assert fields["in_part"] == "Extract/job001/particles.star"
    assert (fields["param1_label"], fields["param1_value"]) == ("vary", "amplitude")
    assert fields["nr_threads"] == "1"


def test_a_job_that_is_continued_goes_on(finished, project, monkeypatch, capsys):
    before = (finished / "run" / "checkpoints" / "best.safetensors").stat().st_mtime_ns
    assert as_relion(project, monkeypatch, command("External/job003/")) == 0
    assert ended(finished) == ["SUCCESS"]
    assert (finished / "run" / "checkpoints" / "best.safetensors").stat().st_mtime_ns == before
    assert "RELION_OUTPUT_NODES.star" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (command("External/job004/", "Import/job002/no.mrc"), "no.mrc"),
        (command("External/job004/", more="--vary colour"), "vary"),
        (["--o", "External/job004/", "--j", "4"], "Input particles"),
    ],
)
def test_a_job_that_fails_says_so_and_why(project, monkeypatch, capsys, words, told):
    job = project / "External" / "job004"
    assert as_relion(project, monkeypatch, words) == 2
    assert ended(job) == ["FAILURE"]
    assert told in capsys.readouterr().err


def test_an_aborted_job_ends_and_the_request_is_done_with(project):
    job = project / "External" / "job005"
    long = command("External/job005/", more=QUICK.replace("--epochs 4", "--epochs 5000"))

    def press_abort() -> None:
        while not (job / "run").is_dir():
            time.sleep(0.05)
        time.sleep(0.3)
        (job / ABORT_FILE).touch()

    presser = threading.Thread(target=press_abort, daemon=True)
    presser.start()
    # a process of its own: an abort may come between a file's opening and its closing, which
    # ends with the process and would be a warning in this one
    done = as_process(project, long)
    presser.join()
    assert done.returncode == 143
    assert ended(job) == ["ABORTED"]
    assert not (job / ABORT_FILE).exists()
    assert "Continue the job in RELION" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_executable_is_one_word_that_relion_s_screen_takes(tmp_path):
    done = as_process(tmp_path, ["--o", "External/job001/", "--j", "1"])
    assert done.returncode == 2
    assert (tmp_path / "External" / "job001" / "RELION_JOB_EXIT_FAILURE").exists()
    assert "Input particles" in done.stderr


def test_progress_goes_to_run_out(capsys):
    from rich.console import Console

    from cryoparts.cli.display import Display

    display = Display(Console(stderr=True), line_every=0.05)
    with display.shown("run"), display.lines_on(Console()):
        time.sleep(0.2)
    said = capsys.readouterr()
    assert "so far" in said.out
    assert said.err == ""
