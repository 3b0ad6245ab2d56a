"""One Gaussian on a pixel grid: where it lies, how far it reaches, its factors.

A Gaussian's value at a pixel is the product of a row factor and a column
factor, each computed once: 2 S exponentials instead of S^2, eight at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from cryoparts.kernels.lanes import exponential, lanes8, load8, store8

CUTOFF_SIGMAS = 5.0
CUTOFF_PIXELS = 1.01
"""The support reaches 5 standard deviations less a pixel, rounded up: 4 pixels at the
width of 1 px, to which narrower Gaussians are widened. (The odd hundredth
keeps rounding errors at a width of 1 px from making that 5.)"""

WIDEST_IN_BOXES = 2
"""A Gaussian wider than that is a constant in the image: a mistake upstream."""

FAST: Any = {"contract", "nsz", "arcp"}
"""Floating-point liberties of the kernels: neither NaN nor the order of sums may change."""

LANE_NUMBERS = np.arange(8, dtype=np.float32)

_f = np.float32


@intrinsic
def spread8(typingctx: Any, scalar: Any) -> Any:
    """One float32, eight times."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), 8)
        first = builder.insert_element(
            ir.Constant(vector, ir.Undefined), args[0], ir.IntType(32)(0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)

    return lanes8(types.float32), codegen


@intrinsic
def total8(typingctx: Any, vector: Any) -> Any:
    """The sum of the eight, always in the same pairwise order."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        total = args[0]
        for distance in (4, 2, 1):
            order = [(lane + distance) % 8 for lane in range(8)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), order)
            total = builder.fadd(total, builder.shuffle_vector(total, total, mask))
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float32(lanes8), codegen


@njit(fastmath=FAST, error_model="numpy")
def half_support(width: float) -> int:
    """Pixels of support on either side of a point, at least 1."""
    return max(1, math.ceil(_f(CUTOFF_SIGMAS) * width - _f(CUTOFF_PIXELS)))


@njit(inline="always", fastmath=FAST, error_model="numpy")
def locate(frame: Any, positions: Any, n: Any, origin: Any, box: Any) -> Any:
    """Whether a point is sound; its pixel (rounded down, periodic) and the fractions left."""
    x, y, z = positions[n, 0], positions[n, 1], positions[n, 2]
    column = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + origin
    row = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + origin
    if not (abs(column) < _f(1e15) and abs(row) < _f(1e15)):
        return False, 0, 0, _f(0), _f(0)
    left, top = np.int64(column), np.int64(row)
    if column < _f(left):
        left -= 1
    if row < _f(top):
        top -= 1
    rest_x, rest_y = column - _f(left), row - _f(top)
    if left < 0 or left >= box:
        left %= box
    if top < 0 or top >= box:
        top %= box
    return True, left, top, rest_x, rest_y


@njit(fastmath=FAST, error_model="numpy")
def factors(out: Any, blocks: Any, first: Any, inverse_variance: Any, scale: Any) -> None:
    """out[j] = scale exp(-(first + j)^2 / (2 variance)) for 8 ``blocks`` numbers."""
    half = spread8(_f(-0.5) * inverse_variance)
    factor = spread8(scale)
    for block in range(blocks):
        distance = spread8(first + _f(8 * block)) + load8(LANE_NUMBERS, 0)
        store8(out, 8 * block, factor * exponential(distance * distance * half))
