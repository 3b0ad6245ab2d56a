"""docs/api.md: its code runs from top to bottom, and its tables name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cryoparts
from archived_run import VERSIONS, unpacked
from cryoparts import pipeline
from cryoparts.run.run import Run

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def in_tables(text: str, before: str) -> set[str]:
    """Names behind `before` in the first cells of tables."""
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(rf"`{before}\.(\w+)", cell)}


def test_the_code_runs(text, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    unpacked(VERSIONS[0], tmp_path / "runs").rename(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)  # one program
    assert names["transforms"].shape == names["seen"].shape == (4, 32, 17)
    assert names["moved"].shape == (10, 48, 3)
    assert names["fsc"][1:] == pytest.approx(1.0)


def test_every_public_property_of_a_run_is_in_the_table(text):
    public = {name for name in vars(Run) if not name.startswith("_")}
    public -= {"open", "prepare", "setup", "training", "parts_options"}
    public -= {"forget_training", "forget_poses"}
    assert in_tables(text, "run") == public | {"root"} - {"directory"}


def test_every_step_is_in_the_table(text):
    steps = {name for name in pipeline.__all__ if name[0].islower()}
    assert in_tables(text, "pipeline") == steps


def test_the_page_speaks_of_every_name_of_the_door(text):
    spoken = [name for name in cryoparts.__all__ if name != "__version__"]
    assert [name for name in spoken if name not in text] == []
