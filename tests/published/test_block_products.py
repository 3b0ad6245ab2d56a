"""Products that leave out zero channels, against full products in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit

from cryoparts.kernels.processor import Processor
from cryoparts.published import block_products
from cryoparts.published.block_products import (
    GATHERED,
    ROWS,
    add_products,
    columns_at_once,
    gather_products,
    sum_products,
)

CHANNELS, LENGTH = 40, 24
PROCESSORS = {
    "of this machine": None,
    "without 512-bit vectors": Processor.of("x86_64-unknown-linux-gnu", "+avx2,-avx512f"),
    "with 128-bit vectors": Processor.of("x86_64-unknown-linux-gnu", "+sse2"),
    "with many 128-bit vectors": Processor.of("aarch64-unknown-linux-gnu", "+neon"),
}


@pytest.fixture(params=PROCESSORS)
def processor(request, monkeypatch):
    """Kernels compiled in a test are for this processor."""
    if PROCESSORS[request.param] is not None:
        monkeypatch.setattr(block_products, "processor", lambda: PROCESSORS[request.param])


def as_units(values, dtype):
    """Numbers rounded to ``dtype``: the rounded ones, and flat units of them."""
    rounded = torch.from_numpy(np.ascontiguousarray(values)).to(dtype)
    units = rounded if dtype == torch.float32 else rounded.view(torch.int32)
    return rounded.float().numpy(), units.numpy().ravel()


def numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def close(ours, theirs):
    return np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("count", [0, 1, 17])
def test_sums_over_listed_channels_alone(processor, count):
    @njit
    def compiled(out, vectors, factors, listed, count):
        sum_products(out, 5, 20, vectors, 16, factors, 32, listed, 2, count)

    vectors, factors = numbers(CHANNELS, ROWS), numbers(CHANNELS, 1, ROWS)[:, 0]
    listed = np.random.default_rng(0).permutation(CHANNELS)[: count + 2].astype(np.int32)
    out = np.full(5 + 20 * ROWS, 7, np.float32)
    compiled(
        out,
        np.r_[np.ones(16, np.float32), vectors.ravel()],
        np.r_[np.ones(32, np.float32), factors.ravel()],
        listed,
        count,
    )
    chosen = listed[2:]
    rows = out[5:].reshape(ROWS, 20)
    expected = np.einsum("cr,ci->ir", vectors[chosen], factors[chosen])
    assert np.all(rows[:, :ROWS] == 0) if not count else close(rows[:, :ROWS], expected)
    assert np.all(out[:5] == 7)
    assert np.all(rows[:, ROWS:] == 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_listed_rows_of_a_matrix_and_no_others(processor, dtype):
    @njit
    def compiled(out, vectors, matrix, listed, length):
        gather_products(out, 16, vectors, 32, matrix, listed, 3, length)

    # a unit of a vector is consecutive numbers of the reduced dimension
    unit = 1 if dtype == torch.float32 else 2
    block, units = as_units(numbers(LENGTH // unit, ROWS, unit), dtype)
    matrix, matrix_units = as_units(numbers(CHANNELS, LENGTH), dtype)
    listed = np.r_[0, 0, 0, 39, 3, 3, 8, 1, 30, 22, 3].astype(np.int32)
    out = np.full(16 + CHANNELS * ROWS, 7, np.float32)
    compiled(out, np.r_[units[:32], units], matrix_units, listed, LENGTH // unit)
    expected = matrix @ block.transpose(0, 2, 1).reshape(LENGTH, ROWS)
    rows, chosen = out[16:].reshape(CHANNELS, ROWS), listed[3 : 3 + GATHERED]
    assert close(rows[chosen], expected[chosen])
    assert np.all(np.delete(rows, chosen, axis=0) == 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_outer_products_are_added_to_listed_rows(processor, dtype, count):
    @njit
    def compiled(out, vectors, step, factors, listed, count):
        add_products(out, 4, vectors, 8, step, factors, 16, listed, 1, count)

    unit = 1 if dtype == torch.float32 else 2
    wide, step = columns_at_once(unit), 48
    by_row, vectors = as_units(numbers(ROWS // unit, step, unit), dtype)
    factors, factor_units = as_units(numbers(CHANNELS, ROWS), dtype)
    listed = np.random.default_rng(1).permutation(CHANNELS)[: count + 1].astype(np.int32)
    before = numbers(4 + CHANNELS * wide)
    out = before.copy()
    padded = np.r_[factor_units[:16], factor_units]
    compiled(out, np.r_[vectors[:8], vectors], step, padded, listed, count)
    expected = factors @ by_row.transpose(0, 2, 1).reshape(ROWS, step)[:, :wide]
    added = (out - before)[4:].reshape(CHANNELS, wide)
    assert np.array_equal(out[:4], before[:4])
    assert count == 0 or np.allclose(added[listed[1:]], expected[listed[1:]], atol=2e-6)
    assert not np.delete(added, listed[1:], axis=0).any()
