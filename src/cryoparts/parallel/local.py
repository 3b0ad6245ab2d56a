"""Processes on this machine that follow one leader, without the user knowing of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributed import Store

ALIVE_FOR = 5.0
"""Seconds that followers get to end once they are told to."""

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""The network interface that no other machine reaches."""


INTERFACE = "GLOO_SOCKET_IFNAME"
"""Variable that says which interface gloo takes."""


REHEARSE = "rehearse"
"""Argument of a follower that is to compile a training's kernels before it is ready."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """Within the block, connections of gloo are made on the loopback interface."""
    before = os.environ.get(INTERFACE)
    os.environ[INTERFACE] = LOOPBACK
    try:
        yield
    finally:
        if before is None:
            del os.environ[INTERFACE]
        else:
            os.environ[INTERFACE] = before


def ready_key(rank: int) -> str:
    """What a follower writes into the store when it has loaded everything."""
    return f"ready/{rank}"


@dataclass(frozen=True)
class LocalFollowers:
    """Followers that this process has started; they end when it ends, however it does.

    Parameters
    ----------
    folder : TemporaryDirectory
        Readable by this user alone, with the store and what the followers say.
    processes : tuple of Popen
        Of ranks 1, 2, ...
    """

    folder: tempfile.TemporaryDirectory[str]
    processes: tuple[subprocess.Popen[bytes], ...]

    @classmethod
    def start(
        cls, count: int, threads: int, most_threads: int, *, rehearse: bool = False
    ) -> LocalFollowers:
        """Start `count` followers; they take seconds to be ready.

        Parameters
        ----------
        count : int
        threads : int
            Of each, in sweeps.
        most_threads : int
            Of each, where few of them work.
        rehearse : bool
            Have the first of them compile a training's kernels, from disk all have them then.
        """
        folder = tempfile.TemporaryDirectory(prefix="cryoparts-")
        processes = []
        environment = os.environ | {
            INTERFACE: LOOPBACK,
            "OMP_NUM_THREADS": str(threads),
            "NUMBA_NUM_THREADS": str(most_threads),
        }
        for rank in range(1, count + 1):
            said = (Path(folder.name) / f"said_by_{rank}").open("wb")
            with said:
                command = [
                    *(sys.executable, "-m", "cryoparts.parallel.follow"),
                    *(folder.name, str(rank), str(count + 1)),
                    *([REHEARSE] if rehearse and rank == 1 else []),
                ]
                processes.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,  # closes with this process: they end then
                        stdout=said,
                        stderr=said,
                        env=environment,
                    )
                )
        return cls(folder, tuple(processes))

    @property
    def store_path(self) -> Path:
        """File of the store."""
        return store_path(Path(self.folder.name))

    def are_ready(self, store: Store) -> bool:
        """Whether all have loaded everything.

        Raises
        ------
        InputError
            If one has ended.
        """
        self.require_alive()
        return all(store.check([ready_key(rank)]) for rank in range(1, len(self.processes) + 1))

    def wait_until_ready(self, store: Store) -> None:
        """Wait until all have loaded everything."""
        while not self.are_ready(store):
            time.sleep(0.02)

    def require_alive(self) -> None:
        """Raise InputError if one has ended."""
        for rank, process in enumerate(self.processes, start=1):
            if (status := process.poll()) is not None:
                raise InputError(
                    "--processes",
                    f"process {rank + 1} of {len(self.processes) + 1} has ended "
                    f"({_in_words(status)}){self._last_words(rank)}",
                    "The machine may be short of memory: give fewer processes, or --processes 1; "
                    "--resume goes on with a training.",
                )

    def end(self) -> None:
        """Wait until all have ended, end those that do not, and remove their folder."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(ALIVE_FOR)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def _last_words(self, rank: int) -> str:
        path = Path(self.folder.name) / f"said_by_{rank}"
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        said = [line for line in text.split("\n") if line.strip()]
        return f": {said[-1][:200]}" if said else ""


def store_path(folder: Path) -> Path:
    """File of the store in a team's folder."""
    return folder / "store"


def _in_words(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
