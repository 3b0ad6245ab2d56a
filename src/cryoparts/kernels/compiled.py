"""Compiled code on disk that is of the kernels as they are.

Numba keeps compiled functions beside their source and compiles again when that one
file has changed. The kernels are made of each other across files, and their arguments
are classes of this package: after an update, code kept on disk could be of an earlier
version, or ask for a class that is gone. Here it has a folder for every state of the
sources and every kind of processor: on a cluster one home folder serves many, and two of
them that compile the same function at once would number their files alike, so that one
could be given the other's instructions.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numba import njit
from numba.core import config

from cryoparts.kernels.processor import target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SOURCES = Path(__file__).parent


def digest_of(*folders: Path) -> str:
    """Twelve digits that change with any source file of the folders."""
    digest = sha256()
    for source in sorted(source for folder in folders for source in folder.glob("*.py")):
        digest.update(f"{source.name} {source.stat().st_size} ".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def digest_of_processor(names: tuple[str, ...]) -> str:
    """Eight digits that change with what is compiled for."""
    return sha256("\n".join(names).encode()).hexdigest()[:8]


def _root() -> Path:
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR)
    if os.access(_SOURCES, os.W_OK):
        return _SOURCES / "__pycache__"
    # installed by somebody else, for many users
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cryoparts"


@cache
def _folder(of_function: Path) -> str:
    # Kernels of other folders are made of those of this one.
    # If it cannot be written, numba takes a folder of its own.
    name = f"kernels-{digest_of(*{_SOURCES, of_function})}-{digest_of_processor(target())}"
    return str(_root() / name)


@contextmanager
def _kept_in(folder: str) -> Iterator[None]:
    """Functions that numba is told to keep within the block have this folder, now and later."""
    usual = config.CACHE_DIR
    config.CACHE_DIR = folder
    try:
        yield
    finally:
        config.CACHE_DIR = usual


def keep_compiled(package: str, *functions: Any) -> None:
    """Keep compiled functions of another package on disk, where it does not do so itself.

    Parameters
    ----------
    package : str
        Its name, as it is installed: each version has a folder of its own.
    *functions : Dispatcher
        What `numba.njit` has made of the package's functions; not compiled yet.
    """
    name = f"{package}-{version(package)}-{digest_of_processor(target())}"
    with _kept_in(str(_root() / name)):
        for function in functions:
            function.enable_caching()


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit`, its result kept on disk for as long as no kernel changes.

    Parameters
    ----------
    **options
        As of `numba.njit`.
    """

    def compile_function(function: Callable[..., Any]) -> Any:
        with _kept_in(_folder(Path(function.__code__.co_filename).parent)):
            return njit(cache=True, **options)(function)

    return compile_function
