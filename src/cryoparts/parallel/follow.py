"""What a process does that follows: wait for tasks, and do its share of them."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from cryoparts.kernels.rehearsal import rehearse
from cryoparts.memory.kept import keep_freed_memory
from cryoparts.parallel.group import Group
from cryoparts.parallel.local import REHEARSE, ready_key, store_path
from cryoparts.parallel.sharing import Sweep, follow_sweep
from cryoparts.parallel.team import Stop, Together, set_own_threads

if TYPE_CHECKING:
    from collections.abc import Sequence


def follow(group: Group) -> None:
    """Do what the leader says until it says that this is all."""
    while not isinstance(message := group.broadcast(), Stop):
        if isinstance(message, Sweep):
            follow_sweep(group, message)
        elif isinstance(message, Together):
            message.follow(group)
    group.gather(None)  # the leader closes the connections once all have heard it


def follow_launched() -> None:
    """Follow the leader of a launched job; the variables that torchrun sets say where it is."""
    _leave_signals_to_the_leader()
    set_own_threads(launched_threads())
    take_own_card(int(os.environ.get("LOCAL_RANK", "0")))
    _until_the_leader_is_gone(join_launched())


def join_launched() -> Group:
    """The group of a job that torchrun, or another launcher with its variables, has started."""
    store, rank, size = next(iter(dist.rendezvous("env://")))
    return Group.join(store, rank, size)


def launched_threads() -> int:
    """Threads of each process that a launcher has started: as it says, or an equal share."""
    asked = os.environ.get("OMP_NUM_THREADS")
    if asked is not None and asked.isdigit():
        return max(1, int(asked))
    return max(1, torch.get_num_threads() // launched_here())


def launched_here() -> int:
    """How many processes the launcher has started on this machine, as far as it says so."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def take_own_card(number: int) -> None:
    """Have this process compute on a card of its own, where there are cards."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())


def _until_the_leader_is_gone(group: Group) -> None:
    with suppress(RuntimeError):  # its connection has closed; it has said why, or been killed
        follow(group)
    os._exit(0)  # nothing is left to do, and closing connections twice can fail


def _leave_signals_to_the_leader() -> None:
    """Ctrl-C goes to every process of a terminal; the leader alone decides what it means."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _end_with_the_leader() -> None:
    """End as soon as the process that started this one is gone."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Follow a leader on this machine.

    Parameters
    ----------
    arguments : sequence of str
        Folder of the store, own rank, number of processes and, where kernels are to be compiled
        before this process is ready, `REHEARSE`.
    """
    folder, rank, size = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    _leave_signals_to_the_leader()
    keep_freed_memory()
    Thread(target=_end_with_the_leader, daemon=True).start()
    set_own_threads(int(os.environ["OMP_NUM_THREADS"]))
    take_own_card(rank)
    if REHEARSE in arguments and not torch.cuda.is_available():
        rehearse()
    store = dist.FileStore(str(store_path(folder)), size)
    store.set(ready_key(rank), "1")
    _until_the_leader_is_gone(Group.join(store, rank, size))


if __name__ == "__main__":
    main(sys.argv[1:])
