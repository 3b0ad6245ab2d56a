"""The stages of `pair_attention` between its matrix products, compiled.

The neighbours of a point are worked on sixteen at a time. What the matrix products
take the rows of is a *block*, (channels, 16 neighbours), beside a list of the
channels that are not zero in all of them; what belongs to single neighbours is in
*rows*, (16 neighbours, channels). Rows beyond the last neighbour are zero, or are
not looked at. Arrays are flat and contiguous, offsets unchecked; those that may
hold float32 or bfloat16 (as int16) go through `load_any` and `store_any`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

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
from cryoparts.published.block_products import ROWS
from cryoparts.published.half_lanes import load_any, store_any
from cryoparts.published.lane_shuffles import any_positive, transpose


class PairGeometry(NamedTuple):
    """Neighbours of every point and the encoding of their offsets."""

    neighbours: Any  # (n, K) int64
    encoding: Any  # (n, K, 3)
    weight: Any  # (3, C), maps the encoding to channels
    degree: int  # K
    width: int  # C, a multiple of 16


class PositionGradients(NamedTuple):
    """Sums of what the position encoding is told, both levels of it."""

    encoding: Any  # (n, K, 3)
    weight: Any  # (3, C)
    lanes: Any  # 16 numbers to work with


class Channels(NamedTuple):
    """The channels of each block that are not zero in all its rows."""

    listed: Any  # (blocks, room) int32; those beyond the count are any channels
    count: Any  # (blocks,) int64
    room: int  # C and what completes the last GATHERED


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


@njit(nogil=True, forceinline=True)
def rows_of(geometry: Any, part: Any) -> Any:
    """Neighbours in a point's ``part``-th block."""
    return min(ROWS, geometry.degree - part * ROWS)


@njit(nogil=True)
def list_channels(channels: Any, block: Any, values: Any, at: Any, width: Any) -> None:
    """List the channels of a block of ``values`` that have any positive number, or a NaN."""
    start, count = block * channels.room, 0
    for channel in range(width):
        channels.listed[start + count] = channel
        count += any_positive(load_any(values, at + ROWS * channel))
    channels.count[block] = count


@njit(nogil=True)
def hidden_inputs(
    out: Any, at: Any, rows: Any, particle: Any, geometry: Any, point: Any, part: Any
) -> None:
    """relu(q_i - k_j + delta_ij) as a block; ``rows`` is zero beyond the neighbours."""
    width = geometry.width
    first = point * geometry.degree + part * ROWS
    count = rows_of(geometry, part)
    for row in range(count, ROWS):
        for channel in range(0, width, ROWS):
            store16(rows, row * width + channel, zero16())
    for row in range(count):
        other = geometry.neighbours[first + row] * width
        for channel in range(0, width, ROWS):
            own = load16(particle.q, point * width + channel)
            difference = own - load16(particle.k, other + channel)
            # in this order a NaN stays one
            x = larger(zero16(), _delta(difference, geometry, first + row, channel))
            store16(rows, row * width + channel, x)
    for channel in range(0, width, ROWS):
        transpose(out, at + ROWS * channel, ROWS, rows, channel, width)


@njit(nogil=True)
def rectify(values: Any, at: Any, bias: Any, kept: Any, kept_at: Any, keep: Any) -> None:
    """relu(values + bias) of a block in place, and into ``kept`` if asked to."""
    for channel in range(bias.size):
        place = ROWS * channel
        x = larger(zero16(), load16(values, at + place) + splat16(bias, channel))
        store16(values, at + place, x)
        if keep:
            store_any(kept, kept_at + place, x)


