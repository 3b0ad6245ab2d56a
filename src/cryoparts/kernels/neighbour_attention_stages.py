"""Neighbour attention at one point of one particle: its data and the stages forward.

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
    store8,
    store16,
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


class Inputs(NamedTuple):
    """Flat float32 arrays, gamma as (G, H) and as (H, G), and int64 neighbours (n, K)."""

    q: Any
    k: Any
    v: Any
    position_logits: Any
    position_values: Any
    gamma: Any
    gamma_transposed: Any
    bias: Any
    neighbours: Any


class Gradients(NamedTuple):
    """Gradients of the inputs of the same names, flat; those after ``v`` are a thread's own."""

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
