"""Outputs that are whole or absent: write beside, then rename.

What a killed process was writing stays beside its target under a hidden name, and is
removed by the next that writes the same target.
"""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import contextmanager
from glob import escape
from typing import TYPE_CHECKING

import psutil

from cryoparts.errors import InputError
from cryoparts.io.lock import LOCK, is_locked, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TOGETHER = ".new.partial"
"""Hidden folder of files that shall come together."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` if the block succeeds.

    The temporary keeps the suffix, because writers choose the format by it; on
    any error it is removed and an older `path` stays as it was.
    """
    process = f"{socket.gethostname()}-{os.getpid()}"
    temporary = path.with_name(f".{path.stem}.{process}.partial{path.suffix}")
    _remove_of_the_dead(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def make_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder` that takes its place if the block succeeds.

    On any error the hidden folder is removed. `folder` must be absent or empty
    at the end of the block. The hidden folder is locked meanwhile: a second
    process that makes the same folder is told so.

    Raises
    ------
    InputError
        If the place cannot be written to, or another process is making the folder.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    if is_locked(partial):
        with locked(partial):  # says who holds it
            pass
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as fault:
        raise InputError(
            str(folder), f"the folder cannot be made: {fault}", "Choose another place."
        ) from fault
    try:
        with locked(partial):
            yield partial
            if folder.is_dir():
                folder.rmdir()
            (partial / LOCK).unlink(missing_ok=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def write_together(
    folder: Path, *, last: str | None = None, replaces: Iterable[str] = ()
) -> Iterator[Path]:
    """Yield a hidden folder; the files written there take their places if the block succeeds.

    Until then `folder` stays as it was. Then the old files go, and only then do the new ones come,
    `last` behind all others: a process that is killed leaves old files or new ones, never
    some of each, and `last` is there only beside all that belongs to it.

    Parameters
    ----------
    folder : Path
        Made if absent; one process at a time (`locked`).
    last : str, optional
        A file that the block must write; readers require it.
    replaces : iterable of str
        Glob patterns of further files of `folder` that go: what earlier results had and the new
        ones may not have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / TOGETHER
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        staging.mkdir()
        yield staging
        names = [path.relative_to(staging) for path in staging.rglob("*") if path.is_file()]
        new = sorted(names, key=lambda name: (str(name) == last, name))
        if last is not None and (not new or str(new[-1]) != last):
            raise ValueError(f"{last} was not written")
        old = {path for pattern in replaces for path in folder.glob(pattern) if path.is_file()}
        first = [] if last is None else [folder / last]
        for path in (*first, *old, *(folder / name for name in new)):
            path.unlink(missing_ok=True)
        for name in new:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).rename(folder / name)
        for emptied in {path.parent for path in old} - {folder}:
            if not any(emptied.iterdir()):
                emptied.rmdir()
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _remove_of_the_dead(path: Path) -> None:
    """Temporaries of `path` whose process has ended (on this machine) without removing them."""
    host = socket.gethostname()
    for left in path.parent.glob(f".{escape(path.stem)}.*.partial{escape(path.suffix)}"):
        process = left.name.removeprefix(f".{path.stem}.").removesuffix(f".partial{path.suffix}")
        machine, _, number = process.rpartition("-")
        if machine == host and number.isdigit() and not psutil.pid_exists(int(number)):
            left.unlink(missing_ok=True)
