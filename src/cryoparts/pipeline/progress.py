"""How a step tells how far it is, to whoever wants to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Progress(Protocol):
    """Told what is being done, how much of it is done, and of how much."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """A batch of `what` is done."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that is shown to nobody."""


def counting(progress: Progress, what: str) -> Callable[[int, int], None]:
    """What a loop over one kind of work is given: told how many are done, of how many."""
    return lambda done, total: progress(what, done, total)
