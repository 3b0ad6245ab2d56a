"""Neighbour attention on the processor: float32, compiled, threads over the particles.

Nothing of the size of the pairs reaches memory: a thread holds the pairs of one
point of one particle in its first-level cache and the backward pass computes
them again. A thread owns a run of particles, so that no two threads write the
same gradient row, and has its own copy of the gradients that are summed over
particles; the copies are added in a fixed order, so results repeat to the bit
for a given number of threads. Within a thread a block of points is taken through
all its particles before the next block: the position encoding of the block and
its gradient then stay in cache.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit
from torch.autograd.function import once_differentiable

from cryoparts.kernels.neighbour_attention_stages import (
    attention_logits,
    hidden_gradients,
    hidden_layer,
    logit_gradients,
    softmax,
    softmax_gradient,
    value_gradients,
    weighted_sum,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POINTS_PER_BLOCK = 16


@njit(cache=True, nogil=True)
def _forward(
    out,
    q,
    k,
    v,
    position_logits,
    position_values,
    gamma_transposed,
    gamma_bias,
    neighbours,
    first,
    last,
    points,
    count,
    width,
    stride,
    groups,
    group_size,
    block,
):
    padded = (count + 7) // 8 * 8
    channels = groups * group_size
    hidden = np.zeros(padded * width, np.float32)
    weights = np.zeros(padded * stride, np.float32)
    rows = np.zeros(count, np.int64)
    one = np.ones(1, np.float32)
    for start in range(0, points, block):
        for b in range(first, last):
            for i in range(start, min(start + block, points)):
                for j in range(count):
                    rows[j] = b * points + neighbours[i * count + j]
                row = b * points + i
                pair = i * count
                hidden_layer(
                    hidden, q, row * width, k, rows, position_logits, pair * width, count, width
                )
                attention_logits(
                    weights, hidden, gamma_transposed, gamma_bias, padded, width, stride
                )
                softmax(weights, one, count, stride)
                weighted_sum(
                    out,
                    row * channels,
                    weights,
                    v,
                    rows,
                    position_values,
                    pair * channels,
                    count,
                    groups,
                    group_size,
                    stride,
                )


@njit(cache=True, nogil=True)
def _backward(
    grad_q,
    grad_k,
    grad_v,
    grad_position_logits,
    grad_position_values,
    grad_gamma,
    grad_bias,
    grad_out,
    q,
    k,
    v,
    position_logits,
    position_values,
    gamma_weight,
    gamma_transposed,
    gamma_bias,
    neighbours,
    first,
    last,
    points,
    count,
    width,
    stride,
    groups,
    group_size,
    block,
):
    padded = (count + 7) // 8 * 8
    channels = groups * group_size
    hidden = np.zeros(padded * width, np.float32)
    grad_hidden = np.zeros(padded * width, np.float32)
    weights = np.zeros(padded * stride, np.float32)
    grad_logits = np.zeros(padded * stride, np.float32)
    products = np.zeros(stride * 8, np.float32)
    rows = np.zeros(count, np.int64)
    one = np.ones(1, np.float32)
    for start in range(0, points, block):
        for b in range(first, last):
            for i in range(start, min(start + block, points)):
                for j in range(count):
                    rows[j] = b * points + neighbours[i * count + j]
                row = b * points + i
                pair = i * count
                hidden_layer(
                    hidden, q, row * width, k, rows, position_logits, pair * width, count, width
                )
                attention_logits(
                    weights, hidden, gamma_transposed, gamma_bias, padded, width, stride
                )
                softmax(weights, one, count, stride)
                value_gradients(
                    grad_logits,
                    grad_v,
                    grad_position_values,
                    products,
                    grad_out,
                    row * channels,
                    weights,
                    v,
                    rows,
                    position_values,
                    pair * channels,
                    count,
                    groups,
                    group_size,
                    stride,
                )
                softmax_gradient(grad_logits, grad_bias, weights, count, stride)
                logit_gradients(
                    grad_hidden,
                    grad_gamma,
                    grad_logits,
                    hidden,
                    gamma_weight,
                    count,
                    width,
                    stride,
                )
                hidden_gradients(
                    grad_q,
                    row * width,
                    grad_k,
                    grad_position_logits,
                    grad_hidden,
                    hidden,
                    rows,
                    pair * width,
                    count,
                    width,
                )


def _groups_padded(gamma_weight: Tensor, gamma_bias: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Gamma with zero rows and columns added up to whole vectors."""
    groups, narrow = gamma_weight.shape
    extra = -groups % 8
    weight = torch.nn.functional.pad(gamma_weight, (0, width - narrow, 0, extra))
    return weight.contiguous(), torch.nn.functional.pad(gamma_bias, (0, extra)).contiguous()