@njit(nogil=True)
def weighted_values(
    out: Any, kept: Any, logits: Any, at: Any, v: Any, geometry: Any, keep: Any, point: Any
) -> None:
    """sum_j softmax_j(logits) (v_j + delta_ij); the softmax into ``kept``. Spoils ``logits``."""
    degree, width = geometry.degree, geometry.width
    one = filled16(1.0)
    for channel in range(0, width, ROWS):
        own = at + channel
        top = load16(logits, own)
        for row in range(own + width, own + degree * width, width):
            top = larger(top, load16(logits, row))
        total, summed = zero16(), zero16()
        for slot in range(degree):
            pair = point * degree + slot
            power = exponential(load16(logits, own + slot * width) - top)
            store16(logits, own + slot * width, power)
            value = load16(v, geometry.neighbours[pair] * width + channel)
            total = total + power
            summed = muladd(power, _delta(value, geometry, pair, channel), summed)
        share = one / total
        store16(out, point * width + channel, summed * share)
        if keep:
            for slot in range(degree):
                weight = load16(logits, own + slot * width) * share
                store_any(kept, (point * degree + slot) * width + channel, weight)


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
def _add_lanes(gradients: Any, pair: Any, sums: Any) -> None:
    """Add the lanes' sums of three vectors to a pair's encoding gradient."""
    for part in range(3):
        store16(gradients.lanes, 0, sums[part])
        total = gradients.lanes[0]
        for lane in range(1, ROWS):
            total += gradients.lanes[lane]
        gradients.encoding[3 * pair + part] += total


@njit(nogil=True)
def softmax_gradients(
    out: Any,
    at: Any,
    grad_v: Any,
    gradients: Any,
    grad: Any,
    attended: Any,
    weights: Any,
    v: Any,
    geometry: Any,
    point: Any,
) -> None:
    """The logits' gradient of a point as rows; adds the values' and the encoding's.

    Since the weights add up to 1, the logits' gradient is w_ij g_i (value_ij - attended_i).
    """
    degree, width = geometry.degree, geometry.width
    weight = geometry.weight
    for slot in range(degree):
        pair = point * degree + slot
        other = geometry.neighbours[pair] * width
        a, b, c = zero16(), zero16(), zero16()
        for channel in range(0, width, ROWS):
            own = point * width + channel
            share = load_any(weights, pair * width + channel) * load16(grad, own)
            value = _delta(load16(v, other + channel), geometry, pair, channel)
            store_any(out, at + slot * width + channel, share * (value - load16(attended, own)))
            _add_to(grad_v, other + channel, share)
            _position_gradient(gradients, geometry, pair, channel, share)
            a = muladd(share, load16(weight, channel), a)
            b = muladd(share, load16(weight, width + channel), b)
            c = muladd(share, load16(weight, 2 * width + channel), c)
        _add_lanes(gradients, pair, (a, b, c))


@njit(nogil=True)
def rectify_gradients(grad: Any, values: Any, at: Any, width: Any) -> None:
    """``grad`` of a block where ``values`` is positive, zero elsewhere, in place."""
    for place in range(0, ROWS * width, ROWS):
        x = where_positive(load_any(values, at + place), load16(grad, place))
        store16(grad, place, x)


@njit(nogil=True)
def store_block(out: Any, at: Any, block: Any, width: Any) -> None:
    """A block in the precision of ``out``."""
    for place in range(0, ROWS * width, ROWS):
        store_any(out, at + place, load16(block, place))


@njit(nogil=True)
def add_block(total: Any, block: Any, width: Any) -> None:
    """Add a block to ``total``."""
    for place in range(0, ROWS * width, ROWS):
        _add_to(total, place, load16(block, place))


@njit(nogil=True)
def point_gradients(
    grad_q: Any, grad_k: Any, gradients: Any, rows: Any, geometry: Any, point: Any, part: Any
) -> None:
    """Add queries', keys' and encoding's gradients, from that of the hidden inputs as rows."""
    width, weight = geometry.width, geometry.weight
    for row in range(rows_of(geometry, part)):
        pair = point * geometry.degree + part * ROWS + row
        other = geometry.neighbours[pair] * width
        a, b, c = zero16(), zero16(), zero16()
        for channel in range(0, width, ROWS):
            x = load16(rows, row * width + channel)
            _add_to(grad_q, point * width + channel, x)
            store16(grad_k, other + channel, load16(grad_k, other + channel) - x)
            _position_gradient(gradients, geometry, pair, channel, x)
            a = muladd(x, load16(weight, channel), a)
            b = muladd(x, load16(weight, width + channel), b)
            c = muladd(x, load16(weight, 2 * width + channel), c)
        _add_lanes(gradients, pair, (a, b, c))
