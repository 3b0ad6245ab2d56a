"""The same work with all of a processor's instructions and without the widest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numba.core.codegen import get_host_cpu_features

WORKER = Path(__file__).with_name("training_step_turns.py")

WIDEST = re.compile(r"\+(avx512\w*|avx10\.\d|amx-\w+|evex512)")
"""Features that processors with AVX2 alone lack: 512-bit vectors, bfloat16, matrix tiles."""


def without_avx512(cache: Path) -> dict[str, str]:
    """Variables that make numba, torch, oneDNN and MKL leave AVX-512 and bfloat16 out.

    Parameters
    ----------
    cache : Path
        For what numba compiles, which is not to mix with the other's.
    """
    return {
        "NUMBA_CPU_FEATURES": WIDEST.sub(r"-\1", get_host_cpu_features()),
        "NUMBA_CACHE_DIR": str(cache / "avx2"),
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }


class Worker:
    """A process that does one turn of everything at a time."""

    def __init__(self, root: Path, variables: dict[str, str]) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(root)],
            env=os.environ | threads | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def answer(self) -> dict[str, Any]:
        """The next line of its output."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def turn(self) -> dict[str, float]:
        """Processor milliseconds a particle of each piece."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()


def compare(root: str, cache: str, turns: int) -> dict[str, Any]:
    """Both ways in turn on one run folder, and what either was compiled for."""
    settings = {"all": {"NUMBA_CACHE_DIR": str(Path(cache) / "all")}}
    settings["without AVX-512"] = without_avx512(Path(cache))
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(Path(root), variables))
            for name, variables in settings.items()
        }
        compiled_for = {name: worker.answer() for name, worker in workers.items()}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for _ in range(turns):
            for name, worker in workers.items():
                found[name].append(worker.turn())
    return {
        "compiled_for": compiled_for,
        "milliseconds_a_particle": {
            name: {piece: [turn[piece] for turn in done] for piece in done[0]}
            for name, done in found.items()
        },
    }
