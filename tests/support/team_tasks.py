"""Tasks of which every process of a team can do a share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.parallel.current import team


@dataclass(frozen=True)
class Squares:
    """Squares of the rows, and the process that they come from."""

    pause: float = 0.002

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        time.sleep(self.pause)
        return rows**2, os.getpid()


@dataclass(frozen=True)
class Threads:
    """Threads that a batch is computed with."""

    def __call__(self, rows: np.ndarray) -> int:
        time.sleep(0.002)
        return torch.get_num_threads()


@dataclass(frozen=True)
class Fails:
    """An error of the kind in every process but the leader, who waits for it."""

    leader: int
    kind: str

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if os.getpid() == self.leader:
            time.sleep(0.01)
            return rows
        if self.kind == "input":
            raise InputError("stack.mrcs", "it went away", "Put it back.")
        if self.kind == "disk":
            raise OSError(28, "No space left on device", "images.npy")
        raise ValueError("an unknown sum")


@dataclass(frozen=True)
class Ends:
    """Every process but the leader ends in the middle of a batch."""

    leader: int

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if os.getpid() != self.leader:
            os._exit(9)
        time.sleep(0.01)
        return rows


@dataclass(frozen=True)
class SweepsWithin:
    """A task that begins a sweep of its own."""

    def __call__(self, rows: np.ndarray) -> list[int]:
        made = team().sweep(Squares(0.0), rows, 1)
        return [int(square[0]) for _, (square, _) in made]


@dataclass(frozen=True)
class SumsOf:
    """Sums over a batch, for which there is memory for `most` particles."""

    most: int

    def __call__(self, rows: np.ndarray) -> tuple[float, torch.Tensor]:
        if len(rows) > self.most:
            raise MemoryError
        return float(rows.sum()), torch.as_tensor(np.stack([rows, rows**2])).sum(dim=1)


@dataclass(frozen=True)
class AddsUp:
    """The sum over all processes of the numbers that fall to each, and how many there are."""

    count: int

    def __call__(self, group, tell) -> tuple[float, int]:
        own = torch.arange(self.count, dtype=torch.float64)[group.share(self.count)].sum()
        group.add_up(own)
        tell(self.count)
        return float(own), group.size
