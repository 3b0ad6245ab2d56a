from __future__ import annotations

import numpy as np
from numba import njit

from cryoparts.kernels.lanes import (
    exponential,
    filled8,
    larger,
    load8,
    muladd,
    splat8,
    store8,
    sums_of_eight,
    where_positive,
    zero8,
)


@njit
def exponentials(x, out):
    for at in range(0, x.size, 8):
        store8(out, at, exponential(load8(x, at)))


@njit
def operations(x, out):
    a, b = load8(x, 0), load8(x, 8)
    store8(out, 0, a + b)
    store8(out, 8, a - b)
    store8(out, 16, a * b)
    store8(out, 24, a / b)
    store8(out, 32, larger(a, b))
    store8(out, 40, where_positive(a, b))
    store8(out, 48, muladd(a, b, splat8(x, 3)))
    store8(out, 56, filled8(2.5) + zero8())


@njit
def row_sums(x, out):
    store8(
        out,
        0,
        sums_of_eight(
            load8(x, 0),
            load8(x, 8),
            load8(x, 16),
            load8(x, 24),
            load8(x, 32),
            load8(x, 40),
            load8(x, 48),
            load8(x, 56),
        ),
    )


def test_exponential_is_within_two_units_in_the_last_place():
    x = np.linspace(-87, 0, 80_000, dtype=np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(out / exact - 1).max() < 2 * 2.0**-23


def test_exponential_far_below_zero_is_next_to_nothing_and_keeps_what_is_not_a_number():
    x = np.array([-88, -1e4, -1e30, -np.inf, np.nan, 0, -1e-30, -0.0], dtype=np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert (out[:4] > 0).all()
    assert (out[:4] < 2e-38).all()
    assert np.isnan(out[4])
    assert (out[5:] == 1).all()


def test_operations_are_those_of_numpy():
    x = np.random.default_rng(1).normal(size=16).astype(np.float32)
    x[0] = 0
    out = np.empty(64, np.float32)
    operations(x, out)
    a, b = x[:8], x[8:]
    expected = [a + b, a - b, a * b, a / b, np.maximum(a, b), np.where(a > 0, b, 0)]
    np.testing.assert_array_equal(out[:48].reshape(6, 8), expected)
    np.testing.assert_allclose(out[48:56], a * b + x[3], rtol=1e-6, atol=1e-7)
    assert (out[56:] == 2.5).all()


def test_larger_of_nothing_and_what_is_not_a_number_is_the_second():
    x = np.array([np.nan] * 8 + [1] * 8, dtype=np.float32)
    out = np.empty(64, np.float32)
    operations(x, out)
    assert (out[32:40] == 1).all()
    operations(np.roll(x, 8), out)
    assert np.isnan(out[32:40]).all()


def test_sums_of_eight_are_row_sums_in_order():
    x = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)
    out = np.empty(8, np.float32)
    row_sums(x.ravel(), out)
    np.testing.assert_allclose(out, x.sum(axis=1, dtype=np.float64), rtol=1e-5, atol=1e-6)
