"""Ctrl-C and SIGTERM in the middle of the work say what is kept and how to go on."""

from __future__ import annotations

import errno
import os
import pty
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from archived_run import VERSIONS, unpacked
from small_runs import small_arguments, small_data

COMMAND = [sys.executable, "-c", "from cryoparts.cli.main import main; main()"]
PATIENCE = 120  # seconds, on a busy machine


def endless_training(folder: Path) -> list[str]:
    star = small_data(folder)
    arguments = small_arguments(star, folder)
    arguments[arguments.index("--epochs") + 1] = "100000"
    return ["train", *arguments, "-o", str(folder / "run")]


def wait_for(ready) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.05)


def an_epoch_of(run: Path) -> bool:
    return any(run.glob("checkpoints/epoch_*.json"))


def at_work(run: Path, verb: str) -> bool:
    log = run / "run.log"
    return log.is_file() and re.search(rf"command: .* {verb} ", log.read_text()) is not None


def in_a_pipe(arguments: list[str], ready, number: signal.Signals) -> tuple[int, str]:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_for(ready)
        process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said


def in_a_terminal(arguments: list[str], ready) -> tuple[int, str]:
    """Ctrl-C as a person types it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of this process: exec follows
        process, terminal = pty.fork()
    if process == 0:
        os.execv(COMMAND[0], [*COMMAND, *arguments])
    wait_for(ready)
    os.write(terminal, b"\x03")
    said = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError as fault:
            assert fault.errno == errno.EIO  # the other end is closed
            break
        if not more:
            break
        said += more
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    return status, said.decode(errors="replace")


def plain(said: str) -> str:
    """Without colours, and in one line."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).split())


@pytest.mark.parametrize("how", ["Ctrl-C in a terminal", "SIGINT in a pipe", "SIGTERM in a pipe"])
def test_a_training_says_which_epoch_is_kept_and_how_to_go_on(tmp_path, how):
    command, run = endless_training(tmp_path), tmp_path / "run"
    if how == "Ctrl-C in a terminal":
        status, said = in_a_terminal(command, lambda: an_epoch_of(run))
    else:
        number = signal.SIGINT if how.startswith("SIGINT") else signal.SIGTERM
        status, said = in_a_pipe(command, lambda: an_epoch_of(run), number)
    told_to_stop = how.startswith("SIGTERM")
    assert status == (143 if told_to_stop else 130)
    expected = "told to stop" if told_to_stop else "interrupted"
    assert re.search(rf"error: {expected}; .*keeps everything up to epoch \d+", plain(said))
    assert "The same command with --resume goes on." in plain(said)
    assert "Traceback" not in said
    assert not list(tmp_path.rglob(".*.partial*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_after_the_training_leaves_what_was_there(tmp_path, number):
    run = unpacked(VERSIONS[0], tmp_path)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".log"}
    command = ["trust", str(run), "--seeds", "1"]
    status, said = in_a_pipe(command, lambda: at_work(run, "trust"), number)
    assert status == 128 + number, said
    assert "what earlier steps wrote is as it was" in plain(said)
    assert "The same command begins this step again." in plain(said)
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.rglob(".*.partial*"))


def test_a_benchmark_takes_the_run_that_it_has_started_with_it(tmp_path):
    (tmp_path / "toy.yaml").write_text(ENDLESS, encoding="utf-8")
    command = ["benchmark", "composition", "--config", str(tmp_path / "toy.yaml")]
    output = tmp_path / "made"
    status, said = in_a_pipe(
        [*command, "-o", str(output)],
        lambda: any(output.glob("runs/*/checkpoints/epoch_*.json")),
        signal.SIGTERM,
    )
    assert status == 143, said
    assert "Traceback" not in said
    assert "told to stop" in plain(said)
    log = next(output.glob("runs/*/metrics.jsonl"))
    size = log.stat().st_size
    time.sleep(1.0)
    assert log.stat().st_size == size


ENDLESS = """
kind: composition
structure: toy
seeds: [3]
decoders: [mlp]
steps: quick
oracle_particles: 16
imaging: {n_particles: 48, box_size: 32, pixel_size_angstrom: 8.0}
gaussians: {n_gaussians: 60}
training: {vary: [amplitude], epochs: 100000, batch_size: 16, latent_dimensions: 2, threads: 1}
"""
