"""Gradients of the splat on the processor; see `cryoparts.kernels.splat_cpu`.

For every Gaussian the image's gradient inside its support is reduced to sums
weighted by 1, dx, dy and dx^2 + dy^2, from which all derivatives follow. Where
only amplitudes need gradients the first sum is enough.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

from cryoparts.kernels.compiled import compiled
from cryoparts.kernels.lanes import load8, muladd, zero8
from cryoparts.kernels.splat_gaussian import (
    FAST,
    LANE_NUMBERS,
    factors,
    half_support,
    locate,
    spread8,
    total8,
)

_f = np.float32


@njit(fastmath=FAST, error_model="numpy")
def _unfold(image: Any, margin: Any, padded: Any) -> None:
    """Continue an image periodically into its margin."""
    box = len(image)
    stride = box + 2 * margin
    for r in range(stride):
        row = image[(r - margin) % box]
        for first in range(margin % box - box, stride, box):
            begin, end = max(first, 0), min(first + box, stride)
            for c in range(begin, end):
                padded[r * stride + c] = row[c - first]


@njit(fastmath=FAST, error_model="numpy")
def _row_sum(padded: Any, base: Any, stride: Any, row_factors: Any, rows: Any) -> Any:
    """sum_r row_factors[r] * padded[base + r stride + (0 ... 7)]."""
    total = zero8()
    for r in range(rows):
        total = muladd(spread8(row_factors[r]), load8(padded, base + r * stride), total)
    return total


@njit(fastmath=FAST, error_model="numpy")
def _row_moments(
    padded: Any, base: Any, stride: Any, row_factors: Any, first: Any, rows: Any
) -> Any:
    """`_row_sum` and the same with the row's distance, and its square, as a further factor."""
    zeroth, moment_1, moment_2 = zero8(), zero8(), zero8()
    for r in range(rows):
        distance = first + _f(r)
        values = load8(padded, base + r * stride)
        factor = row_factors[r]
        zeroth = muladd(spread8(factor), values, zeroth)
        moment_1 = muladd(spread8(factor * distance), values, moment_1)
        moment_2 = muladd(spread8(factor * distance * distance), values, moment_2)
    return zeroth, moment_1, moment_2


@njit(fastmath=FAST, error_model="numpy")
def _moments_of_gaussian(
    padded: Any,
    stride: Any,
    base: Any,
    half: Any,
    rest_x: Any,
    rest_y: Any,
    inverse: Any,
    across: Any,
    down: Any,
) -> Any:
    """Sums over pixels of gradient times unit Gaussian times 1, dx, dy, dx^2 + dy^2."""
    half_blocks = (half + 3) // 4
    first_x = _f(1 - 4 * half_blocks) - rest_x
    first_y = _f(1 - half) - rest_y
    factors(across, half_blocks, first_x, inverse, _f(1))
    factors(down, half_blocks, first_y, inverse, inverse * _f(0.5 / math.pi))
    plain, along_x, along_y, squares = zero8(), zero8(), zero8(), zero8()
    for block in range(half_blocks):
        if half == 4:
            rows_0, rows_1, rows_2 = _row_moments(padded, base, stride, down, first_y, 8)
        else:
            rows_0, rows_1, rows_2 = _row_moments(
                padded, base + 8 * block, stride, down, first_y, 2 * half
            )
        factor = load8(across, 8 * block)
        distance = spread8(first_x + _f(8 * block)) + load8(LANE_NUMBERS, 0)
        weighted = factor * rows_0
        plain = plain + weighted
        along_x = muladd(weighted, distance, along_x)
        along_y = muladd(factor, rows_1, along_y)
        squares = muladd(weighted, distance * distance, squares)
        squares = muladd(factor, rows_2, squares)
    return total8(plain), total8(along_x), total8(along_y), total8(squares)


