"""Threads of the compiled kernels.

Kernels that share particles out with numba's ``prange`` use
``numba.get_num_threads()`` threads: set NUMBA_NUM_THREADS before the start, or
call ``numba.set_num_threads``, to the number that torch is given, since the two
libraries keep separate pools and take turns within a training step.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

ONE_PARALLEL_REGION = Lock()
"""Held while a ``prange`` kernel runs: numba's own thread pool, in use where
OpenMP is absent, ends the process when two Python threads start kernels at once."""


def in_threads(count: int, threads: int, run: Callable[[int, int, int], Result]) -> list[Result]:
    """Results of ``run(thread, first, last)`` on equal runs of ``count`` items, in their order."""
    edges = [count * i // threads for i in range(threads + 1)]
    if threads == 1:
        return [run(0, 0, count)]
    with ThreadPoolExecutor(threads) as pool:
        tasks = [partial(run, i, *ends) for i, ends in enumerate(pairwise(edges))]
        return [future.result() for future in [pool.submit(task) for task in tasks]]
