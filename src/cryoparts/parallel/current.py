"""The team that the program works with, as far as this is known.

Who does the work is, like torch's number of threads, a matter of the process and not of
the data: no result of a sweep depends on it. So it isn't handed through every function,
but holds within a block, for the thread that entered it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoparts.parallel.team import Team


class _Held:
    """A team that is made when it is first asked for: torch is imported then, and not before."""

    def __init__(self, processes: int | None, made: Team | None = None) -> None:
        self.processes, self._made = processes, made

    @property
    def team(self) -> Team:
        if self._made is None:
            from cryoparts.parallel.team import Team

            self._made = Team(self.processes)
        return self._made

    def close(self) -> None:
        """Tell the others that this is all, if there are any."""
        if self._made is not None:
            self._made.close()


_HELD: ContextVar[_Held | None] = ContextVar("team", default=None)


def team() -> Team:
    """Those who share the work; this process alone outside of `shared_work`."""
    held = _HELD.get()
    return (held or _Held(1)).team


def asked_processes() -> int | None:
    """How many processes the work of this block may be shared among, for one that it starts.

    None: as many as are worth it.
    """
    held = _HELD.get()
    return 1 if held is None else held.processes


@contextmanager
def shared_work(processes: int | None = None) -> Iterator[None]:
    """Within the block, sweeps over particles and trainings are shared among processes.

    Others are started when there is enough to do, and end with the block.

    Parameters
    ----------
    processes : int or None
        How many, with this one; None: as many as torch has threads (or as there are
        cards), where that is worth it.
    """
    with _as_current(_Held(processes)):
        yield


def is_launched() -> bool:
    """Whether torchrun, or a launcher that sets its variables, has started several processes."""
    known = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)
    return known and os.environ["WORLD_SIZE"] != "1"


def follows() -> bool:
    """Whether this process was launched to follow another."""
    return is_launched() and os.environ["RANK"] != "0"


@contextmanager
def launched_work() -> Iterator[None]:
    """As `shared_work`, with the processes that were launched, on all machines."""
    from cryoparts.parallel.follow import (
        join_launched,
        launched_here,
        launched_threads,
        take_own_card,
    )
    from cryoparts.parallel.team import Team

    take_own_card(0)
    threads, neighbours = launched_threads(), launched_here()
    with _as_current(_Held(None, Team(None, join_launched(), threads, neighbours))):
        yield


@contextmanager
def _as_current(held: _Held) -> Iterator[None]:
    token = _HELD.set(held)
    try:
        yield
    finally:
        _HELD.reset(token)
        held.close()
