"""Neighbour attention at one point of one particle, stage by stage, in vectors of float32.

Everything works on flat contiguous arrays and element offsets, unchecked; the
sizes are rounded up to whole vectors by `neighbour_attention_cpu`. The pairs of
the point at hand live in `Scratch`, a few kilobytes that stay in the processor's
first-level cache. ``row`` counts rows of (B, n, .), ``point`` rows of (n, K, .).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from cryoparts.kernels.lanes import (
    exponential,
    filled8,
    larger,
    load8,
    load16,
    muladd,
    splat8,
    splat16,
    store8,
    store16,
    sums_of_eight,
    where_positive,
    zero8,
    zero16,
)


class Sizes(NamedTuple):
    """Numbers of everything, after rounding up."""

    points: int
    degree: int  # neighbours of a point, K
    slots: int  # K rounded up to a multiple of 8
    width: int  # H, a multiple of 16
    groups: int  # rows of gamma, a multiple of 8
    channels: int  # C, a multiple of 16
    group_size: int  # channels of a group, a multiple of 8
    products: int  # length of a row of Scratch.products
    block: int  # points taken through all particles together


class Inputs(NamedTuple):
    """Flat float32 arrays, with gamma (G, H) and (H, G); int64 neighbours (n K) and order (n)."""

    q: Any
    k: Any
    v: Any
    position_logits: Any
    position_values: Any
    gamma: Any
    gamma_transposed: Any
    bias: Any
    neighbours: Any
    order: Any


class Gradients(NamedTuple):
    """Gradients of the inputs of the same names, flat; all but q's are added to."""

    q: Any
    k: Any
    v: Any
    position_logits: Any
    position_values: Any
    gamma: Any
    bias: Any


class Scratch(NamedTuple):
    """One point's pairs; rows from K to ``slots`` are and stay zero."""

    hidden: Any  # (slots, H)
    weights: Any  # (slots, G): logits, then softmax weights
    grad_hidden: Any  # (slots, H)
    grad_logits: Any  # (slots, G): gradients of the weights, then of the logits
    products: Any  # (K, products)
    k_rows: Any  # (K,) where each neighbour's row starts in k
    v_rows: Any  # (K,) and in v


@njit(nogil=True, forceinline=True)
def find_rows(scratch: Any, inputs: Any, sizes: Any, particle: Any, point: Any) -> None:
    """Set where each neighbour's rows start."""
    for j in range(sizes.degree):
        row = particle * sizes.points + inputs.neighbours[point * sizes.degree + j]
        scratch.k_rows[j] = row * sizes.width
        scratch.v_rows[j] = row * sizes.channels


@njit(nogil=True, forceinline=True)
def hidden_layer(scratch: Any, inputs: Any, sizes: Any, row: Any, point: Any) -> None:
    """hidden[j] = relu(q - k[j] + position_logits[j])."""
    width = sizes.width
    for h in range(0, width, 16):
        query = load16(inputs.q, row * width + h)
        position_at = point * sizes.degree * width + h
        for j in range(sizes.degree):
            u = query - load16(inputs.k, scratch.k_rows[j] + h)
            u = u + load16(inputs.position_logits, position_at + j * width)
            store16(scratch.hidden, j * width + h, larger(zero16(), u))


@njit(nogil=True, forceinline=True)
def attention_logits(scratch: Any, inputs: Any, sizes: Any) -> None:
    """Weights = hidden @ gamma.T + bias, for 8 neighbours and 8 groups at a time."""
    hidden, logits, width, groups = scratch.hidden, scratch.weights, sizes.width, sizes.groups
    for g in range(0, groups, 8):
        for j in range(0, sizes.slots, 8):
            r0 = j * width
            r1 = r0 + width
            r2 = r1 + width
            r3 = r2 + width
            r4 = r3 + width
            r5 = r4 + width
            r6 = r5 + width
            r7 = r6 + width
            s0 = load8(inputs.bias, g)
            s1 = s0
            s2 = s0
            s3 = s0
            s4 = s0
            s5 = s0
            s6 = s0
            s7 = s0
            for h in range(width):
                w = load8(inputs.gamma_transposed, h * groups + g)
                s0 = muladd(splat8(hidden, r0 + h), w, s0)
                s1 = muladd(splat8(hidden, r1 + h), w, s1)
                s2 = muladd(splat8(hidden, r2 + h), w, s2)
                s3 = muladd(splat8(hidden, r3 + h), w, s3)
                s4 = muladd(splat8(hidden, r4 + h), w, s4)
                s5 = muladd(splat8(hidden, r5 + h), w, s5)
                s6 = muladd(splat8(hidden, r6 + h), w, s6)
                s7 = muladd(splat8(hidden, r7 + h), w, s7)
            at = j * groups + g
            store8(logits, at, s0)
            store8(logits, at + groups, s1)
            store8(logits, at + 2 * groups, s2)
            store8(logits, at + 3 * groups, s3)
            store8(logits, at + 4 * groups, s4)
            store8(logits, at + 5 * groups, s5)
            store8(logits, at + 6 * groups, s6)
            store8(logits, at + 7 * groups, s7)


