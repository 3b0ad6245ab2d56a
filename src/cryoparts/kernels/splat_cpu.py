"""The splat on the processor: float32, compiled, threads over the particles.

Images carry a margin while they are worked on, so that the innermost loops know
no borders; it is folded back periodically at the end. The particles are cut
into a number of chunks that depends on their count alone, so the results are
the same to the bit for any number of threads; numba.get_num_threads() of them
work (NUMBA_NUM_THREADS or numba.set_num_threads choose).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

from cryoparts.kernels.compiled import compiled
from cryoparts.kernels.lanes import load8, muladd, store8
from cryoparts.kernels.splat_gaussian import FAST, factors, half_support, locate, spread8

MAX_CHUNKS = 32
"""Chunks of particles handed to threads, and partial sums of shared gradients."""

_f = np.float32


@njit(fastmath=FAST, error_model="numpy")
def _add_rows(
    padded: Any, base: Any, stride: Any, row_factors: Any, rows: Any, columns: Any
) -> None:
    """padded[base + r stride + (0 ... 7)] += row_factors[r] * columns."""
    for r in range(rows):
        at = base + r * stride
        store8(padded, at, muladd(spread8(row_factors[r]), columns, load8(padded, at)))


@njit(fastmath=FAST, error_model="numpy")
def _splat_particle(
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
) -> Any:
    stride = box + 2 * margin
    sound = True
    for n in range(len(amplitudes)):
        width = widths[n]
        here, left, top, rest_x, rest_y = locate(frame, positions, n, origin, box)
        sound = sound and here
        half = half_support(width)
        half_blocks = (half + 3) // 4
        inverse = _f(1) / (width * width)
        scale = amplitudes[n] * inverse * _f(0.5 / math.pi)
        base = (top + margin + 1 - half) * stride + left + margin + 1 - 4 * half_blocks
        if half == 4:
            factors(across, 1, _f(-3) - rest_x, inverse, _f(1))
            factors(down, 1, _f(-3) - rest_y, inverse, scale)
            _add_rows(padded, base, stride, down, 8, load8(across, 0))
        else:
            factors(across, half_blocks, _f(1 - 4 * half_blocks) - rest_x, inverse, _f(1))
            factors(down, half_blocks, _f(1 - half) - rest_y, inverse, scale)
            for block in range(half_blocks):
                _add_rows(
                    padded, base + 8 * block, stride, down, 2 * half, load8(across, 8 * block)
                )
    return sound


@njit(fastmath=FAST, error_model="numpy")
def _fold(padded: Any, margin: Any, box: Any, image: Any) -> None:
    """Add the margin of a padded image to the opposite side, as often as it wraps."""
    stride = box + 2 * margin
    image[:] = _f(0)
    for r in range(stride):
        row = image[(r - margin) % box]
        for first in range(margin % box - box, stride, box):
            begin, end = max(first, 0), min(first + box, stride)
            for c in range(begin, end):
                row[c - first] += padded[r * stride + c]


@compiled(parallel=True, fastmath=FAST, error_model="numpy")
def splat_forward(
    images: Any,
    positions: Any,
    amplitudes: Any,
    widths: Any,
    frames: Any,
    origin: Any,
    margin: Any,
    chunks: Any,
) -> None:
    """Fill ``images``; arrays of leading length 1 are shared by all particles."""
    count, box = images.shape[0], images.shape[1]
    for chunk in prange(chunks):
        padded = np.empty((box + 2 * margin) ** 2, np.float32)
        across = np.empty(2 * margin + 8, np.float32)
        down = np.empty(2 * margin + 8, np.float32)
        part = np.int64(chunk)  # numba counts chunks unsigned, and unsigned with signed is float
        for b in range(count * part // chunks, count * (part + 1) // chunks):
            padded[:] = _f(0)
            sound = _splat_particle(
                padded,
                margin,
                box,
                positions[b % len(positions)],
                amplitudes[b % len(amplitudes)],
                widths[b % len(widths)],
                frames[b],
                origin,
                across,
                down,
            )
            _fold(padded, margin, box, images[b])
            if not sound:
                images[b] = _f(np.nan)
