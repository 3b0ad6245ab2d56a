"""A command's processor time, wall time and peak memory, its child processes included."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

POLL_SECONDS = 0.25
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """What a command may use before it is stopped."""

    cpu_minutes: float
    memory_gib: float


@dataclass(frozen=True)
class Used:
    """What a command used.

    Attributes
    ----------
    cpu_seconds : float
        User and system time of all its processes.
    wall_seconds : float
        Says little where other work shared the cores.
    peak_mib : float
        Largest sum of its processes' resident memory, as seen every quarter of a second.
    ended : str
        "finished", "failed with status N", or "stopped" and by which limit.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    ended: str


def run_measured(
    command: list[str], log: Path, limits: Limits, threads: int, **environment: str
) -> Used:
    """Run a command to its end or to a limit, its output into a file.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    log : Path
        Where stdout and stderr go.
    limits : Limits
        At which the command is killed, its children with it.
    threads : int
        Of each library's pool.
    **environment
        More variables.
    """
    variables = dict.fromkeys(THREADS, str(threads)) | {"CUDA_VISIBLE_DEVICES": ""} | environment
    started = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | variables
        )
    cpu, peak, stopped = 0.0, 0.0, ""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if not stopped:
            cpu, memory = _use_of(process.pid)
            peak = max(peak, memory)
            stopped = _limit_reached(cpu, memory, limits)
            if stopped:
                _kill(process.pid)
        time.sleep(POLL_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait once more
    exact = usage.ru_utime + usage.ru_stime  # of those that were waited for
    ended = "finished" if process.returncode == 0 else f"failed with status {process.returncode}"
    return Used(max(cpu, exact), time.monotonic() - started, peak, stopped or ended)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _use_of(pid: int) -> tuple[float, float]:
    """Seconds of processor time so far and MiB now."""
    seconds, memory = 0.0, 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
            memory += process.memory_info().rss / 2**20
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        # The children's are of those that have ended and were waited for.
        seconds += times.user + times.system
        seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return seconds, memory


def _limit_reached(cpu: float, memory: float, limits: Limits) -> str:
    if cpu > 60 * limits.cpu_minutes:
        return f"stopped at {limits.cpu_minutes:g} min of processor time"
    if memory > 1024 * limits.memory_gib:
        return f"stopped at {limits.memory_gib:g} GiB"
    return ""


def _kill(pid: int) -> None:
    for process in reversed(_tree(pid)):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
