"""How much memory this process has needed."""

from __future__ import annotations

import resource
import sys


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, MiB (memory-mapped pages included)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
