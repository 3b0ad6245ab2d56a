"""Neighbour attention at one point of one particle, in vectors of float32.

Everything here works on flat contiguous arrays and element offsets, unchecked:
the width H is a multiple of 16, the channels of a group, S, of 8, the groups of
the logits, G8, of 8; `neighbour_attention_cpu` sees to that. Buffers hold one
point's pairs and stay in the processor's first-level cache: ``hidden`` and
``grad_hidden`` (K8, H), ``weights`` and ``grad_logits`` (K8, G8), where K8 is
the number of neighbours K rounded up to a multiple of 8; rows from K on are and
stay zero. ``rows`` (K,) holds the neighbours' row numbers in the batch.
"""

from __future__ import annotations

from numba import njit

from cryoparts.kernels.lanes import (
    exponential,
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


@njit(nogil=True)
def hidden_layer(hidden, q, q_at, k, rows, position_logits, position_at, count, width):
    """Row j of hidden = relu(q - k[rows[j]] + position_logits[j])."""
    for j in range(count):
        k_at = rows[j] * width
        for h in range(0, width, 16):
            u = load16(q, q_at + h) - load16(k, k_at + h)
            u = u + load16(position_logits, position_at + j * width + h)
            store16(hidden, j * width + h, larger(zero16(), u))


@njit(nogil=True)
def attention_logits(logits, hidden, gamma_transposed, gamma_bias, count, width, groups):
    """Logits = hidden @ gamma_transposed + gamma_bias: 8 neighbours x 8 groups in registers."""
    for g in range(0, groups, 8):
        for j in range(0, count, 8):
            r0 = j * width
            r1 = r0 + width
            r2 = r1 + width
            r3 = r2 + width
            r4 = r3 + width
            r5 = r4 + width
            r6 = r5 + width
            r7 = r6 + width
            a0 = load8(gamma_bias, g)
            a1 = a0
            a2 = a0
            a3 = a0
            a4 = a0
            a5 = a0
            a6 = a0
            a7 = a0
            for h in range(width):
                w = load8(gamma_transposed, h * groups + g)
                a0 = muladd(splat8(hidden, r0 + h), w, a0)
                a1 = muladd(splat8(hidden, r1 + h), w, a1)
                a2 = muladd(splat8(hidden, r2 + h), w, a2)
                a3 = muladd(splat8(hidden, r3 + h), w, a3)
                a4 = muladd(splat8(hidden, r4 + h), w, a4)
                a5 = muladd(splat8(hidden, r5 + h), w, a5)
                a6 = muladd(splat8(hidden, r6 + h), w, a6)
                a7 = muladd(splat8(hidden, r7 + h), w, a7)
            at = j * groups + g
            store8(logits, at, a0)
            store8(logits, at + groups, a1)
            store8(logits, at + 2 * groups, a2)
            store8(logits, at + 3 * groups, a3)
            store8(logits, at + 4 * groups, a4)
            store8(logits, at + 5 * groups, a5)
            store8(logits, at + 6 * groups, a6)
            store8(logits, at + 7 * groups, a7)


@njit(nogil=True)
def softmax(weights, one, count, groups):
    """Softmax over the first ``count`` rows, in place."""
    for g in range(0, groups, 8):
        top = load8(weights, g)
        for j in range(1, count):
            top = larger(top, load8(weights, j * groups + g))
        total = zero8()
        for j in range(count):
            w = exponential(load8(weights, j * groups + g) - top)
            store8(weights, j * groups + g, w)
            total = total + w
        scale = splat8(one, 0) / total
        for j in range(count):
            store8(weights, j * groups + g, load8(weights, j * groups + g) * scale)


@njit(nogil=True)
def weighted_sum(
    out,
    out_at,
    weights,
    v,
    rows,
    position_values,
    position_at,
    count,
    groups,
    group_size,
    stride,
):
    """Channel c of out = sum_j weights[j, g(c)] (v[rows[j], c] + position_values[j, c])."""
    channels = groups * group_size
    for g in range(groups):
        for c in range(g * group_size, (g + 1) * group_size, 8):
            total = zero8()
            for j in range(count):
                value = load8(v, rows[j] * channels + c)
                value = value + load8(position_values, position_at + j * channels + c)
                total = muladd(splat8(weights, j * stride + g), value, total)
            store8(out, out_at + c, total)


@njit(nogil=True)
def value_gradients(
    grad_weights,
    grad_v,
    grad_position_values,
    partial,
    grad_out,
    out_at,
    weights,
    v,
    rows,
    position_values,
    position_at,
    count,
    groups,
    group_size,
    stride,
):
    """Gradients of `weighted_sum`: set for the weights, added for the values and their encoding.

    ``partial`` (stride, 8) holds each group's products, and zeros from ``groups`` on.
    """
    channels = groups * group_size
    for j in range(count):
        for g in range(groups):
            w = splat8(weights, j * stride + g)
            dot = zero8()
            for c in range(g * group_size, (g + 1) * group_size, 8):
                v_at = rows[j] * channels + c
                p_at = position_at + j * channels + c
                grad = load8(grad_out, out_at + c)
                dot = muladd(grad, load8(v, v_at) + load8(position_values, p_at), dot)
                grad = w * grad
                store8(grad_v, v_at, load8(grad_v, v_at) + grad)
                store8(grad_position_values, p_at, load8(grad_position_values, p_at) + grad)
            store8(partial, g * 8, dot)
        for g in range(0, stride, 8):
            sums = sums_of_eight(
                load8(partial, g * 8),
                load8(partial, g * 8 + 8),
                load8(partial, g * 8 + 16),
                load8(partial, g * 8 + 24),
                load8(partial, g * 8 + 32),
                load8(partial, g * 8 + 40),
                load8(partial, g * 8 + 48),
                load8(partial, g * 8 + 56),
            )
            store8(grad_weights, j * stride + g, sums)


@njit(nogil=True)
def softmax_gradient(grad_logits, grad_bias, weights, count, groups):
    """Turn the weights' gradient, in ``grad_logits``, into the logits'; add to the bias's."""
    for g in range(0, groups, 8):
        mean = zero8()
        for j in range(count):
            mean = muladd(load8(weights, j * groups + g), load8(grad_logits, j * groups + g), mean)
        total = load8(grad_bias, g)
        for j in range(count):
            at = j * groups + g
            grad = load8(weights, at) * (load8(grad_logits, at) - mean)
            store8(grad_logits, at, grad)
            total = total + grad
        store8(grad_bias, g, total)


@njit(nogil=True)
def logit_gradients(
    grad_hidden, grad_gamma, grad_logits, hidden, gamma_weight, count, width, groups
):
    """Gradients of `attention_logits`: set for the hidden layer, added for gamma (G8, H)."""
    for g in range(0, groups, 8):
        for h in range(0, width, 16):
            at = g * width + h
            w0 = load16(gamma_weight, at)
            w1 = load16(gamma_weight, at + width)
            w2 = load16(gamma_weight, at + 2 * width)
            w3 = load16(gamma_weight, at + 3 * width)
            w4 = load16(gamma_weight, at + 4 * width)
            w5 = load16(gamma_weight, at + 5 * width)
            w6 = load16(gamma_weight, at + 6 * width)
            w7 = load16(gamma_weight, at + 7 * width)
            s0 = load16(grad_gamma, at)
            s1 = load16(grad_gamma, at + width)
            s2 = load16(grad_gamma, at + 2 * width)
            s3 = load16(grad_gamma, at + 3 * width)
            s4 = load16(grad_gamma, at + 4 * width)
            s5 = load16(grad_gamma, at + 5 * width)
            s6 = load16(grad_gamma, at + 6 * width)
            s7 = load16(grad_gamma, at + 7 * width)
            for j in range(count):
                u = load16(hidden, j * width + h)
                logit_at = j * groups + g
                grad = zero16()
                if g > 0:
                    grad = load16(grad_hidden, j * width + h)
                d = splat16(grad_logits, logit_at)
                grad = muladd(d, w0, grad)
                s0 = muladd(d, u, s0)
                d = splat16(grad_logits, logit_at + 1)
                grad = muladd(d, w1, grad)
                s1 = muladd(d, u, s1)
                d = splat16(grad_logits, logit_at + 2)
                grad = muladd(d, w2, grad)
                s2 = muladd(d, u, s2)
                d = splat16(grad_logits, logit_at + 3)
                grad = muladd(d, w3, grad)
                s3 = muladd(d, u, s3)
                d = splat16(grad_logits, logit_at + 4)
                grad = muladd(d, w4, grad)
                s4 = muladd(d, u, s4)
                d = splat16(grad_logits, logit_at + 5)
                grad = muladd(d, w5, grad)
                s5 = muladd(d, u, s5)
                d = splat16(grad_logits, logit_at + 6)
                grad = muladd(d, w6, grad)
                s6 = muladd(d, u, s6)
                d = splat16(grad_logits, logit_at + 7)
                grad = muladd(d, w7, grad)
                s7 = muladd(d, u, s7)
                store16(grad_hidden, j * width + h, grad)
            store16(grad_gamma, at, s0)
            store16(grad_gamma, at + width, s1)
            store16(grad_gamma, at + 2 * width, s2)
            store16(grad_gamma, at + 3 * width, s3)
            store16(grad_gamma, at + 4 * width, s4)
            store16(grad_gamma, at + 5 * width, s5)
            store16(grad_gamma, at + 6 * width, s6)
            store16(grad_gamma, at + 7 * width, s7)


@njit(nogil=True)
def hidden_gradients(
    grad_q,
    q_at,
    grad_k,
    grad_position_logits,
    grad_hidden,
    hidden,
    rows,
    position_at,
    count,
    width,
):
    """Gradients of `hidden_layer`: set for q, added for k and the position encoding."""
    for h in range(0, width, 16):
        total = zero16()
        for j in range(count):
            at = j * width + h
            grad = where_positive(load16(hidden, at), load16(grad_hidden, at))
            total = total + grad
            k_at = rows[j] * width + h
            store16(grad_k, k_at, load16(grad_k, k_at) - grad)
            p_at = position_at + at
            store16(grad_position_logits, p_at, load16(grad_position_logits, p_at) + grad)
        store16(grad_q, q_at + h, total)
