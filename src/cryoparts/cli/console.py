"""What the user sees: messages, progress, errors."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cryoparts.report.wording import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryoparts.errors import InputError

LOG = logging.getLogger("cryoparts")
LOG.addHandler(logging.NullHandler())  # what is printed here is not printed again by logging
OUT = Console(highlight=False, soft_wrap=True)
ERROR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Tell the user something that is worth keeping, also in the log of the run."""
    OUT.print(escape(message))
    LOG.info("%s", message)


def warn(message: str) -> None:
    """Tell the user something to think about; `show_warnings` prints it."""
    LOG.warning("%s", message)


class _Warnings(logging.Handler):
    """Warnings of any module of the program, as the user sees them."""

    def emit(self, record: logging.LogRecord) -> None:
        ERROR.print(f"[yellow]warning:[/] {escape(record.getMessage())}")


class _Information(logging.Handler):
    """What modules without a terminal of their own tell, as the user sees it."""

    def emit(self, record: logging.LogRecord) -> None:
        OUT.print(escape(record.getMessage()))


@contextmanager
def _shown(of: str, handler: logging.Handler, level: int) -> Iterator[None]:
    """Messages of this level alone, of the modules below a name, while the block runs."""
    handler.addFilter(lambda record: record.levelno == level)
    logger = logging.getLogger(of)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def show_warnings() -> AbstractContextManager[None]:
    """Print what the program's modules warn of, on standard error, while the block runs.

    An error is printed with its cure by `fail`.
    """
    return _shown(LOG.name, _Warnings(), logging.WARNING)


@contextmanager
def show_information(of: str) -> Iterator[None]:
    """Print what the modules below a name tell, on standard output, while the block runs."""
    logger = logging.getLogger(of)
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        with _shown(of, _Information(), logging.INFO):
            yield
    finally:
        logger.setLevel(before)


def say_error(problem: str, cure: str) -> None:
    """Print an error and its cure to standard error."""
    ERROR.print(f"[red]error:[/] {escape(problem)}")
    ERROR.print(f"  {escape(cure)}")


def fail(error: InputError) -> None:
    """Print what the user gave wrong and how to mend it."""
    LOG.error("%s", error)
    say_error(f"{error.where}: {error.problem}", error.cure)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a small table."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for number, name in enumerate(header):
        shown.add_column(name, justify="left" if number == 0 else "right")
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    OUT.print(shown)


class _Bars:
    """A bar for the work that goes on, from its first batch to its last.

    Only one display may be live on a terminal, so each ends before the next begins.
    """

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._what = ""
        self._task = TaskID(0)

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much of some work is done; the time left with it."""
        if what != self._what or self._live is None:
            self.close()
            self._what = what
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=ERROR,
                transient=True,
                disable=not ERROR.is_terminal,
            )
            self._task = self._live.add_task(what, total=total)
            self._live.start()
        self._live.update(self._task, completed=done, total=total)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars with the time left; yields what a step of the pipeline tells of its work."""
    bars = _Bars()
    try:
        yield bars.show
    finally:
        bars.close()


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; yields a function told how many are done, of how many."""
    with progress_bars() as show:
        yield lambda done, total: show(what, done, total)


class TrainingProgress:
    """Bar of the epoch with loss and speed; a line for every finished epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:.0f} particles/s"),
            TextColumn("left"),
            TextColumn("{task.fields[left]}"),
            console=ERROR,
            transient=True,
            disable=not ERROR.is_terminal,
        )
        self._task = self._bar.add_task(
            "", total=1, epoch=0, epochs=epochs, loss=0.0, rate=0.0, left="?"
        )

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show a step of an epoch."""
        self._bar.start()  # the bar of what came before is gone by now
        remaining = (total - done + (self._epochs - epoch) * total) / rate
        self._bar.update(
            self._task,
            total=total,
            completed=done,
            epoch=epoch,
            loss=loss,
            rate=rate,
            left=duration(remaining),
        )

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """Print the line of an epoch; after the last one the bar goes."""
        if row["epoch"] == epochs:
            self.close()
        held_out = f"held-out FRC {row['held_out_frc']:.4f}"
        if row["epoch"] == 0:
            say(f"neutral model:        {held_out}, training FRC {row['train_frc']:.4f}")
            return
        say(
            f"epoch {row['epoch']:3.0f}/{epochs}: loss {row['loss']:.4f}, {held_out}, "
            f"training FRC {row['train_frc']:.4f}, {row['particles_per_second']:.0f} particles/s, "
            f"{row['seconds']:.0f} s, {row['peak_memory_mib']:.0f} MiB"
        )
