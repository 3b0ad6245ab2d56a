"""The leader's view of a team: how many there are, and how work is shared out."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

import numba
import torch
import torch.distributed as dist

from cryoparts.errors import InputError
from cryoparts.memory.limit import GIB, left_bytes
from cryoparts.parallel.cores import cores
from cryoparts.parallel.group import SOLE, Fault, Group
from cryoparts.parallel.local import LocalFollowers, on_loopback
from cryoparts.parallel.sharing import Round, Summed, Sweep, batches_a_round, lead_round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.parallel.sharing import Task

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

MEMORY_OF_A_FOLLOWER = 5 * GIB // 4
"""Bytes: libraries, and a batch of a training (0.9 GiB with 4,800 Gaussians and 64 px)."""

WORTH_STARTING = 8.0
"""Seconds that a sweep must still take for followers to be started, who take about five."""

WORTH_SENDING = 4
"""Batches: fewer are done before the others have read what they are to do."""

WORTH_IN_STEP = 15_000
"""Particles that a task in step must go through for the same, where its time is not known."""


@dataclass(frozen=True)
class Together(Generic[Result]):
    """A task that the first `members` processes do in step, with so many threads each."""

    task: Callable[[Group, Callable[..., None]], Result]
    members: int
    threads: int

    def follow(self, group: Group) -> None:
        """Do it, and hand in whether it went well."""
        fault = None
        with group.first(self.members) as own:
            if group.rank < self.members:
                try:
                    with threads_of(self.threads):
                        self.task(own, _nobody)
                except Exception as error:  # noqa: BLE001 - the leader raises it
                    fault = Fault.of(error, group.rank)
        group.gather(fault)


@dataclass(frozen=True)
class Stop:
    """There is no more to do."""


def _nobody(*how_far: object) -> None:
    """Tell nobody."""


class Team:
    """Those who share the work; this process alone, to begin with.

    No result of a sweep depends on how many there are: every batch is computed by one
    process with as many threads as any other has.

    Parameters
    ----------
    processes : int or None
        How many there are to be; None: as many as this process may use cores, or cards,
        and as there is memory for, where the work is worth it.
    group : Group, optional
        Processes that a launcher has started; then there are as many.
    threads : int, optional
        Of each process; default: an equal share of torch's.
    neighbours : int
        Launched processes on one machine: those that take part in a step have the threads
        of those that do not.
    """

    def __init__(
        self,
        processes: int | None,
        group: Group = SOLE,
        threads: int | None = None,
        neighbours: int = 1,
    ) -> None:
        self._asked = processes
        self._group = group
        self._share = threads
        self._neighbours = neighbours
        self._followers: LocalFollowers | None = None
        self._store: dist.Store | None = None
        self._numbers = count()
        self._busy = False  # what is asked for in the middle of shared work is done here alone

    @property
    def is_joined(self) -> bool:
        """Whether others are there already."""
        return self._group.size > 1

    def size(self) -> int:
        """How many processes there are, or are to be once it is worth it."""
        if self.is_joined:
            return self._group.size
        if self._asked is not None:
            return self._asked
        if torch.cuda.is_available():
            return int(torch.cuda.device_count())
        return min(torch.get_num_threads(), self._affordable)

    @cached_property
    def _affordable(self) -> int:
        """Processes that there is memory for; those that are started later take of what is left."""
        return 1 + left_bytes() // MEMORY_OF_A_FOLLOWER

    def foresee(self, particles: int) -> None:
        """Start others, and wait for none, where so many particles are to be gone through in step.

        They load what they need, and compile a training's kernels or load them as well, while
        this process reads and checks its files; later it would have to wait for them. Where
        processes were asked for, every sweep waits for them, and they compile nothing ahead.
        """
        if self._is_worth_it(particles) and not self._busy and self.size() > 1:
            self._start(wait=False, rehearse=self._asked is None)

    def sweep(
        self,
        task: Task[Result],
        rows: NDArray[np.int64],
        batch: int,
        progress: Callable[[int, int], None] | None = None,
        *,
        worth_sending: int = WORTH_SENDING,
    ) -> Iterator[tuple[slice, Result]]:
        """A task done with all particles, batch by batch, by whoever is free.

        Parameters
        ----------
        task : Task
            Sent to the others; its answer for a batch depends on the batch alone.
        rows : int array, shape (n,)
        batch : int
            Particles at a time.
        progress : callable, optional
            Told the particles done, and their total.
        worth_sending : int
            Batches, below which this process does all of them: fewer where each takes
            seconds.

        Yields
        ------
        slice
            Where the batch lies within the rows; in their order.
        object
            The task's answer for it.

        Raises
        ------
        InputError
            As the task does, in whatever process.
        """
        sweep = Sweep(task, rows, batch, f"sweep {next(self._numbers)}")
        total, first, seconds = len(rows), 0, 0.0
        at_once = batches_a_round(())

        def tell(batches: int) -> None:
            if progress is not None:
                progress(min(batches * batch, total), total)

        while first < len(sweep):
            # not of the first batch, for which kernels are loaded
            left = seconds / max(first - 1, 1) * (len(sweep) - first)
            if len(sweep) >= worth_sending and self._meets(left):
                break
            began = time.perf_counter()
            with threads_of(self._threads_each(self.size())):
                answer = sweep.done(first)
            seconds += time.perf_counter() - began if first else 0.0
            at_once = batches_a_round((answer,))
            yield sweep.place(first), answer
            first += 1
            tell(first)
        else:
            return
        yield from self._shared(sweep, first, at_once, tell)

    def total(self, task: Task[Result], rows: NDArray[np.int64], batch: int) -> Result:
        """The sum over all particles of a task whose answer is a sum over its batch.

        Parameters
        ----------
        task : Task
            Answers with a number, a tensor or a tuple of such.
        rows : int array, shape (n,)
            At least one.
        batch : int
            Particles at a time.
        """
        summed = Summed(task)
        found: Result = summed.joined([of for _, of in self.sweep(summed, rows, batch)])
        return found

    def _shared(
        self, sweep: Sweep[Result], first: int, at_once: int, tell: Callable[[int], None]
    ) -> Iterator[tuple[slice, Result]]:
        """What is left of a sweep from its batch `first`, done by all, `at_once` by each."""
        self._group.broadcast(sweep)
        self._busy = True
        try:
            while first < len(sweep):
                last = min(first + at_once * self._group.size, len(sweep))
                made = self._round(sweep, Round(first, last), tell)
                at_once, first = batches_a_round([answer for _, answer in made]), last
                while made:
                    yield made.pop(0)  # held no longer than it is waited for
        finally:
            self._busy = False
            if self.is_joined:
                self._group.broadcast(None)

    def _round(
        self, sweep: Sweep[Result], one: Round, tell: Callable[[int], None]
    ) -> list[tuple[slice, Result]]:
        with self._kept_whole(), threads_of(self._threads_each(self.size())):
            return list(lead_round(self._group, sweep, one, tell))

    def together(
        self,
        task: Callable[[Group, Callable[..., None]], Result],
        tell: Callable[..., None],
        *,
        particles: int,
        seconds: float = 0.0,
        most: int | None = None,
    ) -> Result:
        """A task that all do in step; what the leader's came to.

        Parameters
        ----------
        task : callable
            Takes the group, in which it can add up tensors, and `tell`. It is sent to the
            others: what it changes in its own objects is kept here only.
        tell : callable
            What the leader's task tells how far it is; the others' tell nobody.
        particles : int
            How many are gone through, all in all: where there are few, nobody is started.
        seconds : float
            What is left takes so long, as far as it is known.
        most : int, optional
            Processes that there is work for in a step.

        Raises
        ------
        InputError
            If one of the others cannot go on.
        """
        wanted = min(self.size(), most or self.size())
        worth = self._is_worth_it(particles) or seconds >= WORTH_STARTING
        if self._busy or wanted <= 1 or not (self.is_joined or worth):
            return task(SOLE, tell)
        self._start(wait=True)
        self._busy = True
        try:
            threads = self._threads_each(wanted)
            with self._kept_whole(), threads_of(threads):
                self._group.broadcast(Together(task, wanted, threads))
                with self._group.first(wanted) as own:
                    result = task(own, tell)
                for fault in self._group.gather(None)[1:]:
                    if fault is not None:
                        raise fault.error()
        finally:
            self._busy = False
        return result

    def _is_worth_it(self, particles: int) -> bool:
        """Whether others are to be started for so many particles, gone through in step."""
        return self._asked is not None or particles >= WORTH_IN_STEP

    def close(self) -> None:
        """Tell the others that this is all."""
        if self.is_joined:
            self._group.broadcast(Stop())
            self._group.gather(None)
        self._dismiss()

    def _dismiss(self) -> None:
        """Go on alone."""
        if self._followers is not None:
            self._followers.end()
        if self.is_joined:
            self._group.leave()
        self._group, self._followers, self._asked = SOLE, None, 1

    def _meets(self, seconds_left: float) -> bool:
        """Whether others are there; starts them where what is left of a sweep is worth it."""
        if self._busy:
            return False
        if self.is_joined:
            return True
        worth = self._asked is not None or seconds_left >= WORTH_STARTING
        if self._followers is None and (self.size() <= 1 or not worth):
            return False
        self._start(wait=self._asked is not None)
        return self.is_joined

    def _start(self, *, wait: bool, rehearse: bool = False) -> None:
        """Start followers where there are none, and join those that are ready."""
        if self.is_joined:
            return
        if self._followers is None:
            size = self.size()
            self._followers = LocalFollowers.start(
                size - 1, self._threads_each(size), torch.get_num_threads(), rehearse=rehearse
            )
            self._store = dist.FileStore(str(self._followers.store_path), size)
        assert self._store is not None
        if wait:
            self._followers.wait_until_ready(self._store)
        if not self._followers.are_ready(self._store):
            return
        with on_loopback():
            self._group = Group.join(self._store, 0, len(self._followers.processes) + 1)
        LOG.info("%d processes share the work", self._group.size)

    def _threads_each(self, processes: int) -> int:
        """An equal share of the threads, so that a batch is computed alike everywhere."""
        if self._share is None:
            return max(1, torch.get_num_threads() // processes)
        return inherited_threads(self._share, processes, self._neighbours, cores())

    @contextmanager
    def _kept_whole(self) -> Iterator[None]:
        """Go on alone after a failure in the middle of what all do, and say whose it was."""
        try:
            yield
        except BaseException as error:
            lost = self._lost() if isinstance(error, RuntimeError) else None
            self._dismiss()
            if lost is not None:
                raise lost from error
            raise

    def _lost(self) -> InputError | None:
        """Which follower is gone, if one is."""
        if self._followers is None:
            return None
        time.sleep(0.2)  # a process that was killed is not gone at once
        try:
            self._followers.require_alive()
        except InputError as error:
            return error
        return None


def inherited_threads(share: int, members: int, neighbours: int, available: int) -> int:
    """Threads of each of the processes that take part, with those of the ones that wait.

    Parameters
    ----------
    share : int
        Threads of a process where all take part.
    members : int
        How many take part: the first, so that those of one machine come before the next one's.
    neighbours : int
        Processes on a machine.
    available : int
        Cores that one process may use: a queue may have bound it to its own.
    """
    return max(share, min(share * (neighbours // min(members, neighbours)), available))


def set_own_threads(threads: int) -> None:
    """Threads of torch and of compiled kernels in this process."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, int(numba.config.NUMBA_NUM_THREADS)))


@contextmanager
def threads_of(threads: int) -> Iterator[None]:
    """Within the block, torch and compiled kernels have so many threads."""
    before = torch.get_num_threads()
    set_own_threads(threads)
    try:
        yield
    finally:
        set_own_threads(before)
