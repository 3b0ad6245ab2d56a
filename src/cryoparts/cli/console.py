"""What the user sees: messages, progress, errors."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cryoparts.cli.display import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryoparts.errors import InputError

LOG = logging.getLogger("cryoparts")
LOG.addHandler(logging.NullHandler())  # what is printed here is not printed again by logging
OUT = Console(highlight=False, soft_wrap=True)
ERROR = Console(stderr=True, highlight=False, soft_wrap=True)
DISPLAY = Display(ERROR)


def _out() -> Console:
    """Where sentences go: above the line of the work, where both are on one terminal."""
    together = DISPLAY.is_live and OUT.is_terminal and not OUT.quiet
    return ERROR if together else OUT


@contextmanager
def loudness(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """While the block runs: warnings and errors alone, or all that modules tell as well."""
    before = OUT.quiet
    OUT.quiet = quiet
    try:
        if verbose:
            with show_information(LOG.name):
                yield
        else:
            yield
    finally:
        OUT.quiet = before


def say(message: str) -> None:
    """Tell the user something that is worth keeping, also in the log of the run."""
    _out().print(escape(message))
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
        if record.name != LOG.name:  # what `say` has said already
            _out().print(escape(record.getMessage()))


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
    _out().print(shown)


@contextmanager
def progress_bars(what: str = "starting") -> Iterator[Callable[[str, int, int], None]]:
    """Show what goes on; yields what a step of the pipeline tells of its work."""
    with DISPLAY.shown(what):
        yield DISPLAY.tell


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """As `progress_bars`, for one kind of work: told how many are done, of how many."""
    with DISPLAY.shown(what):
        yield lambda done, total: DISPLAY.tell(what, done, total)


class TrainingProgress:
    """How far an epoch is, with loss and speed; a line for every finished epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show a step of an epoch."""
        what = f"training, epoch {epoch} of {self._epochs}"
        if done >= total:  # what follows is the measure of what was learned
            DISPLAY.tell(f"{what}: held-out particles")
            return
        left = 1.0 + self._epochs - epoch
        DISPLAY.tell(what, done, total, f"loss {loss:.4f}, {rate:.0f} particles/s", left)

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """Print the line of an epoch."""
        held_out = f"held-out FRC {row['held_out_frc']:.4f}"
        if row["epoch"] == 0:
            say(f"neutral model:        {held_out}, training FRC {row['train_frc']:.4f}")
            return
        say(
            f"epoch {row['epoch']:3.0f}/{epochs}: loss {row['loss']:.4f}, {held_out}, "
            f"training FRC {row['train_frc']:.4f}, {row['particles_per_second']:.0f} particles/s, "
            f"{row['seconds']:.0f} s, {row['peak_memory_mib']:.0f} MiB"
        )
