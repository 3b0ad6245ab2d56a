"""The examples run as they are written, on less."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cryoparts
from archived_run import VERSIONS, unpacked

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(monkeypatch, name: str, *arguments: object, **constants: object) -> None:
    module = example(name)
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    module.main()


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "look_at_a_run", "project_gaussians", "run_from_a_script",
    }  # fmt: skip


def test_look_at_a_run(monkeypatch, tmp_path, capsys):
    call(monkeypatch, "look_at_a_run", unpacked(VERSIONS[0], tmp_path))
    said = capsys.readouterr().out
    assert "120 particles, 48 Gaussians, 1 parts" in said
    assert "part_1" in said


def test_project_gaussians(monkeypatch, capsys):
    call(monkeypatch, "project_gaussians", BOX=32, IMAGES=3)
    assert "500 Gaussians, 3 images of 32 px" in capsys.readouterr().out


def test_run_from_a_script(monkeypatch, tmp_path, capsys):
    call(monkeypatch, "run_from_a_script", tmp_path, PARTICLES=200, EPOCHS=2)
    assert "held-out FRC" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").is_file()


def test_slurm_job_starts_every_process(tmp_path, monkeypatch):
    programs = {"srun": 'shift; exec "$@"', "scontrol": "echo localhost"}
    for name, text in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    paths = [str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]]
    for name, value in {
        "PATH": os.pathsep.join(paths), "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "2", "PORT": str(port),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [EXAMPLES / "slurm.sh", "--version"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{cryoparts.__version__}\n"  # one of the two speaks


@pytest.mark.parametrize("name", cryoparts.__all__)
def test_every_name_of_the_door_opens(name):
    assert getattr(cryoparts, name) is not None


@pytest.mark.parametrize("name", cryoparts.pipeline.__all__)
def test_every_step_is_there(name):
    assert callable(getattr(cryoparts.pipeline, name))


def test_unknown_names_are_no_part_of_the_door():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cryoparts.nothing
