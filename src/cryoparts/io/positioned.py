"""Rows of a binary file, read and written where they lie; whether it is still the one it was.

A file that is mapped and then shortened kills the process (SIGBUS) without a word, and so does
a mapped file that is written to on a full disk. Reading at a position gives fewer bytes instead
and writing an OSError, which are errors that name the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

CURE = (
    "Put it back as it was, see that nothing writes to it while it is read, and give the same "
    "command again (`run` and `train` with --resume)."
)


@dataclass(frozen=True)
class FileVersion:
    """What tells a file from what it is after a change.

    Parameters
    ----------
    path : Path
    size : int
        Bytes.
    modified_ns : int
        Time of its last change, ns. (Device and inode would tell more, but not every network
        file system keeps them.)
    """

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file as it is now.

        Raises
        ------
        InputError
            If it is not there any more.
        """
        try:
            found = path.stat()
        except OSError as fault:
            raise _gone(path, fault) from fault
        return cls(path, found.st_size, found.st_mtime_ns)

    def require_unchanged(self) -> None:
        """Ask whether the file is still the same.

        Raises
        ------
        InputError
            If it has gone, was written to, or another lies there under its name.
        """
        now = type(self).of(self.path)
        if now.size != self.size:
            raise _changed(self.path, f"it had {self.size} bytes and has {now.size}")
        if now != self:
            raise _changed(self.path, "it was written to, or another lies there under its name")


def _gone(path: Path, fault: OSError) -> InputError:
    return InputError(str(path), f"it went while it was being read: {fault.strerror}", CURE)


def _changed(path: Path, how: str) -> InputError:
    return InputError(str(path), f"the file changed while it was being read: {how}", CURE)


def read_rows_at(
    path: Path,
    rows: NDArray[np.int64],
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
) -> NDArray[Any]:
    """Chosen rows of an array that begins at `offset`, copied in the order asked for.

    Parameters
    ----------
    path : Path
    rows : int array, shape (n,)
        Any order; neighbours are read at once.
    shape : tuple of int
        Of the whole array in the file; it is stored row after row.
    dtype : dtype
    offset : int
        Bytes before the first row.

    Returns
    -------
    array, shape (n, *shape[1:])

    Raises
    ------
    IndexError
        If a row is not in the array.
    InputError
        If the file has gone, or ends before a row does.
    """
    if len(rows) and not (rows.min() >= 0 and rows.max() < shape[0]):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {shape[0]}")
    out = np.empty((len(rows), *shape[1:]), dtype=dtype)
    if not out.size:
        return out
    each = out[0].nbytes
    content = memoryview(out.reshape(-1).view(np.uint8).data)
    try:
        with path.open("rb", buffering=0) as stream:
            for start, stop in _neighbours(rows):
                stream.seek(offset + int(rows[start]) * each)
                _fill(content[start * each : stop * each], stream)
    except FileNotFoundError as fault:
        raise _gone(path, fault) from fault
    except EOFError as fault:
        raise _changed(path, str(fault)) from fault
    return out


def write_rows_at(
    path: Path, rows: NDArray[np.int64], values: NDArray[Any], *, offset: int = 0
) -> None:
    """Write rows of an array that begins at `offset` where they belong; others stay.

    Parameters
    ----------
    path : Path
        Must be there.
    rows : int array, shape (n,)
    values : array, shape (n, ...)
        Of the array's own type.
    offset : int
        Bytes before the first row.

    Raises
    ------
    OSError
        If the disk is full.
    """
    if not len(rows):
        return
    stored = np.ascontiguousarray(values)
    each = stored[0].nbytes
    with path.open("r+b") as stream:
        for start, stop in _neighbours(rows):
            stream.seek(offset + int(rows[start]) * each)
            stream.write(stored[start:stop].data)


def _neighbours(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First places, and places behind the last, of rows that lie one after the other."""
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    stops = np.append(starts[1:], len(rows))
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _fill(part: memoryview, stream: FileIO) -> None:
    """Read as many bytes as the buffer holds: a system call may give fewer at a time."""
    done = 0
    while done < len(part):
        count = stream.readinto(part[done:])
        if not count:
            raise EOFError("it has fewer bytes than before")
        done += count
