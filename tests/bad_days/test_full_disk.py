"""A disk that is full: one error, nothing half written, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoparts.io.array_file import ArrayFile
from small_runs import small_arguments, small_data
from worker import Done, started_worker


@pytest.fixture(scope="module")
def call() -> Iterator[Callable[..., Done]]:
    with started_worker() as worker:
        yield worker.run


def assert_one_error(done: Done, reason: str) -> None:
    assert done.status == 1, done.errors
    said = " ".join(done.errors.split())
    assert said.count("error: ") == 1
    assert reason in said.lower()
    assert "no file is half written" in said
    assert "--resume" in said
    assert "Traceback" not in said


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.partial*")]


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.load(path) for path in folder.glob("*.npy")}


@pytest.mark.parametrize(("limit", "at"), [(100_000, "particles"), (300_000, "checkpoints")])
def test_files_that_may_not_grow_end_a_training_with_one_error(tmp_path, call, limit, at):
    command = ["train", *small_arguments(small_data(tmp_path), tmp_path), "-o", tmp_path / "run"]
    assert_one_error(call(*command, limit=limit), "file too large")
    assert leftovers(tmp_path) == []
    assert (tmp_path / "run").exists() == (at == "checkpoints")  # a run folder appears whole
    done = call(*command, "--resume")
    assert done.status == 0, done.errors
    whole = call(*command[:-1], tmp_path / "whole")
    assert whole.status == 0
    found, expected = arrays(tmp_path / "run"), arrays(tmp_path / "whole")
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; only root may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or not mount or subprocess.run(command, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run([shutil.which("umount") or "umount", str(place)], check=True)


def test_a_full_disk_ends_every_step_with_one_error_and_all_go_on_when_there_is_room(
    tmp_path, call, small_disk
):
    star = small_data(tmp_path / "data")
    run, filler = small_disk / "run", small_disk / "filler"
    command = ["run", *small_arguments(star, star.parent), "-o", run]
    for room in (50_000, 600_000):
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(max(free - room, 0)))
        done = call(*command, "--resume")
        filler.unlink()
        assert_one_error(done, "no space left on device")
        assert leftovers(small_disk) == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = call(*command, "--resume")
    assert done.status == 0, done.errors
    before = {p: p.read_bytes() for p in (run / "report.html", run / "latent.npy")}
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))
    for verb in ("report", "parts"):
        assert_one_error(call(verb, run), "no space left on device")
    assert all(path.read_bytes() == content for path, content in before.items())
    assert leftovers(small_disk) == []
    filler.unlink()
    assert call("report", run).status == 0


def test_rows_of_an_array_on_a_full_disk_are_an_error_not_the_end(tmp_path, small_disk):
    stored = ArrayFile.create(small_disk / "a.npy", (1000, 1000), np.dtype(np.float64))
    with pytest.raises(OSError, match="No space left"):
        stored.put(np.arange(1000), np.ones((1000, 1000)))


def test_a_read_only_run_is_refused_by_verbs_that_write_and_read_by_others(
    tmp_path, call, small_disk
):
    """Root may write everywhere but on a file system that nobody writes to."""
    star = small_data(tmp_path / "data")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run = small_disk / "run"
    assert call("train", *small_arguments(star, star.parent), "-o", run).status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for verb in ("parts", "report"):
        done = call(verb, run)
        assert done.status == 2
        assert "cannot be written: Read-only file system" in done.errors
    assert call("columns", run, "-o", tmp_path / "table.csv").status == 0
    assert call("decode", run, "-o", tmp_path / "decoded.npz").status == 0
    done = call("train", *small_arguments(star, star.parent), "-o", small_disk / "other")
    assert done.status == 2
    assert "the folder cannot be made" in done.errors
