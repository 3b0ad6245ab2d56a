"""A run by several processes is the run by one: to the bit, and to rounding where gradients add."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoparts.config import FocusConfig, PartsConfig
from cryoparts.inference.kept_offsets import KeptOffsets
from cryoparts.parallel.current import shared_work
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.composition import judge_composition
from cryoparts.pipeline.focus import find_states, part_numbers
from cryoparts.pipeline.maps.reconstruct import reconstruct_states
from cryoparts.pipeline.motion import find_motion
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.start import start_run
from cryoparts.pipeline.training import train_run
from cryoparts.run.run import Run
from small_runs import small_arguments, small_config, small_data

COUNT = 400
MOVING = ["--vary", "position", "amplitude", "--no-refine-poses"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_data(tmp_path_factory.mktemp("data"), COUNT)


def trained(data: Path, folder: Path, *, processes: int, resume: bool = False) -> Path:
    config = small_config(data, data.parent)
    training = replace(config.training, vary=("position", "amplitude"), refine_poses=False)
    with shared_work(processes):
        run = start_run(replace(config, training=training), folder, resume=resume)
        train_run(run, resume=resume)
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> Path:
    return trained(data, tmp_path_factory.mktemp("alone") / "run", processes=1)


def rows(folder: Path) -> list[dict[str, float]]:
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def assert_same_curve(one: Path, other: Path) -> None:
    first, second = rows(one), rows(other)
    assert len(first) == len(second) > 2
    for a, b in zip(first, second, strict=True):
        for key in {"loss", "train_frc", "held_out_frc", "learning_rate"} & set(a):
            assert a[key] == pytest.approx(b[key], rel=1e-4), key


def test_two_processes_train_as_one_and_another_number_goes_on(data, alone, tmp_path):
    shared = trained(data, tmp_path / "shared", processes=2)
    assert_same_curve(alone, shared)
    assert rows(alone)[1]["loss"] != rows(shared)[1]["loss"]  # it was another order of summing
    # before gradients are added up there is nothing that could differ
    for name in ("images.npy", "encoder_input.npy"):
        ours, theirs = ((run / "particles" / name).read_bytes() for run in (shared, alone))
        assert ours == theirs
    # broken off after the first epoch, and gone on with by one process
    for path in shared.glob("checkpoints/epoch_0002*"):
        path.unlink()
    assert_same_curve(alone, trained(data, shared, processes=1, resume=True))


def test_a_launched_job_trains_as_one_process(data, alone, tmp_path):
    launched = tmp_path / "launched"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["train", *small_arguments(data, data.parent), *MOVING, "-o", str(launched)]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "cryoparts", *words],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best epoch") == 1  # one process speaks
    assert_same_curve(alone, launched)


def mark_what_comes_and_goes(run: Run) -> None:
    """So few Gaussians need not show the part; later steps are given it."""
    labels, nothing = np.repeat([0, 1], [8, 4]), np.zeros(12)
    PartLabels(
        labels, np.zeros((12, 2)), run.model.positions.astype(float), nothing, nothing, "pca"
    ).save(run.directory.parts_path)


def move_look_and_judge(run: Run) -> None:
    find_motion(run)
    find_states(run, [[part] for part in part_numbers(run)], FocusConfig(states=2))
    judge_composition(run)


@pytest.fixture
def decoded(monkeypatch) -> Counter[int]:
    """How often each particle has been decoded and kept."""
    decoded: Counter[int] = Counter()
    write = KeptOffsets.write

    def counted(kept, rows, numbers):
        write(kept, rows, numbers)
        decoded.update(rows.tolist() if kept.read(rows) is not None else ())

    monkeypatch.setattr(KeptOffsets, "write", counted)
    return decoded


def test_motion_states_and_composition_decode_every_particle_once(alone, tmp_path, decoded):
    shutil.copytree(alone, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    mark_what_comes_and_goes(run)
    with run.decoder.keeping():
        move_look_and_judge(run)
        assert run.decoder.keeps_all
    assert decoded == dict.fromkeys(range(len(run.particles)), 1)
    assert not run.decoder.keeps_all
    decoded.clear()
    find_states(run, [[1]], FocusConfig(states=2))  # alone, in two passes
    assert decoded == dict.fromkeys(range(len(run.particles)), 1)


def test_what_follows_a_training_is_the_same_to_the_bit(alone, tmp_path):
    folders = {}
    for processes in (1, 2):
        folder = folders[processes] = tmp_path / str(processes) / "run"
        shutil.copytree(alone, folder)
        run = Run.open(folder)
        with shared_work(processes):
            find_parts(run, PartsConfig(embedding="pca", min_part_size=2, keep_flagged=True))
            mark_what_comes_and_goes(run)
            # nor does it matter whether what was decoded for one step is kept for the next
            with run.decoder.keeping() if processes > 1 else nullcontext():
                move_look_and_judge(run)
            reconstruct_states(run, part_numbers(run))
    compared = set()
    for path in sorted(folders[1].rglob("*")):
        other = folders[2] / path.relative_to(folders[1])
        if path.suffix in (".npy", ".csv") and path.parent.name != "particles":
            assert path.read_bytes() == other.read_bytes(), path
            compared.add(path.parent.parent.name + "/" + path.parent.name)
        elif path.suffix == ".mrc":  # sums over the images: to rounding
            ours, theirs = (np.frombuffer(p.read_bytes()[1024:], "<f4") for p in (path, other))
            assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(ours).max(), path
            compared.add("maps")
    assert {"run/parts", "run/motion", "focus/part_1", "run/composition", "maps"} <= compared
