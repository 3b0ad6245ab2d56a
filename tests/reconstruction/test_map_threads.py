"""Several maps are worked on at once, with the threads that there are."""

from __future__ import annotations

import threading

import pytest
from scipy.fft import get_workers

from cryoparts.reconstruction.map_threads import MOST_AT_ONCE, each_map


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_results_come_in_the_order_of_the_items(threads):
    assert each_map(lambda n: n * n, range(7), threads) == [n * n for n in range(7)]
    assert each_map(abs, [], threads) == []


@pytest.mark.parametrize(("threads", "items", "each"), [(1, 3, 1), (2, 3, 1), (8, 2, 4), (8, 1, 8)])
def test_threads_that_the_items_leave_over_transform(threads, items, each):
    assert each_map(lambda _: get_workers(), range(items), threads) == [each] * items
    assert get_workers() == 1


def test_as_many_are_worked_on_at_once_as_memory_is_meant_for():
    together = threading.Barrier(MOST_AT_ONCE)
    each_map(lambda _: together.wait(timeout=30), range(2 * MOST_AT_ONCE), 64)
    alone = threading.Lock()

    def hold(_: int) -> None:
        assert alone.acquire(blocking=False)
        alone.release()

    each_map(hold, range(20), 1)


def test_what_one_raises_is_raised():
    def fail(number: int) -> None:
        if number == 2:
            raise ValueError("third")

    with pytest.raises(ValueError, match="third"):
        each_map(fail, range(4), 2)
