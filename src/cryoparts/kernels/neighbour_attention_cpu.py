"""Neighbour attention on the processor: float32, compiled, threads over the particles.

Nothing of the size of the pairs reaches memory: a thread holds the pairs of one
point of one particle in its first-level cache and the backward pass computes
them again. A thread owns a run of particles, so that no two threads write the
same gradient row, and has its own copy of the gradients that are summed over
particles; the copies are added in a fixed order, so results repeat to the bit
for a given number of threads.

Memory traffic decides the speed beyond that: see `neighbour_attention_schedule`.
While one particle is worked on, the rows that the next one needs for the same
points are asked for, since no processor can foresee a gather.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from cryoparts.kernels.compiled import compiled
from cryoparts.kernels.lanes import prefetch
from cryoparts.kernels.neighbour_attention_gradients import (
    clear,
    hidden_gradients,
    logit_gradients,
    softmax_gradient,
    value_gradients,
    weight_gradients,
)
from cryoparts.kernels.neighbour_attention_schedule import block_of, plan_visits
from cryoparts.kernels.neighbour_attention_stages import (
    Gradients,
    Inputs,
    Scratch,
    Sizes,
    attention_logits,
    find_rows,
    hidden_layer,
    softmax,
    weighted_sum,
)
from cryoparts.kernels.threads import in_threads

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.kernels.neighbour_attention_schedule import Schedule

LINE = 16
"""Floats in a cache line of 64 bytes."""
PARTICLES_PER_THREAD = 4
"""At least; below, a thread's own gradients cost more than the thread gains."""


@njit(nogil=True, forceinline=True)
def _prefetch_row(array: Any, row: Any, length: Any) -> None:
    for at in range(row * length, (row + 1) * length, LINE):
        prefetch(array, at)


@compiled(nogil=True)
def _forward(
    out: Any, inputs: Any, scratch: Any, sizes: Any, schedule: Any, first: Any, last: Any
) -> None:
    for block in range(len(schedule.row_starts) - 1):
        points, rows, share = block_of(schedule, block)
        for particle in range(first, last):
            # after the last particle its own rows once more, which are at hand
            coming = min(particle + 1, last - 1) * sizes.points
            for turn in range(len(points)):
                point = points[turn]
                _prefetch_row(inputs.q, coming + point, sizes.width)
                _prefetch_row(out, coming + point, sizes.channels)
                for other in rows[turn * share : (turn + 1) * share]:
                    _prefetch_row(inputs.k, coming + other, sizes.width)
                    _prefetch_row(inputs.v, coming + other, sizes.channels)
                row = particle * sizes.points + point
                find_rows(scratch, inputs, sizes, particle, point)
                hidden_layer(scratch, inputs, sizes, row, point)
                attention_logits(scratch, inputs, sizes)
                softmax(scratch, sizes)
                weighted_sum(out, scratch, inputs, sizes, row, point)


@compiled(nogil=True)
def _backward(
    gradients: Any,
    grad_out: Any,
    inputs: Any,
    scratch: Any,
    sizes: Any,
    schedule: Any,
    first: Any,
    last: Any,
) -> None:
    clear(gradients, sizes, first, last)
    for block in range(len(schedule.row_starts) - 1):
        points, rows, share = block_of(schedule, block)
        for particle in range(first, last):
            coming = min(particle + 1, last - 1) * sizes.points
            for turn in range(len(points)):
                point = points[turn]
                _prefetch_row(inputs.q, coming + point, sizes.width)
                _prefetch_row(gradients.q, coming + point, sizes.width)
                _prefetch_row(grad_out, coming + point, sizes.channels)
                for other in rows[turn * share : (turn + 1) * share]:
                    _prefetch_row(inputs.k, coming + other, sizes.width)
                    _prefetch_row(inputs.v, coming + other, sizes.channels)
                    _prefetch_row(gradients.k, coming + other, sizes.width)
                    _prefetch_row(gradients.v, coming + other, sizes.channels)
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


def _scratch(sizes: Sizes) -> Scratch:
    hidden, logits = sizes.slots * sizes.width, sizes.slots * sizes.groups
    floats = (hidden, logits, hidden, logits, sizes.degree * sizes.products)
    rows = [np.zeros(sizes.degree, np.int64) for _ in range(2)]
    # torch aligns memory to cache lines, numpy does not
    return Scratch(*(_flat(torch.zeros(length)) for length in floats), *rows)


def _threads(batch: int) -> int:
    return max(1, min(torch.get_num_threads(), batch // PARTICLES_PER_THREAD))


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
        inputs = Inputs._make([_flat(x) for x in tensors])
        schedule = plan_visits(inputs.neighbours.reshape(-1, sizes.degree))
        out = torch.empty_like(tensors[2])

        def run(thread: int, first: int, last: int) -> None:
            _forward(_flat(out), inputs, _scratch(sizes), sizes, schedule, first, last)

        in_threads(len(q), _threads(len(q)), run)
        ctx.save_for_backward(*tensors)
        ctx.schedule, ctx.sizes = schedule, sizes
        ctx.shapes = (groups, q.shape[-1], v.shape[-1])
        return _narrow(out, groups, v.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for every float input, the pairs computed again."""
        tensors = ctx.saved_tensors
        sizes: Sizes = ctx.sizes
        groups, width, channels = ctx.shapes
        schedule: Schedule = ctx.schedule
        inputs = Inputs._make([_flat(x) for x in tensors])
        incoming = _flat(_wide(grad_out, groups, sizes.group_size))
        batch = len(tensors[0])
        own = [torch.empty_like(x) for x in tensors[:3]]
        shared = (*tensors[3:6], tensors[7])
        copies = [[torch.empty_like(x) for x in shared] for _ in range(_threads(batch))]

        def run(thread: int, first: int, last: int) -> None:
            gradients = Gradients._make([_flat(x) for x in (*own, *copies[thread])])
            _backward(gradients, incoming, inputs, _scratch(sizes), sizes, schedule, first, last)

        in_threads(batch, _threads(batch), run)
        for copy in copies[1:]:
            for total, part in zip(copies[0], copy, strict=True):
                # numpy's sum: torch's would wake its own threads, which then spin for a while
                np.add(total.numpy(), part.numpy(), out=total.numpy())
        totals = copies[0]
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
