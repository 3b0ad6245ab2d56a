"""Several maps are worked on at once, with the threads that there are."""

from __future__ import annotations

import threading

import pytest
from scipy.fft import get_workers

from cryoparts.reconstruction.map_threads import MOST_AT_ONCE, ahead, each_map


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


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_made_ahead_come_in_the_order_of_the_items(at_once):
    assert list(ahead(lambda n: n * n, iter(range(9)), at_once)) == [n * n for n in range(9)]
    assert list(ahead(abs, [], at_once)) == []


def test_as_many_are_made_ahead_as_asked_for():
    together = threading.Barrier(3)
    list(ahead(lambda _: together.wait(timeout=30), range(6), 3))


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_items_wait_than_are_made_at_once(at_once):
    drawn = []
    results = ahead(lambda n: n, (drawn.append(n) or n for n in range(20)), at_once)
    for number, result in enumerate(results):
        assert result == number
        # one more waits for its turn where several are made; alone none is drawn too early
        assert len(drawn) <= number + 1 + (at_once if at_once > 1 else 0)


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_is_raised_ahead_is_raised_in_its_place(at_once):
    def fail(number: int) -> int:
        if number == 2:
            raise ValueError("third")
        return number

    made = ahead(fail, range(4), at_once)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="third"):
        next(made)
