"""Neighbour attention on the processor: float32, compiled, threads over the particles.

Nothing of the size of the pairs reaches memory: a thread holds the pairs of one
point of one particle in its first-level cache and the backward pass computes
them again. A thread owns a run of particles, so that no two threads write the
same gradient row, and has its own copy of the gradients that are summed over
particles; the copies are added in a fixed order, so results repeat to the bit
for a given number of threads.

Memory traffic decides the speed beyond that. A block of points is taken through
all the thread's particles before the next block, which keeps the block's position
encoding and its gradient in cache, and the points are visited in an order in
which neighbours follow each other, which keeps the gathered rows there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from cryoparts.kernels.neighbour_attention_stages import (
    Gradients,
    Inputs,
    Scratch,
    Sizes,
    attention_logits,
    find_rows,
    hidden_gradients,
    hidden_layer,
    logit_gradients,
    softmax,
    softmax_gradient,
    value_gradients,
    weight_gradients,
    weighted_sum,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POINTS_PER_BLOCK = 16
ORDERED_FROM = 128
"""Points below which a particle's rows fit the second-level cache in any order."""


@njit(cache=True, nogil=True)
def _forward(out: Any, inputs: Any, scratch: Any, sizes: Any, first: Any, last: Any) -> None:
    for start in range(0, sizes.points, sizes.block):
        for particle in range(first, last):
            for point in inputs.order[start : start + sizes.block]:
                row = particle * sizes.points + point
                find_rows(scratch, inputs, sizes, particle, point)
                hidden_layer(scratch, inputs, sizes, row, point)
                attention_logits(scratch, inputs, sizes)
                softmax(scratch, sizes)
                weighted_sum(out, scratch, inputs, sizes, row, point)


@njit(cache=True, nogil=True)
def _backward(
    gradients: Any, grad_out: Any, inputs: Any, scratch: Any, sizes: Any, first: Any, last: Any
) -> None:
    for start in range(0, sizes.points, sizes.block):
        for particle in range(first, last):
            for point in inputs.order[start : start + sizes.block]:
                row = particle * sizes.points + point
                find_rows(scratch, inputs, sizes, particle, point)
                hidden_layer(scratch, inputs, sizes, row, point)
                attention_logits(scratch, inputs, sizes)
                softmax(scratch, sizes)
                value_gradients(gradients, grad_out, scratch, inputs, sizes, row, point)
                weight_gradients(scratch, sizes)
                softmax_gradient(gradients, scratch, sizes)
                logit_gradients(gradients, scratch, inputs, sizes)
                hidden_gradients(gradients, scratch, sizes, row, point)


def _up(number: int, multiple: int) -> int:
    return number + -number % multiple


