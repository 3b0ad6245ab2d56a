"""Steps that are started from the page."""

from __future__ import annotations

import sys
import time

import pytest

from cryoparts.dashboard import jobs
from cryoparts.dashboard.jobs import Job, Jobs, command_of
from cryoparts.dashboard.run_view import RunView
from cryoparts.errors import InputError
from cryoparts.io.lock import locked
from cryoparts.selection.selection import select_where
from run_of_particles import make_run


@pytest.fixture
def view(tmp_path):
    return RunView.of(make_run(tmp_path / "run <b>&'选择"))


def python(monkeypatch, program):
    """Jobs are this program, with their own arguments behind."""
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, "-u", "-c", program))


def finished(job, seconds=20):
    deadline = time.monotonic() + seconds
    while job.running and time.monotonic() < deadline:
        time.sleep(0.02)
    return job.report(0)


def test_commands_are_those_of_the_terminal(view):
    root = str(view.run.root)
    select_where("half == 1", view.columns)[0].save(view.run.selections_path, "odd")
    assert command_of(view, {"job": "states", "part": 2}) == (
        "maps of the states of part 2, arm", ["reconstruct", root, "--part", "part_2"],
    )  # fmt: skip
    assert command_of(view, {"job": "trajectory", "part": ""})[1] == [
        "reconstruct", root, "--along", "trajectory",
    ]  # fmt: skip
    assert command_of(view, {"job": "selection", "selection": "odd"})[1] == [
        "reconstruct", root, "--selection", "odd",
    ]  # fmt: skip
    assert command_of(view, {"job": "at_rest"})[1] == ["reconstruct", root, "--at-rest"]
    asked = {"job": "focus", "part": "1", "order": "curve", "states": "3"}
    assert command_of(view, asked)[1] == [
        "focus", root, "--part", "part_1", "--order", "curve", "--states", "3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"job": "simulate"},
        {"job": "states", "part": 3},
        {"job": "states", "part": "1 --output /tmp"},
        {"job": "states", "part": [1]},
        {"job": "selection", "selection": "../x"},
        {"job": "selection", "selection": "--help"},
        {"job": "focus", "order": "--help"},
        {"job": "focus", "states": "1e9"},
        {"job": "focus", "states": -1},
        {"job": "focus", "states": "٣٣"},
    ],
)
def test_nothing_else_can_be_started(view, asked):
    with pytest.raises(InputError):
        command_of(view, asked)


def test_the_log_comes_as_it_is_written_and_is_told_once(monkeypatch):
    program = """
import sys
print('a <b>')
print('10%\\r20%\\r\\x1b[31m30%\\x1b[0m')
sys.stdout.buffer.write(bytes([255, 10]))
"""
    python(monkeypatch, program)
    told = finished(Job.start("a title", []))
    assert told["lines"][:2] == ["a <b>", "30%", "\ufffd"][:2]
    assert (told["running"], told["exit"], told["stopped"], told["next"]) == (False, 0, False, 3)


def test_a_long_log_keeps_its_end(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_LINES", 5000)
    python(monkeypatch, "for i in range(6000): print(i)\nprint('x' * 9999)")
    job = Job.start("long", [])
    told = finished(job)
    assert len(told["lines"]) == jobs.MOST_LINES
    assert len(told["lines"][-1]) == jobs.LONGEST_LINE
    assert told["next"] == 6001
    assert job.report(5999)["lines"][0] == "5999"
    assert job.report(6001)["lines"] == []


def test_one_job_at_a_time_and_none_beside_another_process(view, monkeypatch):
    python(monkeypatch, "import time; print('here'); time.sleep(60)")
    running = Jobs(view.run.root)
    asked = {"job": "states"}
    with locked(view.run.root), pytest.raises(InputError, match="another process works in it"):
        running.start(view, asked)
    job = running.start(view, asked)
    with pytest.raises(InputError, match="is running"):
        running.start(view, asked)
    while not job.report(0)["lines"]:
        time.sleep(0.02)
    running.stop()
    told = finished(job)
    assert told["stopped"]
    assert told["exit"] not in (0, None)
    running.start(view, asked)
    running.stop()


def test_what_does_not_listen_is_ended_by_force(monkeypatch):
    python(
        monkeypatch,
        "import signal, time\n"
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        "print('deaf'); time.sleep(60)",
    )
    job = Job.start("deaf", [])
    while not job.report(0)["lines"]:
        time.sleep(0.02)
    job.stop(seconds=0.2)
    assert finished(job)["exit"] == -9
