"""How a step tells how far it is, to whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Told what is being done, how much of it is done, and of how much."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """A batch of `what` is done; 0 of 0 begins what cannot be counted."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that is shown to nobody."""


def counting(progress: Progress, what: str) -> Callable[[int, int], None]:
    """What a loop over one kind of work is given: told how many are done, of how many."""
    return lambda done, total: progress(what, done, total)


Tell = Callable[[str], None]
"""Told a sentence that is worth keeping, as soon as it is known."""


def quiet(sentence: str) -> None:
    """Sentences that are told to nobody."""


class SilentTraining:
    """Progress of a training that is shown to nobody."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """A step of an epoch ended."""

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """An epoch ended."""
