"""How much memory this process may use: what the machine, its queue and the user leave."""

from __future__ import annotations

import os
import re
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIB = 2**30

OF_FILES = 256 * 2**20
"""Resident memory that is none of the process's own: pages of libraries and other files."""

LEAST_GIB = 1.0
"""The libraries and one small batch."""

UNLIMITED = 1 << 60
"""A limit above this is none: control groups write the largest number of pages."""

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


@contextmanager
def restricted(gibibytes: float | None) -> Iterator[None]:
    """Within the block the operating system refuses memory beyond a limit; None sets none.

    It holds for this process, and for each of those started in the block. What is refused is a
    MemoryError, and work that goes batch by batch goes on with smaller ones
    (`cryoparts.memory.halving`). On Linux the limit is on the process's own memory
    (RLIMIT_DATA), less what files that it maps have of it; elsewhere nothing is refused, but
    work that can choose keeps to it (`left_bytes`).

    Raises
    ------
    InputError
        If it is less than 1 GiB, or more than a limit that is already set.
    """
    if gibibytes is None:
        yield
        return
    if not gibibytes >= LEAST_GIB:
        raise InputError(
            f"--memory {gibibytes:g}",
            f"must be at least {LEAST_GIB:g} (GiB)",
            "The libraries alone take half of one.",
        )
    own = int(gibibytes * GIB) - OF_FILES
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    if 0 <= most < own:
        raise InputError(
            f"--memory {gibibytes:g}",
            f"is more than this process may have, {most / GIB:.1f} GiB (ulimit -H -d)",
            "Give less, or leave it out.",
        )
    resource.setrlimit(resource.RLIMIT_DATA, (own, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def left_bytes() -> int:
    """Memory that this process may still take: of the least that anything leaves it.

    Asked are the machine (what is available), the control groups of the process, SLURM and
    the process's own limits (`restricted`, ulimit).
    """
    used = psutil.Process().memory_info()
    left: list[int] = [psutil.virtual_memory().available, *_left_by_groups()]
    left += [limit - used.rss for limit in _of_queue(os.environ)]
    taken = {resource.RLIMIT_AS: used.vms, resource.RLIMIT_DATA: getattr(used, "data", used.rss)}
    for which, already in taken.items():
        soft, _ = resource.getrlimit(which)
        if 0 <= soft < UNLIMITED:
            left.append(soft - already)
    return max(0, min(left))


def _of_queue(environment: Mapping[str, str]) -> Iterator[int]:
    """Memory (bytes) that SLURM gives a job on this machine, where it says so."""
    of_node = _number(environment.get("SLURM_MEM_PER_NODE"))
    of_core = _number(environment.get("SLURM_MEM_PER_CPU"))
    cores = _number(environment.get("SLURM_CPUS_ON_NODE"))
    if of_node:  # 0 is all that the machine has
        yield of_node * 2**20
    elif of_core and cores:
        yield of_core * cores * 2**20


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _left_by_groups(root: Path = CONTROL_GROUPS, own: Path = OWN_GROUPS) -> Iterator[int]:
    """What each control group that the process is in, or that holds it, still leaves it."""
    if not own.is_file():
        return
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            base = root / "memory"
        else:
            continue
        # in a container the path may be the host's, of which only the root is there
        inner = Path(path.lstrip("/"))
        for folder in dict.fromkeys(base / one for one in (inner, *inner.parents)):
            limit, usage = _in_file(folder / names[0]), _in_file(folder / names[1])
            if limit is not None and usage is not None and limit < UNLIMITED:
                yield limit - usage + _reclaimable(folder / "memory.stat", names[2])


def _in_file(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" is no limit


def _reclaimable(path: Path, name: str) -> int:
    """Bytes of files that the system keeps in memory only because nobody else wants it."""
    try:
        found = re.search(rf"^{name} (\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
