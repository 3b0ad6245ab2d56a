"""Steps that are started from the page: the command itself, one at a time, with its log."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryoparts.errors import InputError
from cryoparts.io.lock import is_locked
from cryoparts.selection.selection import saved_selections

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryoparts.dashboard.run_view import RunView

MOST_LINES, LONGEST_LINE = 5000, 2000
"""Of a log that are kept."""

SECONDS_TO_END = 10.0
"""That a job has for clearing up after Ctrl-C, and again after it is told to end."""

PROGRAM = (sys.executable, "-m", "cryoparts")

ORDERS = ("clusters", "mixture", "curve")
MOST_STATES = 20

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def command_of(view: RunView, asked: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a job is called, and its command without the program.

    Parameters
    ----------
    view : RunView
    asked : dict
        ``{"job": "focus", "part": 1, "order": "curve", "states": 3}``; ``{"job": "states" |
        "trajectory", "part": 1}``; ``{"job": "at_rest"}``; ``{"job": "selection",
        "selection": name}``. Without
        ``part``: every part. ``order`` and ``states`` may be absent.

    Raises
    ------
    InputError
        If it is none of these.
    """
    root, job = str(view.run.root.resolve()), asked.get("job")
    if job == "selection":
        name = str(asked.get("selection"))
        if name not in saved_selections(view.run):
            raise _wrong(f"there is no selection {name!r}", "Save one first.")
        return f"maps of the selection {name}", ["reconstruct", root, "--selection", name]
    if job == "at_rest":
        return "map with every part at rest", ["reconstruct", root, "--at-rest"]
    part, title = _part(view, asked)
    if job == "focus":
        return f"focus on {title}", ["focus", root, *part, *_focus_options(asked)]
    if job == "states":
        return f"maps of the states of {title}", ["reconstruct", root, *part]
    if job == "trajectory":
        return (
            f"maps along the coordinate of {title}",
            ["reconstruct", root, *part, "--along", "trajectory"],
        )
    raise _wrong(f"no such job: {job!r}", "Reload the page.")


def _part(view: RunView, asked: Mapping[str, Any]) -> tuple[list[str], str]:
    number = asked.get("part")
    if number in (None, ""):
        return [], "all parts"
    known = 0 if view.labels is None else view.labels.n_parts
    try:
        part = int(str(number))
    except ValueError:
        part = 0
    if not 1 <= part <= known:
        raise _wrong(f"there is no part {number!r}", "Choose one of the list.")
    return ["--part", f"part_{part}"], view.title(f"part_{part}")


def _focus_options(asked: Mapping[str, Any]) -> list[str]:
    options = []
    order, states = asked.get("order") or None, asked.get("states") or None
    if order is not None:
        if order not in ORDERS:
            raise _wrong(f"there is no order {order!r}", f"Choose {', '.join(ORDERS)}.")
        options += ["--order", str(order)]
    if states is not None:
        if not str(states).isdecimal() or not 1 <= int(str(states)) <= MOST_STATES:
            raise _wrong(f"cannot find {states!r} states", f"Give 1 to {MOST_STATES}, or none.")
        options += ["--states", str(int(str(states)))]
    return options


def _wrong(problem: str, cure: str) -> InputError:
    return InputError("the job", problem, cure)


@dataclass
class Job:
    """A command that runs, or ran.

    Parameters
    ----------
    title : str
    command : list of str
        The program and all its arguments.
    process : Popen
    """

    title: str
    command: list[str]
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    stopped: bool = False
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _told: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, title: str, arguments: list[str]) -> Job:
        """Run `cryoparts` with these arguments."""
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # a group of its own: Ctrl-C in the terminal of the dashboard is not meant for it
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "100"},
        )
        job = cls(title, ["cryoparts", *arguments], process)
        threading.Thread(target=job._read, daemon=True).start()
        return job

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, and all that it said is here."""
        return self.ended is None

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                # of a bar that was drawn over and over, its last state
                text = line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
                with self._lock:
                    self._lines.append(_ESCAPES.sub("", text)[:LONGEST_LINE])
                    self._told += 1
        self.process.wait()
        self.ended = time.monotonic()

    def report(self, after: int) -> dict[str, Any]:
        """How it stands, with the lines of the log behind the first `after`."""
        with self._lock:
            ended, told = self.ended, self._told
            first = told - len(self._lines)
            lines = list(self._lines)[max(0, after - first) :]
        return {
            "title": self.title,
            "command": shlex.join(self.command),
            "running": ended is None,
            "stopped": self.stopped,
            "exit": None if ended is None else self.process.returncode,
            "seconds": (ended or time.monotonic()) - self.started,
            "lines": lines,
            "next": told,
        }

    def stop(self, seconds: float = SECONDS_TO_END) -> None:
        """End it as Ctrl-C does, so that no file is half written; by force if it does not."""
        self.stopped = self.running
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(seconds)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


@dataclass
class Jobs:
    """The jobs of one run: one at a time.

    Parameters
    ----------
    folder : Path
        The run's.
    """

    folder: Path
    latest: Job | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, view: RunView, asked: Mapping[str, Any]) -> Job:
        """Start what is asked for (see `command_of`).

        Raises
        ------
        InputError
            If it is not known, or something else works in the folder.
        """
        title, arguments = command_of(view, asked)
        with self._lock:
            if self.latest is not None and self.latest.running:
                raise _wrong(f"{self.latest.title} is running", "Wait until it ends, or stop it.")
            if is_locked(self.folder):
                raise InputError(
                    str(self.folder), "another process works in it", "Wait until it has ended."
                )
            self.latest = Job.start(title, arguments)
            return self.latest

    def stop(self) -> None:
        """End the job that runs, if one does."""
        if self.latest is not None:
            self.latest.stop()
