"""A command that is killed at any moment and given again leaves what it leaves undisturbed.

Two kills here; `make fuzz` kills every verb 20 times (CRYOPARTS_KILLS).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from small_runs import small_arguments, small_data
from worker import Worker, started_worker

KILLS = int(os.environ.get("CRYOPARTS_KILLS", "1"))
PARTS = ["--embedding", "pca", "--min-part-size", "4", "--keep-flagged"]
VERBS = {
    "parts": PARTS,
    "masks": [],
    "edit-parts": ["rename", "part_1", "arm"],
    "motion": [],
    "focus": ["--states", "2"],
    "focus along a curve": ["--order", "curve"],
    "composition": [],
    "trust": [],
    "coordination": [],
    "reconstruct": [],
    "reconstruct frames": ["--along", "trajectory", "--frames", "3"],
    "report": [],
    "select": ["some", "--where", "`state:part_1` == 1", "--replace"],
    "columns": ["-o", "{folder}/columns.csv"],
    "decode": ["-o", "{folder}/decoded.npz"],
}
CHOSEN = VERBS if KILLS > 1 else ("reconstruct",)
TRAINING = ("train", "run") if KILLS > 1 else ("train",)
CHANGING = (
    "run.log", ".lock", "command.txt", "config.yaml", "metrics.jsonl", "metrics.csv", ".npz",
    "best.json", "report.html", "edits.json", *(f"epoch_{epoch:04d}.json" for epoch in range(4)),
)  # fmt: skip
"""Times, paths of this folder and archives with times in them; everything else is compared."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with started_worker() as started:
        yield started


@dataclass(frozen=True)
class Undisturbed:
    """What a command comes to, and how long it takes."""

    files: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(worker, tmp_path_factory):
    """The same for all kills of a verb."""
    known: dict[str, Undisturbed] = {}

    def of(verb: str) -> Undisturbed:
        if verb not in known:
            folder = ready(tmp_path_factory.mktemp("whole"))
            seconds = worker.finish(*command(verb, folder))
            known[verb] = Undisturbed(checksums(folder), seconds)
        return known[verb]

    return of


def ready(folder: Path) -> Path:
    """A run of long ago, whose particle file has moved."""
    run = unpacked(VERSIONS[0], folder)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("particles.star", "particles.lst"))
    return run


def command(verb: str, folder: Path) -> list[str]:
    return [verb.split()[0], str(folder), *(a.format(folder=folder.parent) for a in VERBS[verb])]


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(CHANGING)
    }


def _content(path: Path) -> bytes:
    """Of a map without its header, which says when it was made; of a script without its folder."""
    if path.suffix == ".cxc":
        return path.read_bytes().replace(str(path.parent).encode(), b"")
    return path.read_bytes()[1024 if path.suffix == ".mrc" else 0 :]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.partial*")]


@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("verb", CHOSEN)
def test_a_killed_verb_given_again_gives_the_same(tmp_path, worker, undisturbed, verb, kill):
    whole, broken = undisturbed(verb), ready(tmp_path)
    moment = np.random.default_rng([kill, list(VERBS).index(verb)]).uniform(0.2, 1.0)
    worker.kill(moment * whole.seconds, *command(verb, broken))
    looked = worker.run("columns", broken, "-o", tmp_path / "look.csv")
    assert looked.status in (0, 2), looked.errors  # what is there can be read, or is named
    again = worker.run(*command(verb, broken))
    renamed_already = verb == "edit-parts" and "there is no part 'part_1'" in again.errors
    assert again.status == 0 or renamed_already, again.errors
    assert checksums(broken) == whole.files
    assert leftovers(broken) == []


@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("verb", TRAINING)
def test_a_killed_training_resumed_gives_the_same(tmp_path, worker, verb, kill):
    star = small_data(tmp_path)
    arguments = [verb, *small_arguments(star, tmp_path)]
    if verb == "run":
        arguments += ["--embedding", "pca", "--min-part-size", "2", "--keep-flagged"]
    whole, broken = tmp_path / "whole" / "run", tmp_path / "broken" / "run"  # scripts know the name
    took = worker.finish(*arguments, "-o", whole)
    again = [*arguments, "-o", broken, "--resume"]
    worker.kill(took * np.random.default_rng(kill).uniform(0.1, 1.0), *again)
    worker.finish(*again)
    assert checksums(broken) == checksums(whole)
    assert leftovers(tmp_path) == []
    shutil.rmtree(tmp_path / "whole")
