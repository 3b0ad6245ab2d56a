"""One line that says what goes on, how far it is and how long it will take, until it is done.

On a terminal it is a live line at the bottom; elsewhere (a log, a queue's output) a
plain line every half minute. Nothing else may write into the live line: sentences go
above it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from cryoparts.report.wording import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_EVERY_SECONDS = 30.0
"""Of a log: two lines a minute can be read, and tell a hung program from a slow one."""

REFRESHES_A_SECOND = 4
"""Of the live line: the seconds tick, and no core is busy with it."""

FEW_TO_TELL = 2.0
"""Seconds of work below which the time left is not told: it would be a guess."""


@dataclass
class Work:
    """What is being done, from when on, and how much of it is done.

    Parameters
    ----------
    what : str
    done, total : int
        0 of 0 where nothing can be counted.
    note : str
        What else is known of it: the loss, for example.
    whole : float, optional
        All of the work over the part that `total` counts: 8 in the first of 8 epochs.
    started : float
        Of `time.monotonic`.
    """

    what: str
    done: int = 0
    total: int = 0
    note: str = ""
    whole: float = 1.0
    started: float = field(default_factory=time.monotonic)

    @property
    def far(self) -> str:
        """``1,200 of 3,000``; empty where nothing is counted."""
        return f"{self.done:,} of {self.total:,}" if self.total else ""

    def left(self, now: float) -> str:
        """``about 2 min left``; how long it has taken where nothing is counted."""
        passed = now - self.started
        if not self.done or self.done >= self.total:
            return f"{duration(passed)} so far"
        if passed < FEW_TO_TELL:
            return ""
        rest = passed * (self.total * self.whole - self.done) / self.done
        return f"about {duration(rest)} left"

    def line(self, now: float) -> str:
        """Everything, for a log."""
        known = [self.what, self.far, self.note, self.left(now)]
        return ", ".join(text for text in known if text)


class Display:
    """The line of the work that goes on; steps tell it what they do.

    Parameters
    ----------
    console : Console
        Where it is shown: live where that is a terminal, in lines elsewhere.
    line_every : float
        Seconds between the lines of a log.
    """

    def __init__(self, console: Console, line_every: float = LINE_EVERY_SECONDS) -> None:
        self._console = console
        self._line_every = line_every
        self._work: Work | None = None
        self._stage = ""
        self._live: Progress | None = None
        self._task = TaskID(0)
        self._lines: tuple[threading.Thread, threading.Event] | None = None

    @property
    def is_live(self) -> bool:
        """Whether there is a line at the bottom of the terminal."""
        return self._live is not None

    @contextmanager
    def shown(self, what: str) -> Iterator[None]:
        """Show that something goes on, while the block runs; blocks may lie in each other."""
        before, stage = self._work, self._stage
        self._show(Work(what))
        try:
            yield
        finally:
            self._stage = stage
            if before is None:
                self._close()
            else:
                self._show(before)

    @contextmanager
    def lines_on(self, console: Console) -> Iterator[None]:
        """Write the lines of a log to another console, while the block runs."""
        before = self._console
        if self._live is None:
            self._console = console
        try:
            yield
        finally:
            self._console = before

    def stage(self, number: int, total: int) -> None:
        """Which of several steps all that is told from now on belongs to."""
        self._stage = f"{number}/{total} "

    def tell(
        self, what: str, done: int = 0, total: int = 0, note: str = "", whole: float = 1.0
    ) -> None:
        """Show what goes on, and how much of it is done; 0 of 0 where nothing is counted."""
        work = self._work
        if work is None:
            return  # nobody looks
        if what != work.what or done < work.done:
            self._show(Work(what, done, total, note, whole))
            return
        work.done, work.total, work.note, work.whole = done, total, note, whole
        self._draw()

    def _show(self, work: Work) -> None:
        self._work = work
        if self._live is None and self._lines is None:
            self._open()
        self._draw()

    def _open(self) -> None:
        if not self._console.is_terminal:
            stop = threading.Event()
            thread = threading.Thread(target=self._write_lines, args=(stop,), daemon=True)
            self._lines = thread, stop
            thread.start()
            return
        self._live = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.fields[stage]}{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}", markup=False),
            _TimeColumn(self),
            console=self._console,
            transient=True,
            refresh_per_second=REFRESHES_A_SECOND,
            redirect_stdout=False,  # what is said goes above the line by itself
        )
        self._task = self._live.add_task("", total=None, stage="", far="")
        self._live.start()

    def _draw(self) -> None:
        work = self._work
        if self._live is None or work is None:
            return
        self._live.update(
            self._task,
            description=work.what,
            completed=work.done,
            total=work.total if 0 < work.done < work.total else None,  # else the bar pulses
            stage=self._stage,
            far=work.far,
        )

    def timing(self) -> str:
        """Time left, and what else is known, as of now."""
        if self._work is None:
            return ""
        known = [self._work.left(time.monotonic()), self._work.note]
        return "  ".join(text for text in known if text)

    def _write_lines(self, stop: threading.Event) -> None:
        while not stop.wait(self._line_every):
            work = self._work
            if work is not None:
                self._console.print(
                    f"{self._stage}{work.line(time.monotonic())}", markup=False, highlight=False
                )

    def _close(self) -> None:
        self._work = None
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._lines is not None:
            thread, stop = self._lines
            stop.set()
            thread.join()
            self._lines = None


class _TimeColumn(TextColumn):
    """The time left, which goes on between two batches."""

    def __init__(self, display: Display) -> None:
        super().__init__("", markup=False)
        self._display = display

    def render(self, task: object) -> object:  # type: ignore[override]
        """As of now."""
        from rich.text import Text

        del task
        return Text(self._display.timing(), no_wrap=True)
