"""Processor cores that this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """How many cores the machine, its queue or `taskset` leave to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
