"""The machine that a benchmark runs on: its name, its limits, the memory a process needs."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = ("cryoparts", "torch", "numpy", "numba", "scipy")
STATUS = Path("/proc/self/status")
PRODUCT_SIDE = 2048
COPIED_BYTES = 256 * 2**20


def description() -> dict[str, Any]:
    """Processor, cores, system and versions."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def card() -> str | None:
    """Name of the graphics card; None where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def limits(clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Best speeds with the threads that torch has: matrix products and a copy.

    Parameters
    ----------
    clock : function
        Seconds; `time.process_time` for one thread on a machine that has other work.

    Returns
    -------
    dict
        float32 and bfloat16 operations/s of a product of two square matrices,
        bytes/s (read and written) of a copy far larger than the caches.
    """
    import torch

    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        side = PRODUCT_SIDE if dtype == torch.float32 else PRODUCT_SIDE // 2
        a, b = torch.randn(2, side, side).to(dtype)
        name = f"{str(dtype).removeprefix('torch.')}_operations_per_second"
        found[name] = 2.0 * side**3 / best_seconds(lambda a=a, b=b: a @ b, clock)
    source = torch.ones(COPIED_BYTES // 4)
    target = torch.empty_like(source)
    found["bytes_per_second"] = (
        2.0 * COPIED_BYTES / best_seconds(lambda: target.copy_(source), clock)
    )
    return found


def best_seconds(call: Any, clock: Callable[[], float], repeats: int = 6) -> float:
    """Shortest of a few runs after one that does not count: a limit is the best seen."""
    call()
    times = []
    for _ in range(repeats):
        started = clock()
        call()
        times.append(clock() - started)
    return min(times)


def memory_mib(field: str) -> float | None:
    """A field of the process's status (VmHWM, VmRSS, RssAnon), MiB; None off Linux."""
    if not STATUS.exists():
        return None
    found = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text())
    return int(found[1]) / 1024 if found else None


def reset_peak() -> bool:
    """Give free memory back and let VmHWM start anew; False where the system cannot."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
