"""The stages of `pair_attention` between its matrix products, compiled.

Each stage reads and writes a tile of pairs once and does everything to a pair
that needs no matrix product. Arrays are flat and contiguous, offsets unchecked;
those that may hold float32 or bfloat16 (as int16) go through `load_any` and
`store_any`. A stage works on the channels ``[first, last)`` of every row, so that
threads share out the channels and never write the same number. ``start`` and
``stop`` are the points of the tile.

The compiled kernels on disk do not notice a change of `lanes` or `half_lanes`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from cryoparts.kernels.half_lanes import load_any, store_any
from cryoparts.kernels.lanes import (
    exponential,
    filled16,
    larger,
    load16,
    muladd,
    splat16,
    store16,
    where_positive,
    zero16,
)


class PairGeometry(NamedTuple):
    """Neighbours of every point and the encoding of their offsets."""

    neighbours: Any  # (n, K) int64
    encoding: Any  # (n, K, 3)
    weight: Any  # (3, C), maps the encoding to channels
    degree: int  # K
    width: int  # C, a multiple of 16


class PositionGradients(NamedTuple):
    """Sums of what the position encoding is told, both levels of it."""

    encoding: Any  # (n, K, 3), each thread its own
    weight: Any  # (3, C)


@njit(nogil=True, forceinline=True)
def _delta(start: Any, geometry: Any, pair: Any, at: Any) -> Any:
    """``start`` plus the position encoding of a pair at sixteen channels."""
    width = geometry.width
    total = muladd(splat16(geometry.encoding, 3 * pair), load16(geometry.weight, at), start)
    total = muladd(
        splat16(geometry.encoding, 3 * pair + 1), load16(geometry.weight, width + at), total
    )
    return muladd(
        splat16(geometry.encoding, 3 * pair + 2), load16(geometry.weight, 2 * width + at), total
    )


@njit(cache=True, nogil=True)
def hidden_inputs(
    out: Any, q: Any, k: Any, geometry: Any, start: Any, stop: Any, first: Any, last: Any
) -> None:
    """relu(q_i - k_j + delta_ij)."""
    degree, width = geometry.degree, geometry.width
    for point in range(start, stop):
        for pair in range(point * degree, (point + 1) * degree):
            row = (pair - start * degree) * width
            other = geometry.neighbours[pair] * width
            for at in range(first, last, 16):
                difference = load16(q, point * width + at) - load16(k, other + at)
                # in this order a NaN stays one
                store_any(out, row + at, larger(zero16(), _delta(difference, geometry, pair, at)))


@njit(cache=True, nogil=True)
def rectify(kept: Any, values: Any, bias: Any, keep: Any, first: Any, last: Any) -> None:
    """relu(values + bias) in place, and into ``kept`` if asked to."""
    width = bias.size
    for row in range(0, values.size, width):
        for at in range(first, last, 16):
            x = larger(zero16(), load_any(values, row + at) + load16(bias, at))
            store_any(values, row + at, x)
            if keep:
                store_any(kept, row + at, x)


@njit(cache=True, nogil=True)
def weighted_values(
    out: Any,
    kept: Any,
    logits: Any,
    v: Any,
    geometry: Any,
    keep: Any,
    start: Any,
    stop: Any,
    first: Any,
    last: Any,
) -> None:
    """sum_j softmax_j(logits) (v_j + delta_ij); the softmax into ``kept``. Spoils ``logits``."""
    degree, width = geometry.degree, geometry.width
    one = filled16(1.0)
    for point in range(start, stop):
        for at in range(first, last, 16):
            own = (point - start) * degree * width + at
            top = load_any(logits, own)
            for row in range(own + width, own + degree * width, width):
                top = larger(top, load_any(logits, row))
            total, summed = zero16(), zero16()
            for slot in range(degree):
                pair = point * degree + slot
                power = exponential(load_any(logits, own + slot * width) - top)
                store_any(logits, own + slot * width, power)
                value = load16(v, geometry.neighbours[pair] * width + at)
                total = total + power
                summed = muladd(power, _delta(value, geometry, pair, at), summed)
            share = one / total
            store16(out, point * width + at, summed * share)
            if keep:
                for row in range(own, own + degree * width, width):
                    store_any(kept, row, load_any(logits, row) * share)


@njit(nogil=True, forceinline=True)
def _add_to(array: Any, at: Any, value: Any) -> None:
    store16(array, at, load16(array, at) + value)


@njit(nogil=True, forceinline=True)
def _position_gradient(gradients: Any, geometry: Any, pair: Any, at: Any, x: Any) -> Any:
    """Add one pair's to the weight's gradient."""
    for part in range(3):
        told = splat16(geometry.encoding, 3 * pair + part)
        place = part * geometry.width + at
        store16(gradients.weight, place, muladd(told, x, load16(gradients.weight, place)))


@njit(nogil=True, forceinline=True)
def _add_lanes(lanes: Any, array: Any, pair: Any, sums: Any) -> None:
    """Add the lanes' sums of three vectors to a pair's encoding gradient."""
    for part in range(3):
        store16(lanes, 0, sums[part])
        total = lanes[0]
        for lane in range(1, 16):
            total += lanes[lane]
        array[3 * pair + part] += total


@njit(cache=True, nogil=True)
def softmax_gradients(
    out: Any,
    grad_v: Any,
    gradients: Any,
    grad: Any,
    attended: Any,
    weights: Any,
    v: Any,
    geometry: Any,
    lanes: Any,
    start: Any,
    stop: Any,
    first: Any,
    last: Any,
) -> None:
    """The logits' gradient into ``out``; adds the values' and the encoding's.

    Since the weights add up to 1, the logits' gradient is w_ij g_i (value_ij - attended_i).
    """
    degree, width = geometry.degree, geometry.width
    weight = geometry.weight
    for point in range(start, stop):
        for pair in range(point * degree, (point + 1) * degree):
            row = (pair - start * degree) * width
            other = geometry.neighbours[pair] * width
            a, b, c = zero16(), zero16(), zero16()
            for at in range(first, last, 16):
                share = load_any(weights, row + at) * load16(grad, point * width + at)
                value = _delta(load16(v, other + at), geometry, pair, at)
                store_any(out, row + at, share * (value - load16(attended, point * width + at)))
                _add_to(grad_v, other + at, share)
                _position_gradient(gradients, geometry, pair, at, share)
                a = muladd(share, load16(weight, at), a)
                b = muladd(share, load16(weight, width + at), b)
                c = muladd(share, load16(weight, 2 * width + at), c)
            _add_lanes(lanes, gradients.encoding, pair, (a, b, c))


@njit(cache=True, nogil=True)
def rectify_gradients(grad: Any, grad_bias: Any, hidden: Any, first: Any, last: Any) -> None:
    """``grad`` where ``hidden`` is positive, in place; its sum over rows to ``grad_bias``."""
    width = grad_bias.size
    for row in range(0, grad.size, width):
        for at in range(first, last, 16):
            x = where_positive(load_any(hidden, row + at), load_any(grad, row + at))
            store_any(grad, row + at, x)
            _add_to(grad_bias, at, x)


@njit(cache=True, nogil=True)
def point_gradients(
    grad_q: Any,
    grad_k: Any,
    gradients: Any,
    grad: Any,
    hidden: Any,
    geometry: Any,
    lanes: Any,
    start: Any,
    stop: Any,
    first: Any,
    last: Any,
) -> None:
    """Add queries', keys' and encoding's gradients, from that of the hidden inputs."""
    degree, width = geometry.degree, geometry.width
    weight = geometry.weight
    for point in range(start, stop):
        for pair in range(point * degree, (point + 1) * degree):
            row = (pair - start * degree) * width
            other = geometry.neighbours[pair] * width
            a, b, c = zero16(), zero16(), zero16()
            for at in range(first, last, 16):
                x = where_positive(load_any(hidden, row + at), load_any(grad, row + at))
                _add_to(grad_q, point * width + at, x)
                store16(grad_k, other + at, load16(grad_k, other + at) - x)
                _position_gradient(gradients, geometry, pair, at, x)
                a = muladd(x, load16(weight, at), a)
                b = muladd(x, load16(weight, width + at), b)
                c = muladd(x, load16(weight, 2 * width + at), c)
            _add_lanes(lanes, gradients.encoding, pair, (a, b, c))