@njit(nogil=True, forceinline=True)
def softmax(scratch: Any, sizes: Any) -> None:
    """Softmax of the logits over the neighbours, in place."""
    weights, groups = scratch.weights, sizes.groups
    for g in range(0, groups, 8):
        top = load8(weights, g)
        for j in range(1, sizes.degree):
            top = larger(top, load8(weights, j * groups + g))
        total = zero8()
        for j in range(sizes.degree):
            w = exponential(load8(weights, j * groups + g) - top)
            store8(weights, j * groups + g, w)
            total = total + w
        scale = filled8(1.0) / total
        for j in range(sizes.degree):
            store8(weights, j * groups + g, load8(weights, j * groups + g) * scale)


@njit(nogil=True, forceinline=True)
def weighted_sum(out: Any, scratch: Any, inputs: Any, sizes: Any, row: Any, point: Any) -> None:
    """out[c] = sum_j weights[j, g(c)] (v[j, c] + position_values[j, c])."""
    channels, groups, weights = sizes.channels, sizes.groups, scratch.weights
    for c in range(0, channels, 16):
        g0 = c // sizes.group_size
        g1 = (c + 8) // sizes.group_size
        sum0 = zero8()
        sum1 = zero8()
        for j in range(sizes.degree):
            v_at = scratch.v_rows[j] + c
            at = (point * sizes.degree + j) * channels + c
            value = load8(inputs.v, v_at) + load8(inputs.position_values, at)
            sum0 = muladd(splat8(weights, j * groups + g0), value, sum0)
            value = load8(inputs.v, v_at + 8) + load8(inputs.position_values, at + 8)
            sum1 = muladd(splat8(weights, j * groups + g1), value, sum1)
        store8(out, row * channels + c, sum0)
        store8(out, row * channels + c + 8, sum1)


@njit(nogil=True, forceinline=True)
def _value_gradient(
    gradients: Any, scratch: Any, inputs: Any, sizes: Any, j: Any, g: Any, c: Any, at: Any, out: Any
) -> None:
    v_at = scratch.v_rows[j] + c
    value = load8(inputs.v, v_at) + load8(inputs.position_values, at)
    store8(scratch.products, j * sizes.products + c, out * value)
    grad = splat8(scratch.weights, j * sizes.groups + g) * out
    store8(gradients.v, v_at, load8(gradients.v, v_at) + grad)
    store8(gradients.position_values, at, load8(gradients.position_values, at) + grad)


@njit(nogil=True, forceinline=True)
def value_gradients(
    gradients: Any, grad_out: Any, scratch: Any, inputs: Any, sizes: Any, row: Any, point: Any
) -> None:
    """Gradients of `weighted_sum` for the values and their position encoding.

    Leaves the products whose sums over each group's channels are the weights' gradients.
    """
    for c in range(0, sizes.channels, 16):
        g0 = c // sizes.group_size
        g1 = (c + 8) // sizes.group_size
        out0 = load8(grad_out, row * sizes.channels + c)
        out1 = load8(grad_out, row * sizes.channels + c + 8)
        for j in range(sizes.degree):
            at = (point * sizes.degree + j) * sizes.channels + c
            _value_gradient(gradients, scratch, inputs, sizes, j, g0, c, at, out0)
            _value_gradient(gradients, scratch, inputs, sizes, j, g1, c + 8, at + 8, out1)


