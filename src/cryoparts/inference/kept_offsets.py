"""The decoder's output for all particles, kept in a file while several steps ask for it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import weakref
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

LOG = logging.getLogger(__name__)

MOST_BYTES = 10 * 10**9
"""Of more, or more than half of what is free on the disk, every step decodes again."""

STEP = 32
"""What is decoded together begins at a multiple of this, and ends at one or with the last
particle: so it is the same to the last bit, whoever asks first."""

_TOKEN = 16


class KeptOffsets:
    """Rows of numbers in a file without a name, which is gone with the process.

    It holds a token, by which other processes know that they have found the right file; one
    byte a particle, whether it is there; and the numbers. To read a particle's takes a
    hundredth of the time of decoding it. What is sent to a process on the same machine
    opens the same file there; on another machine, or where there is no /proc, nothing is kept.

    Parameters
    ----------
    folder : Path
        Where the file is.
    shape : tuple of int
        Of the array of all particles' numbers.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._token = secrets.token_bytes(_TOKEN)
        with TemporaryFile(dir=folder, buffering=0) as file:
            self._hold(os.dup(file.fileno()))
        try:
            os.ftruncate(self._descriptor, self._place(len(self)))
            os.pwrite(self._descriptor, self._token, 0)
        except OSError:
            self.close()
            raise

    @classmethod
    def where_there_is_room(cls, folder: Path, shape: tuple[int, ...]) -> Self | None:
        """A new one; None where it would be too large, or the folder cannot hold it."""
        size = 4 * int(np.prod(shape))
        try:
            if size > min(MOST_BYTES, shutil.disk_usage(folder).free // 2):
                return None
            return cls(folder, shape)
        except OSError as fault:
            LOG.info("what is decoded is not kept: %s", fault)
            return None

    def __len__(self) -> int:
        """Number of particles."""
        return self._shape[0]

    def __getstate__(self) -> dict[str, Any]:
        """For another process: where this one's file is."""
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        return {"shape": self._shape, "token": self._token, "path": path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process: the same file, or none if it cannot be reached."""
        self._shape, self._token = state["shape"], state["token"]
        self._descriptor = -1
        try:
            self._hold(os.open(state["path"], os.O_RDWR))
            if os.pread(self._descriptor, _TOKEN, 0) != self._token:
                self.close()
        except OSError:
            self.close()

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """The numbers of the particles `rows`; None where they are not all there."""
        if not self._is_a_stretch(rows):
            return None
        first, count = int(rows[0]), len(rows)
        if os.pread(self._descriptor, count, _TOKEN + first) != bytes([1]) * count:
            return None
        found = np.empty((count, *self._shape[1:]), np.float32)
        taken = os.preadv(self._descriptor, [found.data.cast("B")], self._place(first))
        return found if taken == found.nbytes else None

    def write(self, rows: NDArray[np.int64], numbers: NDArray[np.float32]) -> None:
        """Keep the numbers of the particles `rows`, if they are a stretch of the whole."""
        if not self._is_a_stretch(rows):
            return
        first, content = int(rows[0]), np.ascontiguousarray(numbers).data.cast("B")
        try:
            written = os.pwrite(self._descriptor, content, self._place(first))
            if written == len(content):
                os.pwrite(self._descriptor, bytes([1]) * len(rows), _TOKEN + first)
        except OSError as fault:
            LOG.info("what is decoded is no longer kept: %s", fault)
            self.close()

    @property
    def is_complete(self) -> bool:
        """Whether all particles are there."""
        if self._descriptor < 0:
            return False
        return os.pread(self._descriptor, len(self), _TOKEN) == bytes([1]) * len(self)

    def close(self) -> None:
        """Let go of everything."""
        if self._descriptor >= 0:
            self._descriptor = -1
            self._closing()

    def _hold(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closing = weakref.finalize(self, os.close, descriptor)

    def _place(self, row: int) -> int:
        """Where in the file the numbers of a particle begin."""
        numbers_begin = -(-(_TOKEN + len(self)) // 4096) * 4096
        return numbers_begin + 4 * row * int(np.prod(self._shape[1:]))

    def _is_a_stretch(self, rows: NDArray[np.int64]) -> bool:
        if self._descriptor < 0 or not len(rows):
            return False
        first, behind = int(rows[0]), int(rows[-1]) + 1
        ends = behind % STEP == 0 or behind == len(self)
        return first % STEP == 0 and ends and np.array_equal(rows, np.arange(first, behind))
