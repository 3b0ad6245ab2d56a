"""Neighbour attention at one point of one particle: the stages backward.

Sizes, arrays and scratch are those of `neighbour_attention_stages`, whose forward
stages have filled ``scratch`` for the point.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from cryoparts.kernels.lanes import (
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


@njit(nogil=True, forceinline=True)
def clear(gradients: Any, sizes: Any, first: Any, last: Any) -> None:
    """Set to zero what the particles ``first`` to ``last`` will be added to."""
    rows = sizes.points * sizes.width
    gradients.k[first * rows : last * rows] = 0
    rows = sizes.points * sizes.channels
    gradients.v[first * rows : last * rows] = 0
    gradients.position_logits[:] = 0
    gradients.position_values[:] = 0
    gradients.gamma[:] = 0
    gradients.bias[:] = 0


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
