"""Outputs that are whole or absent: write beside, then rename."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` if the block succeeds.

    The temporary keeps the suffix, because writers choose the format by it; on
    any error it is removed and an older `path` stays as it was.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def make_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder` that takes its place if the block succeeds.

    On any error the hidden folder is removed. `folder` must be absent or empty
    at the end of the block.

    Raises
    ------
    InputError
        If the place cannot be written to.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as fault:
        raise InputError(
            str(folder), f"the folder cannot be made: {fault}", "Choose another place."
        ) from fault
    try:
        yield partial
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
