"""Neighbour attention as Triton kernels: what one program computes.

A program of the first two kernels owns one point and a run of particles, and
keeps the point's position encoding in registers over the run; a program of the
third owns one point of one particle and gathers what flows back to it from the
points that have it as a neighbour. No two programs write the same number, so
there are no atomics and results repeat to the bit.

Sizes ending in ``_2`` are the sizes of the tiles, powers of two; numbers beyond
the true size are masked. A tile of values has the axes neighbour, group, channel
within the group, so that a group's weight meets its channels by broadcasting.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _of_points(
    values: tl.tensor,
    rows: tl.tensor,
    present: tl.tensor,
    width: tl.constexpr,
    width_2: tl.constexpr,
) -> tl.tensor:
    """Rows (R, width_2) of a matrix with ``width`` columns; 0 where nothing is."""
    columns = tl.arange(0, width_2)
    mask = present[:, None] & (columns < width)[None, :]
    return tl.load(values + rows[:, None] * width + columns[None, :], mask=mask, other=0.0)


@triton.jit
def _grouped(
    values: tl.tensor,
    rows: tl.tensor,
    present: tl.tensor,
    groups: tl.constexpr,
    size: tl.constexpr,
    groups_2: tl.constexpr,
    size_2: tl.constexpr,
) -> tl.tensor:
    """Rows (R, groups_2, size_2) of a matrix with groups * size columns; 0 where nothing is."""
    group, channel = tl.arange(0, groups_2), tl.arange(0, size_2)
    columns = group[:, None] * size + channel[None, :]
    inside = (group < groups)[:, None] & (channel < size)[None, :]
    mask = present[:, None, None] & inside[None, :, :]
    return tl.load(
        values + rows[:, None, None] * (groups * size) + columns[None, :, :], mask=mask, other=0.0
    )


@triton.jit
def _store_grouped(
    target: tl.tensor,
    values: tl.tensor,
    groups: tl.constexpr,
    size: tl.constexpr,
    groups_2: tl.constexpr,
    size_2: tl.constexpr,
) -> None:
    """Write a row (groups_2, size_2) of values to ``target``."""
    group, channel = tl.arange(0, groups_2), tl.arange(0, size_2)
    inside = (group < groups)[:, None] & (channel < size)[None, :]
    tl.store(target + group[:, None] * size + channel[None, :], values, mask=inside)


@triton.jit
def _hidden(query: tl.tensor, key: tl.tensor, position: tl.tensor) -> tl.tensor:
    before = query - key + position
    return tl.where(before <= 0, 0.0, before)  # so written, what is not a number stays so


@triton.jit
def _weights(hidden: tl.tensor, gamma: tl.tensor, bias: tl.tensor, present: tl.tensor) -> tl.tensor:
    """Softmax over the neighbours (axis 0) of hidden @ gamma.T + bias."""
    logits = tl.dot(hidden, tl.trans(gamma), input_precision="ieee") + bias[None, :]
    logits = tl.where(present[:, None], logits, float("-inf"))
    powers = tl.exp(logits - tl.max(logits, axis=0)[None, :])
    return powers / tl.sum(powers, axis=0)[None, :]


@triton.jit
def forward_kernel(
    out: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    position_logits: tl.tensor,
    position_values: tl.tensor,
    gamma_weight: tl.tensor,
    gamma_bias: tl.tensor,
    neighbours: tl.tensor,
    batch: tl.tensor,
    points: tl.tensor,
    particles_a_program: tl.tensor,
    degree: tl.constexpr,
    width: tl.constexpr,
    groups: tl.constexpr,
    size: tl.constexpr,
    degree_2: tl.constexpr,
    width_2: tl.constexpr,
    groups_2: tl.constexpr,
    size_2: tl.constexpr,
) -> None:
    """``out`` of one point and a run of particles; grid (points, runs)."""
    point = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * particles_a_program
    count = tl.minimum(particles_a_program, batch - first)
    slot, group, column = tl.arange(0, degree_2), tl.arange(0, groups_2), tl.arange(0, width_2)
    present = slot < degree
    pair = point * degree + slot
    neighbour = tl.load(neighbours + pair, mask=present, other=0)
    position = _of_points(position_logits, pair, present, width, width_2)
    position_value = _grouped(position_values, pair, present, groups, size, groups_2, size_2)
    gamma = _of_points(gamma_weight, group, group < groups, width, width_2)
    bias = tl.load(gamma_bias + group, mask=group < groups, other=0.0)
    start = first.to(tl.int64) * points
    for _ in range(count):
        row = start + point
        query = tl.load(q + row * width + column, mask=column < width, other=0.0)
        key = _of_points(k, start + neighbour, present, width, width_2)
        hidden = _hidden(query[None, :], key, position)
        weights = _weights(hidden, gamma, bias, present)
        value = _grouped(v, start + neighbour, present, groups, size, groups_2, size_2)
        total = tl.sum(weights[:, :, None] * (value + position_value), axis=0)
        _store_grouped(out + row * (groups * size), total, groups, size, groups_2, size_2)
        start += points


@triton.jit
def backward_kernel(
    grad_out: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    position_logits: tl.tensor,
    position_values: tl.tensor,
    gamma_weight: tl.tensor,
    gamma_bias: tl.tensor,
    neighbours: tl.tensor,
    grad_q: tl.tensor,
    grad_position_logits: tl.tensor,
    grad_position_values: tl.tensor,
    grad_gamma_weight: tl.tensor,
    grad_gamma_bias: tl.tensor,
    pair_weights: tl.tensor,
    pair_grad_logits: tl.tensor,
    batch: tl.tensor,
    points: tl.tensor,
    particles_a_program: tl.tensor,
    degree: tl.constexpr,
    width: tl.constexpr,
    groups: tl.constexpr,
    size: tl.constexpr,
    degree_2: tl.constexpr,
    width_2: tl.constexpr,
    groups_2: tl.constexpr,
    size_2: tl.constexpr,
) -> None:
    """All gradients but those of k and v; grid (points, runs).

    Gradients that are sums over the particles are written once a run, those of
    gamma once a point and run. The softmax weights and the gradients of the
    logits of every pair are left for `source_kernel`.
    """
    point = tl.program_id(0).to(tl.int64)
    run = tl.program_id(1)
    first = run * particles_a_program
    count = tl.minimum(particles_a_program, batch - first)
    slot, group, column = tl.arange(0, degree_2), tl.arange(0, groups_2), tl.arange(0, width_2)
    present = slot < degree
    pair = point * degree + slot
    neighbour = tl.load(neighbours + pair, mask=present, other=0)
    position = _of_points(position_logits, pair, present, width, width_2)
    position_value = _grouped(position_values, pair, present, groups, size, groups_2, size_2)
    gamma = _of_points(gamma_weight, group, group < groups, width, width_2)
    bias = tl.load(gamma_bias + group, mask=group < groups, other=0.0)
    of_position = tl.zeros((degree_2, width_2), tl.float32)
    of_value = tl.zeros((degree_2, groups_2, size_2), tl.float32)
    of_gamma = tl.zeros((groups_2, width_2), tl.float32)
    of_bias = tl.zeros((groups_2,), tl.float32)
    in_groups = present[:, None] & (group < groups)[None, :]
    start = first.to(tl.int64) * points
    for _ in range(count):
        row = start + point
        query = tl.load(q + row * width + column, mask=column < width, other=0.0)
        key = _of_points(k, start + neighbour, present, width, width_2)
        hidden = _hidden(query[None, :], key, position)
        weights = _weights(hidden, gamma, bias, present)
        value = _grouped(v, start + neighbour, present, groups, size, groups_2, size_2)
        only = tl.zeros((1,), tl.int64) + row
        incoming = _grouped(grad_out, only, only >= 0, groups, size, groups_2, size_2)
        of_value += weights[:, :, None] * incoming
        grad_weights = tl.sum(incoming * (value + position_value), axis=2)
        mean = tl.sum(weights * grad_weights, axis=0)
        grad_logits = tl.where(in_groups, weights * (grad_weights - mean[None, :]), 0.0)
        of_bias += tl.sum(grad_logits, axis=0)
        of_gamma += tl.dot(tl.trans(grad_logits), hidden, input_precision="ieee")
        grad_hidden = tl.dot(grad_logits, gamma, input_precision="ieee")
        grad_hidden = tl.where(hidden > 0, grad_hidden, 0.0)
        of_position += grad_hidden
        tl.store(grad_q + row * width + column, tl.sum(grad_hidden, axis=0), mask=column < width)
        places = (start * degree + pair)[:, None] * groups + group[None, :]
        tl.store(pair_weights + places, weights, mask=in_groups)
        tl.store(pair_grad_logits + places, grad_logits, mask=in_groups)
        start += points
    pair += run.to(tl.int64) * points * degree
    inside = (column < width)[None, :]
    places = pair[:, None] * width + column[None, :]
    tl.store(grad_position_logits + places, of_position, mask=present[:, None] & inside)
    channel = tl.arange(0, size_2)
    columns = group[:, None] * size + channel[None, :]
    in_values = (group < groups)[:, None] & (channel < size)[None, :]
    tl.store(
        grad_position_values + pair[:, None, None] * (groups * size) + columns[None, :, :],
        of_value,
        mask=present[:, None, None] & in_values[None, :, :],
    )
    program = (run.to(tl.int64) * points + point) * groups
    places = (program + group)[:, None] * width + column[None, :]
    tl.store(grad_gamma_weight + places, of_gamma, mask=(group < groups)[:, None] & inside)
    tl.store(grad_gamma_bias + program + group, of_bias, mask=group < groups)


@triton.jit
def source_kernel(
    grad_out: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    position_logits: tl.tensor,
    gamma_weight: tl.tensor,
    pair_weights: tl.tensor,
    pair_grad_logits: tl.tensor,
    pairs: tl.tensor,
    pair_starts: tl.tensor,
    grad_k: tl.tensor,
    grad_v: tl.tensor,
    points: tl.tensor,
    degree: tl.constexpr,
    width: tl.constexpr,
    groups: tl.constexpr,
    size: tl.constexpr,
    pairs_2: tl.constexpr,
    width_2: tl.constexpr,
    groups_2: tl.constexpr,
    size_2: tl.constexpr,
) -> None:
    """Gradients of k and v at one point of one particle; grid (points, particles).

    ``pairs`` lists the pairs (point * degree + slot) by the neighbour that they
    name, ``pair_starts`` where each neighbour's pairs begin.
    """
    source = tl.program_id(0).to(tl.int64)
    start = tl.program_id(1).to(tl.int64) * points
    group, column = tl.arange(0, groups_2), tl.arange(0, width_2)
    gamma = _of_points(gamma_weight, group, group < groups, width, width_2)
    row = start + source
    key = tl.load(k + row * width + column, mask=column < width, other=0.0)
    of_key = tl.zeros((width_2,), tl.float32)
    of_value = tl.zeros((groups_2, size_2), tl.float32)
    last = tl.load(pair_starts + source + 1)
    for at in range(tl.load(pair_starts + source), last, pairs_2):
        place = at + tl.arange(0, pairs_2)
        present = place < last
        pair = tl.load(pairs + place, mask=present, other=0)
        target = start + pair // degree
        query = _of_points(q, target, present, width, width_2)
        position = _of_points(position_logits, pair, present, width, width_2)
        hidden = _hidden(query, key[None, :], position)
        of_pair = start * degree + pair
        grad_logits = _of_points(pair_grad_logits, of_pair, present, groups, groups_2)
        grad_hidden = tl.dot(grad_logits, gamma, input_precision="ieee")
        of_key -= tl.sum(tl.where(hidden > 0, grad_hidden, 0.0), axis=0)
        weights = _of_points(pair_weights, of_pair, present, groups, groups_2)
        incoming = _grouped(grad_out, target, present, groups, size, groups_2, size_2)
        of_value += tl.sum(weights[:, :, None] * incoming, axis=0)
    tl.store(grad_k + row * width + column, of_key, mask=column < width)
    _store_grouped(grad_v + row * (groups * size), of_value, groups, size, groups_2, size_2)