def _sizes(q: Tensor, v: Tensor, groups: int, neighbours: Tensor) -> Sizes:
    """Every size rounded up to whole vectors."""
    points, count = neighbours.shape
    rows = _up(groups, 8)
    group_size = _up(v.shape[-1] // groups, 8 if groups % 2 == 0 else 16)
    channels = groups * group_size
    return Sizes(
        points=points,
        degree=count,
        slots=_up(count, 8),
        width=_up(q.shape[-1], 16),
        groups=rows,
        channels=channels,
        group_size=group_size,
        products=max(channels, 8 * rows),
        block=POINTS_PER_BLOCK,
    )


def _wide(tensor: Tensor, parts: int, width: int) -> Tensor:
    """The last axis seen as ``parts`` equal parts, each filled with zeros to ``width``."""
    if tensor.shape[-1] == parts * width:
        return tensor.detach().contiguous()
    split = tensor.detach().reshape(*tensor.shape[:-1], parts, tensor.shape[-1] // parts)
    return pad(split, (0, width - split.shape[-1])).flatten(-2)


def _narrow(tensor: Tensor, parts: int, channels: int) -> Tensor:
    """Undo `_wide`."""
    if tensor.shape[-1] == channels:
        return tensor
    split = tensor.reshape(*tensor.shape[:-1], parts, tensor.shape[-1] // parts)
    return split[..., : channels // parts].flatten(-2)


def _flat(tensor: Tensor) -> Any:
    return tensor.numpy().reshape(-1)


def _visiting_order(neighbours: Tensor) -> Any:
    """Points in an order that keeps neighbours close (Cuthill and McKee 1969)."""
    points, count = neighbours.shape
    if points < ORDERED_FROM:
        return np.arange(points)
    starts = np.arange(points + 1, dtype=np.int32) * count
    ends = _flat(neighbours).astype(np.int32)
    graph = csr_matrix((np.ones(len(ends), np.int8), ends, starts), shape=(points, points))
    return reverse_cuthill_mckee(graph).astype(np.int64)


def _scratch(sizes: Sizes) -> Scratch:
    hidden, logits = sizes.slots * sizes.width, sizes.slots * sizes.groups
    floats = (hidden, logits, hidden, logits, sizes.degree * sizes.products)
    rows = [np.zeros(sizes.degree, np.int64) for _ in range(2)]
    # torch aligns memory to cache lines, numpy does not
    return Scratch(*(_flat(torch.zeros(length)) for length in floats), *rows)


def _in_threads(batch: int, run: Callable[[int, int, int], None]) -> None:
    """Call ``run(thread, first, last)`` on equal runs of particles."""
    threads = _threads(batch)
    edges = [batch * i // threads for i in range(threads + 1)]
    if threads == 1:
        run(0, 0, batch)
        return
    with ThreadPoolExecutor(threads) as pool:
        tasks = [partial(run, i, *ends) for i, ends in enumerate(pairwise(edges))]
        for future in [pool.submit(task) for task in tasks]:
            future.result()


def _threads(batch: int) -> int:
    return max(1, min(torch.get_num_threads(), batch))


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
        """Compute the output; keep the inputs alone for the backward pass."""
        groups = len(gamma_bias)
        sizes = _sizes(q, v, groups, neighbours)
        width, group_size = sizes.width, sizes.group_size
        extra = sizes.groups - groups
        gamma = pad(_wide(gamma_weight, 1, width), (0, 0, 0, extra))
        tensors = (
            _wide(q, 1, width),
            _wide(k, 1, width),
            _wide(v, groups, group_size),
            _wide(position_logits, 1, width),
            _wide(position_values, groups, group_size),
            gamma,
            gamma.T.contiguous(),
            pad(gamma_bias.detach(), (0, extra)),
            neighbours.contiguous(),
        )
        order = _visiting_order(tensors[-1])
        inputs = Inputs._make([*(_flat(x) for x in tensors), order])
        out = torch.empty_like(tensors[2])

        def run(thread: int, first: int, last: int) -> None:
            _forward(_flat(out), inputs, _scratch(sizes), sizes, first, last)

        _in_threads(len(q), run)
        ctx.save_for_backward(*tensors)
        ctx.order, ctx.sizes = order, sizes
        ctx.shapes = (groups, q.shape[-1], v.shape[-1])
        return _narrow(out, groups, v.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for every float input, the pairs computed again."""
        tensors = ctx.saved_tensors
        sizes: Sizes = ctx.sizes
        groups, width, channels = ctx.shapes
        inputs = Inputs._make([*(_flat(x) for x in tensors), ctx.order])
        incoming = _flat(_wide(grad_out, groups, sizes.group_size))
        batch = len(tensors[0])
        own = [torch.zeros_like(x) for x in tensors[:3]]
        shared = (*tensors[3:6], tensors[7])
        copies = [x.new_zeros((_threads(batch), *x.shape)) for x in shared]

        def run(thread: int, first: int, last: int) -> None:
            gradients = Gradients(*(_flat(x) for x in own), *(_flat(x[thread]) for x in copies))
            _backward(gradients, incoming, inputs, _scratch(sizes), sizes, first, last)

        _in_threads(batch, run)
        totals = [x.sum(dim=0) if len(x) > 1 else x[0] for x in copies]
        return (
            _narrow(own[0], 1, width),
            _narrow(own[1], 1, width),
            _narrow(own[2], groups, channels),
            _narrow(totals[0], 1, width),
            _narrow(totals[1], groups, channels),
            _narrow(totals[2], 1, width)[:groups],
            totals[3][:groups],
            None,
        )