def _wide(tensor: Tensor, parts: int, width: int) -> Tensor:
    """The last axis seen as ``parts`` equal parts, each filled with zeros to ``width``."""
    if tensor.shape[-1] == parts * width:
        return tensor.detach().contiguous()
    split = tensor.detach().unflatten(-1, (parts, -1))
    padded = torch.nn.functional.pad(split, (0, width - split.shape[-1]))
    return padded.flatten(-2).contiguous()


def _narrow(tensor: Tensor, parts: int, width: int) -> Tensor:
    """Undo `_wide`."""
    if tensor.shape[-1] == parts * width:
        return tensor
    return tensor.unflatten(-1, (parts, -1))[..., :width].flatten(-2).contiguous()


def _flat(tensor: Tensor) -> Any:
    return tensor.numpy().reshape(-1)


def _runs(batch: int) -> list[tuple[int, int]]:
    """Equal runs of particles, one a thread."""
    threads = max(1, min(torch.get_num_threads(), batch))
    edges = [batch * i // threads for i in range(threads + 1)]
    return list(pairwise(edges))


def _in_threads(tasks: list[Callable[[], None]]) -> None:
    if len(tasks) == 1:
        tasks[0]()
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()


class CpuNeighbourAttention(torch.autograd.Function):
    """`neighbour_attention` for float32 tensors on the processor."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        position_logits: Tensor,
        position_values: Tensor,
        gamma_weight: Tensor,
        gamma_bias: Tensor,
        neighbours: Tensor,
    ) -> Tensor:
        """Compute the output; keeps the inputs alone for the backward pass."""
        batch, points, narrow = q.shape
        groups = gamma_weight.shape[0]
        narrow_group = v.shape[-1] // groups
        width, group_size = narrow + -narrow % 16, narrow_group + -narrow_group % 8
        weight, bias = _groups_padded(gamma_weight.detach(), gamma_bias.detach(), width)
        inputs = (
            _wide(q, 1, width),
            _wide(k, 1, width),
            _wide(v, groups, group_size),
            _wide(position_logits, 1, width),
            _wide(position_values, groups, group_size),
            weight,
            weight.T.contiguous(),
            bias,
            neighbours.contiguous(),
        )
        sizes = (points, neighbours.shape[1], width, len(bias), groups, group_size)
        out = inputs[2].new_empty(inputs[2].shape)
        arrays = [_flat(x) for x in (out, *inputs[:5], *inputs[6:])]

        def run(first: int, last: int) -> None:
            _forward(*arrays, first, last, *sizes, POINTS_PER_BLOCK)

        _in_threads([partial(run, *edges) for edges in _runs(batch)])
        ctx.save_for_backward(*inputs)
        ctx.sizes, ctx.narrow, ctx.narrow_group = sizes, narrow, narrow_group
        return _narrow(out, groups, narrow_group)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for every float input, the pairs computed again."""
        inputs = ctx.saved_tensors
        q, k, v, position_logits, position_values, weight, _, bias, _ = inputs
        groups, group_size = ctx.sizes[4:]
        runs = _runs(len(q))
        own = [torch.zeros_like(x) for x in (q, k, v)]
        copies = [
            x.new_zeros((len(runs), *x.shape))
            for x in (position_logits, position_values, weight, bias)
        ]
        fixed = [_flat(x) for x in (_wide(grad_out, groups, group_size), *inputs)]
        owned = [_flat(x) for x in own]

        def run(copy: int, first: int, last: int) -> None:
            summed = [_flat(x[copy]) for x in copies]
            _backward(*owned, *summed, *fixed, first, last, *ctx.sizes, POINTS_PER_BLOCK)

        _in_threads([partial(run, copy, *edges) for copy, edges in enumerate(runs)])
        summed = [x.sum(dim=0) if len(runs) > 1 else x[0] for x in copies]
        return (
            _narrow(own[0], 1, ctx.narrow),
            _narrow(own[1], 1, ctx.narrow),
            _narrow(own[2], groups, ctx.narrow_group),
            _narrow(summed[0], 1, ctx.narrow),
            _narrow(summed[1], groups, ctx.narrow_group),
            summed[2][:groups, : ctx.narrow].contiguous(),
            summed[3][:groups].contiguous(),
            None,
        )
