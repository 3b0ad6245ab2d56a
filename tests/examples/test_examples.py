"""The examples run as they are written, on less."""

from __future__ import annotations

import importlib.util
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


@pytest.mark.parametrize("name", cryoparts.__all__)
def test_every_name_of_the_door_opens(name):
    assert getattr(cryoparts, name) is not None


@pytest.mark.parametrize("name", cryoparts.pipeline.__all__)
def test_every_step_is_there(name):
    assert callable(getattr(cryoparts.pipeline, name))


def test_unknown_names_are_no_part_of_the_door():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cryoparts.nothing
