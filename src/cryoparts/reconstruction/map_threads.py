"""Work on several whole maps, shared among threads: the maps, and the transforms of each."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from scipy.fft import set_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE = 4
"""Maps that are worked on at a time: each takes the memory of ten or so while it is."""


def each_map(run: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """Results of `run` on every item, in their order; what one raises is raised.

    Parameters
    ----------
    run : callable
        Works on a map or a few; calls of it may overlap.
    items : iterable
    threads : int
        In all. Those that the items leave over transform (`scipy.fft`).
    """
    asked = list(items)
    at_once = max(1, min(threads, len(asked), MOST_AT_ONCE))

    def one(item: Item) -> Result:
        with set_workers(max(1, threads // at_once)):
            return run(item)

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, asked))


def ahead(run: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[Result]:
    """Results of `run` on every item, in their order, up to `at_once` of them being made.

    Parameters
    ----------
    run : callable
        Calls of it may overlap with each other and with what is done with the results.
    items : iterable
        Gone through by the caller's thread; with one at once, not ahead of the results.
    at_once : int
    """
    if at_once <= 1:
        yield from map(run, items)
        return
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        for item in items:
            begun.append(pool.submit(run, item))
            if len(begun) > at_once:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
