"""A sweep over particles, batch by batch, whose batches go to whichever process is free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from cryoparts.memory.halving import Halving, held_bytes
from cryoparts.parallel.group import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.parallel.group import Group

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")

BATCHES_A_ROUND = 32
"""Of each process, at most: what they made comes to the leader after these."""

FIRST_ROUND = 2
"""The same of the first round, after which it is known how much memory an answer takes."""

MOST_BYTES_A_ROUND = 128 * 2**20
"""Memory of the answers of each process that wait for the others; they are held twice."""

NO_MORE = 1 << 40
"""Added to a counter, so that nobody takes another batch."""


def batches_a_round(answers: Sequence[object]) -> int:
    """Batches of each process in the next round, by the answers for some, or none, so far."""
    if not answers:
        return FIRST_ROUND
    each = max(1, sum(held_bytes(answer) for answer in answers) // len(answers))
    return min(BATCHES_A_ROUND, max(1, MOST_BYTES_A_ROUND // each))


def told_after(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    """What a sweep tells that comes after others, which have done `before` particles of `total`."""
    return None if progress is None else lambda done, _: progress(before + done, total)


class Task(Protocol[Result_co]):
    """What is done with a batch: an object that can be sent (a function of a module, a frozen
    dataclass), whose answer depends on the batch alone.
    """

    def __call__(self, rows: NDArray[np.int64], /) -> Result_co:
        """The answer for the particles `rows`."""


@dataclass(frozen=True)
class Summed(Generic[Result]):
    """A task whose answer is a sum over the batch, or a tuple of such."""

    task: Task[Result]

    def __call__(self, rows: NDArray[np.int64]) -> Result:
        """The sum over the particles `rows`."""
        return self.task(rows)

    def joined(self, answers: Sequence[Any]) -> Any:
        """The sum over several batches, or parts of one."""
        if isinstance(answers[0], tuple):
            return tuple(sum(column) for column in zip(*answers, strict=True))
        return sum(answers)


@dataclass(frozen=True)
class Sweep(Generic[Result]):
    """A task and the batches that it is to be done with.

    Parameters
    ----------
    task : Task
    rows : int array, shape (n,)
        The particles.
    batch : int
        Particles at a time.
    name : str
        Of its counters; no other sweep of the team has it.
    halving : Halving
        What memory bears; each process finds out for itself.
    """

    task: Task[Result]
    rows: NDArray[np.int64]
    batch: int
    name: str = ""
    halving: Halving = field(default_factory=lambda: Halving("a sweep over particles"))

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.rows) // self.batch)

    def place(self, number: int) -> slice:
        """Where a batch lies within the rows."""
        start = number * self.batch
        return slice(start, min(start + self.batch, len(self.rows)))

    def done(self, number: int) -> Result:
        """The answer for a batch; where memory runs out, by its halves."""
        return self.halving.call(self.task, self.rows[self.place(number)])


@dataclass(frozen=True)
class Round:
    """Batches `first` to `last` (exclusive) of the sweep that goes on."""

    first: int
    last: int


@dataclass
class _Made:
    """What one process made of a round."""

    answers: dict[int, Any] = field(default_factory=dict)
    fault: Fault | None = None


def lead_round(
    group: Group, sweep: Sweep[Result], one: Round, tell: Callable[[int], None]
) -> Iterator[tuple[slice, Result]]:
    """Share the batches of a round out, and yield what all made of them, in order.

    Raises
    ------
    InputError
        If another process could not do its batch.
    """
    group.broadcast(one)
    made = _Made()
    try:
        _work(group, sweep, one, made, tell)
    finally:  # whatever happened here, the others are waiting to hand in theirs
        group.claimed(_counter(sweep, one), NO_MORE)
        everyone: list[_Made] = group.gather(_Made())
    for other in everyone[1:]:
        if other.fault is not None:
            raise other.fault.error()
        made.answers |= other.answers
    tell(one.last)
    for number in range(one.first, one.last):
        yield sweep.place(number), made.answers.pop(number)


def follow_sweep(group: Group, sweep: Sweep[Any]) -> None:
    """Do batches of the sweep until the leader says that it is over."""
    while isinstance(one := group.broadcast(), Round):
        made = _Made()
        try:
            _work(group, sweep, one, made, _nobody)
        except Exception as error:  # noqa: BLE001 - the leader raises it
            group.claimed(_counter(sweep, one), NO_MORE)
            made = _Made(fault=Fault.of(error, group.rank))
        group.gather(made)


def _work(
    group: Group, sweep: Sweep[Any], one: Round, made: _Made, tell: Callable[[int], None]
) -> None:
    counter = _counter(sweep, one)
    while (number := one.first + group.claimed(counter)) < one.last:
        made.answers[number] = sweep.done(number)
        tell(number + 1)


def _counter(sweep: Sweep[Any], one: Round) -> str:
    return f"{sweep.name}/{one.first}"


def _nobody(batches: int) -> None:
    """Tell nobody."""
