"""One process at a time writes into a folder.

The lock is the operating system's (flock): it ends with the process that holds it, however
that ends, so that a killed run leaves nothing to clear away by hand.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    The folder may be renamed meanwhile. A process that holds the lock already
    may take it again.

    Raises
    ------
    InputError
        If another process holds it: the message names that process. Also where the
        folder cannot be written.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as fault:
        raise InputError(
            str(folder),
            f"the folder cannot be written: {fault.strerror}",
            "Mend its permissions, make room on the disk, or copy the run elsewhere.",
        ) from fault
    held = (os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino)
    if held in _HELD:
        os.close(descriptor)
        yield
        return
    try:
        _take(descriptor, folder)
        _HELD.add(held)
        try:
            yield
        finally:
            _HELD.discard(held)
    finally:
        os.close(descriptor)


_HELD: set[tuple[int, int]] = set()
"""Locks of this process, by device and inode: flock would block a second opening by itself."""


def is_locked(folder: Path) -> bool:
    """Whether another process holds the lock of a folder."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        holder = os.pread(descriptor, 4096, 0).decode("utf-8", errors="replace").strip()
        raise InputError(
            str(folder),
            f"another process works in it: {holder or 'unknown'}",
            "Wait until it has ended, stop it, or choose another folder.",
        ) from fault
    except OSError:
        return  # a file system without locks; one process at a time is then up to the user
    who = f"process {os.getpid()} on {socket.gethostname()}: {shlex.join(sys.argv)}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, who.encode("utf-8", errors="replace")[:4096], 0)
