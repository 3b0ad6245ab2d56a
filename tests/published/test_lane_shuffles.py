from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from cryoparts.kernels.lanes import load16
from cryoparts.published.lane_shuffles import (
    any_positive,
    store_pairs,
    transpose,
    transpose_block,
)


@njit
def transposed(out, rows):
    transpose(out, 3, 18, rows, 2, 20)


@njit
def block_transposed(out, rows, units):
    transpose_block(out, 0, 16, rows, 0, units)


@njit
def paired(out, numbers):
    store_pairs(out, 1, numbers, 2, 20)


@njit
def positive(x):
    return any_positive(load16(x, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_columns_become_rows(dtype):
    rows = np.arange(2 + 16 * 20, dtype=dtype)
    out = np.full(3 + 16 * 18, -1, dtype)
    transposed(out, rows)
    matrix = out[3:].reshape(16, 18)
    assert np.array_equal(matrix[:, :16], rows[2:].reshape(16, 20)[:, :16].T)
    assert np.all(matrix[:, 16:] == -1)
    assert np.all(out[:3] == -1)


@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 16), (np.int32, 8)])
def test_a_block_has_the_units_of_sixteen_numbers(dtype, units):
    rows = np.arange(16 * units + 16, dtype=dtype)
    out = np.full(16 * 16, -1, dtype)
    block_transposed(out, rows, units)
    matrix = out.reshape(16, 16)
    assert np.array_equal(matrix[:units], rows[: 16 * units].reshape(16, units).T)
    assert np.all(matrix[units:] == -1)


def test_pairs_are_of_one_column_and_two_rows():
    halves = np.arange(-20, 20, dtype=np.int16)
    out = np.full(18, 99, np.int32)
    paired(out, halves)
    assert np.array_equal(out[1:17].view(np.int16).reshape(16, 2).T, [halves[2:18], halves[22:38]])
    assert out[0] == out[17] == 99
    floats, copied = np.arange(40, dtype=np.float32), np.zeros(18, np.float32)
    paired(copied, floats)
    assert np.array_equal(copied[1:17], floats[2:18])


def test_any_positive_number_or_none_at_all():
    x = np.zeros(17, np.float32)
    x[0] = 1
    assert not positive(x)
    x[1:] = -1
    assert not positive(x)
    for value in (1e-40, 5, np.inf, np.nan):
        for lane in (1, 16):
            changed = x.copy()
            changed[lane] = value
            assert positive(changed)
