"""A command that is killed at any moment and given again leaves what it leaves undisturbed.

Two kills here; `make fuzz` kills every verb 20 times (CRYOPARTS_KILLS).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.io.structure import write_structure
from cryoparts.pipeline.simulation import simulate
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex

KILLS = int(os.environ.get("CRYOPARTS_KILLS", "1"))
VERBS = {
    "parts": ["--embedding", "pca", "--min-part-size", "4", "--keep-flagged"],
    "motion": [],
    "composition": [],
    "trust": [],
    "reconstruct": [],
}
CHOSEN = VERBS if KILLS > 1 else {"reconstruct": VERBS["reconstruct"]}
CHANGING = (
    "run.log", ".lock", "command.txt", "config.yaml", "metrics.jsonl", ".npz", "best.json",
    *(f"epoch_{epoch:04d}.json" for epoch in range(4)),
)  # fmt: skip
"""Times, paths and archives with times in them; everything else is compared."""


def cryoparts(*arguments: object) -> list[str]:
    code = "from cryoparts.cli.main import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def finished(command: list[str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


def killed(command: list[str], after: float) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    process.wait()


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(CHANGING)
    }


def _content(path: Path) -> bytes:
    """Of a map without its header, which says when it was made."""
    return path.read_bytes()[1024 if path.suffix == ".mrc" else 0 :]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.partial*")]


@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("verb", CHOSEN)
def test_a_killed_verb_given_again_gives_the_same(tmp_path, verb, kill):
    whole, broken = (unpacked(VERSIONS[0], tmp_path / name) for name in ("whole", "broken"))
    took = finished(cryoparts(verb, whole, *VERBS[verb]))
    command = cryoparts(verb, broken, *VERBS[verb])
    killed(command, took * np.random.default_rng(kill).uniform(0.3, 1.0))
    finished(command)
    assert checksums(broken) == checksums(whole)
    assert leftovers(broken) == []


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_training_resumed_gives_the_same(tmp_path, kill):
    write_structure(tmp_path / "toy.cif", toy_complex(seed=0))
    imaging = ImagingOptions(n_particles=60, box_size=32, pixel_size_angstrom=8.0, snr=1.0)
    options = CompositionOptions(n_segments=3)
    data = simulate(tmp_path / "toy.cif", tmp_path / "data", options, imaging=imaging)
    arguments = [
        data / "particles.star", "--model", data / "model.cif", "--n-gaussians", 40,
        "--epochs", 3, "--decoder", "mlp", "--threads", 1, "-o",
    ]  # fmt: skip
    took = finished(cryoparts("train", *arguments, tmp_path / "whole"))
    command = cryoparts("train", *arguments, tmp_path / "broken", "--resume")
    killed(command, took * np.random.default_rng(kill).uniform(0.3, 1.0))
    finished(command)
    assert checksums(tmp_path / "broken") == checksums(tmp_path / "whole")
    assert leftovers(tmp_path) == []
    shutil.rmtree(tmp_path / "whole")
