"""Messages among the processes of a team, by torch's own engine."""

from __future__ import annotations

import io
import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

LEADER = 0

PROTOCOL = 5
"""Of pickle: those before it write numpy's arrays as text, ten times slower."""

PATIENCE = timedelta(days=30)
"""How long one waits for another: the leader may cluster for hours. That a process is gone is
seen at once, by its closed connection."""


@dataclass(frozen=True)
class Fault:
    """What went wrong in another process, as it can be sent."""

    where: str
    problem: str
    cure: str
    number: int | None = None
    """Of an error of the system: then `problem` is its text and `where` its file."""

    @classmethod
    def of(cls, error: BaseException, rank: int) -> Fault:
        """Of an exception; what is no `InputError` keeps its kind as text."""
        if isinstance(error, InputError):
            return cls(error.where, error.problem, error.cure)
        if isinstance(error, OSError) and error.errno is not None:
            return cls(str(error.filename), str(error.strerror), "", error.errno)
        return cls(
            f"process {rank}",
            f"{type(error).__name__}: {error}",
            "With --processes 1 the same command shows where it comes from.",
        )

    def error(self) -> Exception:
        """The error to raise."""
        if self.number is not None:
            return OSError(self.number, self.problem, self.where)
        return InputError(self.where, self.problem, self.cure)


@dataclass(frozen=True)
class Group:
    """The processes of a team, as one of them sees it.

    Parameters
    ----------
    rank : int
        This process; the leader is 0.
    size : int
        How many there are.
    store : Store or None
        Counters that all can reach; None of a process that is alone.
    members : ProcessGroup or None
        Those that add up; None of all.
    """

    rank: int
    size: int
    store: dist.Store | None = None
    members: dist.ProcessGroup | None = None

    @classmethod
    def join(cls, store: dist.Store, rank: int, size: int) -> Group:
        """Meet the others; returns when all are there."""
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
        return cls(rank, size, store)

    def leave(self) -> None:
        """Close the connections."""
        dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == LEADER

    def share(self, count: int) -> slice:
        """The run of `count` things that falls to this process, as even as can be."""
        first, last = (count * rank // self.size for rank in (self.rank, self.rank + 1))
        return slice(first, last)

    def add_up(self, tensor: Tensor) -> None:
        """Replace the tensor by the sum of those of all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor, group=self.members)

    @contextmanager
    def first(self, count: int) -> Iterator[Group]:
        """The first `count` of the processes as a group; all must enter the block together."""
        if count >= self.size:
            yield self
            return
        members = dist.new_group(list(range(count)), timeout=PATIENCE)
        try:
            yield Group(self.rank, count, self.store, members)
        finally:
            dist.destroy_process_group(members)

    def claimed(self, counter: str, by: int = 1) -> int:
        """Add to a counter that all share; what it was before."""
        assert self.store is not None
        return int(self.store.add(counter, by)) - by

    def broadcast(self, message: object = None) -> Any:
        """The leader's message, to all."""
        data = _packed(message) if self.leads else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor([len(data)])
        dist.broadcast(size, LEADER)
        if not self.leads:
            data = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(data, LEADER)
        return message if self.leads else _unpacked(data)

    def gather(self, message: object) -> list[Any]:
        """What each process has to say, at the leader; nothing elsewhere."""
        if not self.leads:
            data = _packed(message)
            dist.send(torch.tensor([len(data)]), LEADER)
            dist.send(data, LEADER)
            return []
        heard = [message]
        for rank in range(1, self.size):
            size = torch.empty(1, dtype=torch.int64)
            dist.recv(size, rank)
            data = torch.empty(int(size), dtype=torch.uint8)
            dist.recv(data, rank)
            heard.append(_unpacked(data))
        return heard


SOLE = Group(0, 1)
"""A process that is alone."""


def _packed(message: object) -> Tensor:
    if not torch.cuda.is_available():  # four times as fast
        return torch.frombuffer(bytearray(pickle.dumps(message, PROTOCOL)), dtype=torch.uint8)
    stream = io.BytesIO()
    torch.save(message, stream, pickle_protocol=PROTOCOL)
    return torch.frombuffer(stream.getbuffer(), dtype=torch.uint8)


def _unpacked(data: Tensor) -> Any:
    # sent by this program to itself, over connections that it made: nothing of a user's is in it
    if not torch.cuda.is_available():
        return pickle.loads(data.numpy().data)
    return torch.load(io.BytesIO(data.numpy().data), map_location=_here, weights_only=False)


def _here(storage: Any, location: str) -> Any:
    """Tensors of another process's card come to this one's."""
    return storage.cuda() if location.startswith("cuda") else storage
