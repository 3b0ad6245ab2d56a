"""Whether a file that the user named can be read at all, and where moved stacks are."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from contextlib import contextmanager
from tokenize import TokenError
from typing import TYPE_CHECKING

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def require_file(path: Path, cure: str) -> None:
    """Raise InputError unless `path` is a file with something in it."""
    if not path.is_file():
        raise InputError(str(path), "there is no such file", cure)
    if path.stat().st_size == 0:
        raise InputError(str(path), "the file is empty", "Copy or write it again.")


def checksum(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, ImportError,
    RuntimeError, MemoryError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error,
    TokenError, SyntaxError,
)  # fmt: skip
"""What libraries raise over a damaged file; a text that is no UTF-8 is a ValueError, and a size
that the header claims and no memory holds a MemoryError."""


@contextmanager
def reading(path: Path, what: str, cure: str) -> Iterator[None]:
    """Read a file in the block; whatever is wrong with it becomes one InputError.

    Parameters
    ----------
    path : Path
        Must be a file with something in it: a folder or a named pipe is refused, not waited for.
    what : str
        What it is not, if it cannot be read: "a Gaussian model", "a map".
    cure : str
        What to do.

    Raises
    ------
    InputError
        Also those that are raised in the block, as they are.
    """
    require_file(path, cure)
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as fault:
        why = str(fault) or type(fault).__name__
        raise InputError(str(path), f"not {what}: {why}", cure) from fault


def locate_stacks(
    recorded: Sequence[str], source: Path, datadir: Path | None, *, required: bool = True
) -> tuple[Path, ...]:
    """Find the stacks that a particle file names.

    A name is tried as it stands when absolute; below `datadir` with its folders
    and without; below the particle file's own folder and each of its parents
    (a RELION or cryoSPARC project directory is one of them); and beside the
    particle file without its folders.

    Parameters
    ----------
    recorded : sequence of str
        Stack names as written in the particle file.
    source : Path
        The particle file.
    datadir : Path, optional
        Where the user says the stacks are.
    required : bool
        When False, a stack that is not found keeps its name below the particle
        file's folder.

    Raises
    ------
    InputError
        If a stack is not found: the message says where it was looked for.
    """
    if datadir is not None and not datadir.is_dir():
        raise InputError("--datadir", f"{datadir} is no folder", "Give the folder of the stacks.")
    folder = source.resolve().parent
    roots = ([datadir] if datadir else []) + [folder, *folder.parents]
    found = tuple(_locate(name, roots, source, required=required) for name in recorded)
    _require_a_file_each(recorded, found, roots, source)
    return found


def found_otherwise(recorded: Sequence[str], found: Sequence[Path]) -> list[str]:
    """What to say of stacks that are recorded with another suffix than they have."""
    pairs = [
        (name, path)
        for name, path in zip(recorded, found, strict=True)
        if _without_format(name).rsplit(".", 1)[-1] != path.name.rsplit(".", 1)[-1]
    ]
    if not pairs:
        return []
    name, path = pairs[0]
    return [
        f"{len(pairs)} stacks lie there with another suffix than recorded and are read: "
        f"{path} for {name}"
    ]


def _without_format(name: str) -> str:
    """RELION's ``stack.mrc:mrcs`` names stack.mrc, and says that it is a stack."""
    bare, colon, form = name.rpartition(":")
    return bare if colon and form.lower() in ("mrc", "mrcs") else name


def _require_a_file_each(
    recorded: Sequence[str], found: Sequence[Path], roots: list[Path], source: Path
) -> None:
    """Refuse two recorded stacks for which one file was found by its base name."""
    first: dict[Path, str] = {}
    for name, path in zip(recorded, found, strict=True):
        real = path.resolve()
        other = first.setdefault(real, name)
        if other == name or not path.is_file():
            continue
        if any(not _recorded_place(n, real, roots) for n in (name, other)):
            raise InputError(
                str(source),
                f"{other} and {name} are two stacks, and for both only {path} was found, by its "
                "name without folders",
                "Give with --datadir the folder below which both lie in their recorded folders.",
            )


def _recorded_place(name: str, real: Path, roots: list[Path]) -> bool:
    """Whether the file lies where the name with its folders says."""
    bare = _without_format(name)
    return any((root / n).resolve() == real for root in roots for n in _spellings(bare))


def _spellings(name: str) -> list[str]:
    """A name, and with the other of the suffixes .mrcs and .mrc."""
    stem, dot, suffix = name.rpartition(".")
    other = {"mrc": "mrcs", "mrcs": "mrc"}.get(suffix)
    return [name, stem + dot + other] if other else [name]


def _locate(name: str, roots: list[Path], source: Path, *, required: bool) -> Path:
    candidates = _candidates(name, roots)
    for spelling in dict.fromkeys((name, *_spellings(_without_format(name)))):
        for candidate in _candidates(spelling, roots):
            if candidate.is_file():
                return candidate
    if not required:
        return roots[0] / name
    for candidate in candidates:
        packed = candidate.with_name(candidate.name + ".gz")
        if packed.is_file():
            raise InputError(
                str(source),
                f"the stack {name} is compressed: only {packed} is there, and images are read "
                "one by one, which a compressed stack does not allow",
                f"Decompress it: gunzip -k {packed}",
            )
    looked = ", ".join(str(c) for c in candidates[:4])
    raise InputError(
        str(source),
        f"the stack {name} was not found; looked for {looked}"
        + (" and in the folders above" if len(roots) > 2 else ""),
        "Give the folder that the stacks are in now with --datadir.",
    )


def _candidates(name: str, roots: list[Path]) -> list[Path]:
    places = [root / name for root in roots]  # an absolute name replaces the root
    places[1:1] = [roots[0] / name.rsplit("/", 1)[-1]]
    return list(dict.fromkeys(places))
