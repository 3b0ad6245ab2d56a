"""Numbers that are deterministic and cost time: computed once, kept with what they depend on."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.array_file import read_npz
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

LOG = logging.getLogger(__name__)

DEPENDS = "depends_on"


def derived(path: Path, depends: Mapping[str, object], compute: Callable[[], Arrays]) -> Arrays:
    """Arrays of a file if it was made from the same things, else computed and kept there.

    A file that is damaged, or of other things, is replaced. Where the folder cannot
    be written, the arrays are computed every time.

    Parameters
    ----------
    path : Path
        An .npz.
    depends : mapping
        Everything that determines the arrays: checksums of files, options. Plain values.
    compute : callable
        Returns the arrays by name.
    """
    wanted = json.dumps(dict(depends), sort_keys=True, default=str)
    try:
        stored = read_npz(path, "stored numbers", "They are computed again.")
        if str(stored.pop(DEPENDS, "")) == wanted:
            return stored
    except InputError as fault:
        if path.exists():
            LOG.info("computed again: %s", fault)
    arrays = compute()
    try:
        with write_atomically(path) as temporary:
            kept: dict[str, Any] = {**arrays, DEPENDS: np.array(wanted)}
            np.savez(temporary, **kept)
    except OSError as fault:
        LOG.info("%s is not kept: %s", path, fault)
    return arrays


def content_checksum(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits; "absent" where there is none."""
    return checksum(path) if path.is_file() else "absent"


def file_state(path: Path) -> str:
    """Size and time of a file that is too large for a checksum; "absent" where there is none."""
    if not path.is_file():
        return "absent"
    state = path.stat()
    return f"{state.st_size} bytes of {state.st_mtime_ns}"