@njit(nogil=True, forceinline=True)
def weight_gradients(scratch: Any, sizes: Any) -> None:
    """Gradients of the softmax weights, into ``grad_logits``; spends the products."""
    products, group_size = scratch.products, sizes.group_size
    for j in range(sizes.degree):
        at = j * sizes.products
        if group_size > 8:
            for g in range(sizes.channels // group_size):
                total = load8(products, at + g * group_size)
                for c in range(8, group_size, 8):
                    total = total + load8(products, at + g * group_size + c)
                store8(products, at + g * 8, total)
        for g in range(0, sizes.groups, 8):
            first = at + g * 8
            sums = sums_of_eight(
                load8(products, first),
                load8(products, first + 8),
                load8(products, first + 16),
                load8(products, first + 24),
                load8(products, first + 32),
                load8(products, first + 40),
                load8(products, first + 48),
                load8(products, first + 56),
            )
            store8(scratch.grad_logits, j * sizes.groups + g, sums)


@njit(nogil=True, forceinline=True)
def softmax_gradient(gradients: Any, scratch: Any, sizes: Any) -> None:
    """Gradients of the logits, in place of the weights', and of the bias."""
    weights, grads, groups = scratch.weights, scratch.grad_logits, sizes.groups
    for g in range(0, groups, 8):
        mean = zero8()
        for j in range(sizes.degree):
            mean = muladd(load8(weights, j * groups + g), load8(grads, j * groups + g), mean)
        total = load8(gradients.bias, g)
        for j in range(sizes.degree):
            at = j * groups + g
            grad = load8(weights, at) * (load8(grads, at) - mean)
            store8(grads, at, grad)
            total = total + grad
        store8(gradients.bias, g, total)


@njit(nogil=True, forceinline=True)
def logit_gradients(gradients: Any, scratch: Any, inputs: Any, sizes: Any) -> None:
    """Gradients of `attention_logits`, for the hidden layer and for gamma."""
    width, gamma, sums = sizes.width, inputs.gamma, gradients.gamma
    for g in range(0, sizes.groups, 8):
        for h in range(0, width, 16):
            at = g * width + h
            w0 = load16(gamma, at)
            w1 = load16(gamma, at + width)
            w2 = load16(gamma, at + 2 * width)
            w3 = load16(gamma, at + 3 * width)
            w4 = load16(gamma, at + 4 * width)
            w5 = load16(gamma, at + 5 * width)
            w6 = load16(gamma, at + 6 * width)
            w7 = load16(gamma, at + 7 * width)
            s0 = load16(sums, at)
            s1 = load16(sums, at + width)
            s2 = load16(sums, at + 2 * width)
            s3 = load16(sums, at + 3 * width)
            s4 = load16(sums, at + 4 * width)
            s5 = load16(sums, at + 5 * width)
            s6 = load16(sums, at + 6 * width)
            s7 = load16(sums, at + 7 * width)
            for j in range(sizes.degree):
                u = load16(scratch.hidden, j * width + h)
                d0 = splat16(scratch.grad_logits, j * sizes.groups + g)
                d1 = splat16(scratch.grad_logits, j * sizes.groups + g + 1)
                d2 = splat16(scratch.grad_logits, j * sizes.groups + g + 2)
                d3 = splat16(scratch.grad_logits, j * sizes.groups + g + 3)
                d4 = splat16(scratch.grad_logits, j * sizes.groups + g + 4)
                d5 = splat16(scratch.grad_logits, j * sizes.groups + g + 5)
                d6 = splat16(scratch.grad_logits, j * sizes.groups + g + 6)
                d7 = splat16(scratch.grad_logits, j * sizes.groups + g + 7)
                s0 = muladd(d0, u, s0)
                s1 = muladd(d1, u, s1)
                s2 = muladd(d2, u, s2)
                s3 = muladd(d3, u, s3)
                s4 = muladd(d4, u, s4)
                s5 = muladd(d5, u, s5)
                s6 = muladd(d6, u, s6)
                s7 = muladd(d7, u, s7)
                low = muladd(d3, w3, muladd(d2, w2, muladd(d1, w1, d0 * w0)))
                high = muladd(d7, w7, muladd(d6, w6, muladd(d5, w5, d4 * w4)))
                grad = low + high
                if g > 0:
                    grad = grad + load16(scratch.grad_hidden, j * width + h)
                store16(scratch.grad_hidden, j * width + h, grad)
            store16(sums, at, s0)
            store16(sums, at + width, s1)
            store16(sums, at + 2 * width, s2)
            store16(sums, at + 3 * width, s3)
            store16(sums, at + 4 * width, s4)
            store16(sums, at + 5 * width, s5)
            store16(sums, at + 6 * width, s6)
            store16(sums, at + 7 * width, s7)


@njit(nogil=True, forceinline=True)
def hidden_gradients(gradients: Any, scratch: Any, sizes: Any, row: Any, point: Any) -> None:
    """Gradients of `hidden_layer`, for the query, the keys and their position encoding."""
    width = sizes.width
    for h in range(0, width, 16):
        total = zero16()
        for j in range(sizes.degree):
            at = j * width + h
            grad = where_positive(load16(scratch.hidden, at), load16(scratch.grad_hidden, at))
            total = total + grad
            k_at = scratch.k_rows[j] + h
            store16(gradients.k, k_at, load16(gradients.k, k_at) - grad)
            position_at = point * sizes.degree * width + at
            summed = load16(gradients.position_logits, position_at) + grad
            store16(gradients.position_logits, position_at, summed)
        store16(gradients.q, row * width + h, total)
