"""Where memory runs out, work goes on with half as many particles, and says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.memory.halving import Halving, held_bytes, is_shortage, joined


@dataclass
class Allocator:
    """Squares of rows, as a device would do it that holds `room` rows at a time."""

    room: int
    error: BaseException
    tried: list[int]

    def __call__(self, rows):
        self.tried.append(len(rows))
        if len(rows) > self.room:
            raise self.error
        return rows**2, torch.as_tensor(rows), None


ERRORS = (
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_answers_are_those_of_the_whole_in_their_order(error, caplog):
    task, rows = Allocator(10, error, []), np.arange(64)[::-1].copy()
    halving = Halving("a sweep")
    with caplog.at_level(logging.WARNING):
        squares, same, nothing = halving.call(task, rows)
    np.testing.assert_array_equal(squares, rows**2)
    np.testing.assert_array_equal(same.numpy(), rows)
    assert nothing is None
    assert task.tried == [64, 32, 16, *[8] * 8]
    said = [record.getMessage() for record in caplog.records]
    assert said[-1] == "a sweep: memory ran out with 16 particles at a time; going on with 8"
    assert len(said) == 3


def test_what_is_done_is_not_done_again_nor_what_failed_tried_again():
    left = [1]  # the third part fails once: somebody else's program took the memory

    def task(rows):
        if rows[0] == 8 and left:
            left.pop()
            raise MemoryError
        seen.extend(rows)
        return rows

    seen: list[int] = []
    halving = Halving("a sweep", most=4)
    np.testing.assert_array_equal(halving.call(task, np.arange(16)), np.arange(16))
    assert seen == list(range(16))
    assert halving.most == 2


def test_one_particle_that_does_not_fit_is_an_error_of_the_user():
    with pytest.raises(InputError, match=r"one particle at a time.*--box-size"):
        Halving("training").call(Allocator(0, MemoryError(), []), np.arange(5))


@pytest.mark.parametrize("error", [RuntimeError("shapes disagree"), OSError(28, "disk full")])
def test_other_errors_go_on(error):
    assert not is_shortage(error)
    task = Allocator(0, error, [])
    with pytest.raises(type(error), match=r"shapes|full"):
        Halving("training").call(task, np.arange(4))
    assert task.tried == [4]


def test_a_real_allocation_that_fails_is_a_shortage():
    for allocate in (lambda: torch.empty(1 << 58), lambda: np.empty(1 << 58)):
        with pytest.raises((RuntimeError, MemoryError)) as failed:
            allocate()
        assert is_shortage(failed.value)


def test_what_the_failed_attempt_held_is_let_go_before_the_next():
    held = []

    class Large:
        def __init__(self):
            held.append(self)

        def __del__(self):
            alive.discard(id(self))

    alive: set[int] = set()

    def task(rows):
        large = Large()
        held.clear()
        alive.add(id(large))
        assert len(alive) == 1, "the last attempt's memory is still held"
        if len(rows) > 2:
            raise MemoryError
        return rows

    np.testing.assert_array_equal(Halving("a sweep").call(task, np.arange(8)), np.arange(8))


@dataclass(frozen=True)
class Pair:
    a: np.ndarray
    b: torch.Tensor


def test_answers_of_every_form_are_joined():
    parts = [np.arange(3), np.arange(3, 5)]
    answers = [{"p": Pair(part, torch.as_tensor(part)[:, None])} for part in parts]
    found = joined(answers, [3, 2])["p"]
    np.testing.assert_array_equal(found.a, np.arange(5))
    np.testing.assert_array_equal(found.b[:, 0].numpy(), np.arange(5))


def test_sums_are_joined_by_their_task_or_not_at_all():
    class Sum:
        def __call__(self, rows):
            if len(rows) > 2:
                raise MemoryError
            return np.full(7, rows.sum())

        def joined(self, answers):
            return np.sum(answers, axis=0)

    task = Sum()
    np.testing.assert_array_equal(Halving("").call(task, np.arange(9)), np.full(7, 36))
    with pytest.raises(TypeError, match="joined"):
        Halving("").call(lambda rows: task(rows), np.arange(9))


def test_the_memory_of_an_answer_is_that_of_its_arrays():
    pair = Pair(np.zeros((3, 4)), torch.zeros(2, dtype=torch.float32))
    assert held_bytes({"x": [pair, None], "y": (np.zeros(1, np.int8),)}) == 96 + 8 + 1