@njit(fastmath=FAST, error_model="numpy")
def _gradients_of_particle(
    padded: Any,
    margin: Any,
    box: Any,
    positions: Any,
    amplitudes: Any,
    widths: Any,
    frame: Any,
    origin: Any,
    across: Any,
    down: Any,
    position_gradient: Any,
    amplitude_gradient: Any,
    width_gradient: Any,
    frame_gradient: Any,
) -> None:
    stride = box + 2 * margin
    for n in range(len(amplitudes)):
        width = widths[n]
        sound, left, top, rest_x, rest_y = locate(frame, positions, n, origin, box)
        if not sound:
            position_gradient[n] = _f(np.nan)
            amplitude_gradient[n] = _f(np.nan)
            continue
        half = half_support(width)
        base = (top + margin + 1 - half) * stride + left + margin + 1 - 4 * ((half + 3) // 4)
        inverse = _f(1) / (width * width)
        plain, along_x, along_y, squares = _moments_of_gaussian(
            padded, stride, base, half, rest_x, rest_y, inverse, across, down
        )
        slope = amplitudes[n] * inverse
        shift_x, shift_y = slope * along_x, slope * along_y
        amplitude_gradient[n] += plain
        width_gradient[n] += (slope * squares - _f(2) * amplitudes[n] * plain) / width
        for i in range(3):
            position_gradient[n, i] += frame[0, i] * shift_x + frame[1, i] * shift_y
            frame_gradient[0, i] += shift_x * positions[n, i]
            frame_gradient[1, i] += shift_y * positions[n, i]


@njit(fastmath=FAST, error_model="numpy")
def _amplitude_gradients_of_particle(
    padded: Any,
    margin: Any,
    box: Any,
    positions: Any,
    widths: Any,
    frame: Any,
    origin: Any,
    across: Any,
    down: Any,
    amplitude_gradient: Any,
) -> None:
    stride = box + 2 * margin
    for n in range(len(amplitude_gradient)):
        width = widths[n]
        sound, left, top, rest_x, rest_y = locate(frame, positions, n, origin, box)
        if not sound:
            amplitude_gradient[n] = _f(np.nan)
            continue
        half = half_support(width)
        half_blocks = (half + 3) // 4
        base = (top + margin + 1 - half) * stride + left + margin + 1 - 4 * half_blocks
        inverse = _f(1) / (width * width)
        factors(across, half_blocks, _f(1 - 4 * half_blocks) - rest_x, inverse, _f(1))
        factors(down, half_blocks, _f(1 - half) - rest_y, inverse, inverse * _f(0.5 / math.pi))
        total = zero8()
        for block in range(half_blocks):
            if half == 4:
                rows = _row_sum(padded, base, stride, down, 8)
            else:
                rows = _row_sum(padded, base + 8 * block, stride, down, 2 * half)
            total = muladd(rows, load8(across, 8 * block), total)
        amplitude_gradient[n] += total8(total)


@compiled(parallel=True, fastmath=FAST, error_model="numpy")
def splat_backward(
    image_gradients: Any,
    positions: Any,
    amplitudes: Any,
    widths: Any,
    frames: Any,
    origin: Any,
    margin: Any,
    chunks: Any,
    amplitudes_only: Any,
    position_gradients: Any,
    amplitude_gradients: Any,
    width_gradients: Any,
    frame_gradients: Any,
) -> None:
    """Add to the gradients, zero before, of one particle or (if shared) one chunk a row."""
    count, box = image_gradients.shape[0], image_gradients.shape[1]
    for chunk in prange(chunks):
        padded = np.empty((box + 2 * margin) ** 2, np.float32)
        across = np.empty(2 * margin + 8, np.float32)
        down = np.empty(2 * margin + 8, np.float32)
        part = np.int64(chunk)  # numba counts chunks unsigned, and unsigned with signed is float
        for b in range(count * part // chunks, count * (part + 1) // chunks):
            _unfold(image_gradients[b], margin, padded)
            position, width = positions[b % len(positions)], widths[b % len(widths)]
            amplitude = amplitudes[b % len(amplitudes)]
            row = amplitude_gradients[b if len(amplitude_gradients) == count else part]
            if amplitudes_only:
                _amplitude_gradients_of_particle(
                    padded, margin, box, position, width, frames[b], origin, across, down, row
                )
            else:
                _gradients_of_particle(
                    padded,
                    margin,
                    box,
                    position,
                    amplitude,
                    width,
                    frames[b],
                    origin,
                    across,
                    down,
                    position_gradients[b if len(position_gradients) == count else part],
                    row,
                    width_gradients[b if len(width_gradients) == count else part],
                    frame_gradients[b],
                )
