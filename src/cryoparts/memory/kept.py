"""Freed memory that stays with the process, for its next array."""

from __future__ import annotations

import ctypes
import sys

LARGEST_BYTES = 32 * 2**20
"""Of an array whose memory is kept: glibc allows no more."""

MOST_BYTES = 256 * 2**20
"""Of what is kept at the end of the heap."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


def keep_freed_memory() -> None:
    """Have arrays of some MB take memory that others have freed, not new pages of the system.

    The C library gives the memory of an array of more than a few MB back as soon as it is
    freed, and the system fills every page with zeros before it lends it again: at 4,000 pages a
    step of the training that was a twentieth of its time. Does nothing where the C library is not
    glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(_TRIM_THRESHOLD, MOST_BYTES)
