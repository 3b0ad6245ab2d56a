"""A stack that vanishes, shrinks or changes while a run reads it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.pipeline.start import start_run
from small_runs import BOX, small_config, small_data


def vanish(path: Path) -> None:
    path.unlink()


def shrink(path: Path) -> None:
    os.truncate(path, 1024 + BOX * BOX * 4 * 3)


def change(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(1024 + BOX * BOX * 4)
        stream.write(bytes(BOX * BOX * 4))
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))  # of a coarse clock


def replace(path: Path) -> None:
    """Another stack of the same size, renamed into its place."""
    other = path.with_suffix(".other")
    shutil.copyfile(path, other)
    os.utime(other, ns=(0, 10**18))
    other.replace(path)


HOW = {
    vanish: "No such file",
    shrink: "changed while it was being read: it had",
    change: "it was written to",
    replace: "another lies there",
}


@pytest.mark.parametrize("damage", HOW, ids=lambda one: one.__name__)
def test_reading_stops_at_a_stack_that_is_another(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    particles = ParticleSet(read_particles(small_data(tmp_path)))
    some = particles.take(np.arange(20))
    assert some.images([0, 19]).shape == (2, BOX, BOX)
    damage(tmp_path / "p.mrcs")
    for chosen in (particles, some):
        with pytest.raises(InputError, match=HOW[damage]) as caught:
            chosen.images([19])
        assert caught.value.where == str(tmp_path / "p.mrcs")
        assert "--resume" in caught.value.cure


@pytest.mark.parametrize("damage", HOW, ids=lambda one: one.__name__)
def test_a_run_ends_with_one_error_and_goes_on_when_the_stack_is_back(
    tmp_path: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoparts.particles.preprocessing.VALUES_IN_A_BATCH", 10 * BOX**2)
    config = small_config(small_data(tmp_path), tmp_path)
    stack, kept = tmp_path / "p.mrcs", tmp_path / "kept"
    shutil.copy2(stack, kept)
    done: list[int] = []

    def progress(what: str, count: int, total: int) -> None:
        if what == "reading particles" and not done:
            damage(stack)
            done.append(count)

    with pytest.raises(InputError, match=HOW[damage]) as caught:
        start_run(config, tmp_path / "run", progress=progress)
    assert done and caught.value.where == str(stack)
    assert not [p for p in tmp_path.iterdir() if p.name.lstrip(".").startswith("run")]
    shutil.copy2(kept, stack)
    run = start_run(config, tmp_path / "run", resume=True)
    assert len(run.particles) == 60
