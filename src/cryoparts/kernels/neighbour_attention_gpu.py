"""Neighbour attention on graphics processors: float32, fused, in Triton.

Nothing of the size of the pairs times their channels reaches memory, and the
backward pass computes the pairs again. What flows back to a point from the
points that have it as a neighbour is gathered along the inverted list of
neighbours instead of being scattered, so no sum depends on the order in which
programs run, and results repeat to the bit. Two numbers a pair and group (weight
and gradient of the logit) are kept between the two halves of the backward pass,
for so many particles at a time as fit `PAIR_NUMBERS_AT_A_TIME`.

Importing this module needs Triton. Where Triton's interpreter is on
(TRITON_INTERPRET=1, set before the import) the kernels run, slowly, on the processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import triton
from torch.autograd.function import once_differentiable

from cryoparts.kernels.launching import FUSED, on_device_of
from cryoparts.kernels.neighbour_attention_triton import (
    backward_kernel,
    forward_kernel,
    source_kernel,
)

if TYPE_CHECKING:
    from torch import Tensor

DEVICE = "cuda" if isinstance(forward_kernel, triton.JITFunction) else "cpu"
"""Type of the devices that the kernels run on; "cpu" under the interpreter."""

PAIR_NUMBERS_AT_A_TIME = 1 << 23
"""Numbers of each of the two arrays of the backward pass (32 MiB)."""

PROGRAMS = 4096
"""Programs to start, about: enough to fill a large device, few enough that a program's
own gradients of the position encodings are few."""

SMALLEST_TILE = 16
"""Side of the smallest matrix that Triton multiplies."""

NUMBERS_IN_TILES = 1 << 13
"""Numbers that a program's tiles may hold together: about 9 bytes of shared memory each, of
the 99 KiB or more that a device has since 2020, and nearly all registers."""


class _Tiles(NamedTuple):
    """True sizes and tile sizes, in the order in which the kernels take them."""

    degree: int
    width: int
    groups: int
    size: int
    degree_2: int
    width_2: int
    groups_2: int
    size_2: int


def gpu_neighbour_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position_logits: Tensor,
    position_values: Tensor,
    gamma_weight: Tensor,
    gamma_bias: Tensor,
    neighbours: Tensor,
) -> Tensor:
    """Neighbour attention by the fused kernels.

    Arguments, result and equation as in
    `cryoparts.kernels.neighbour_attention.neighbour_attention`; float32, on a
    device of type `DEVICE`, and of sizes for which `gpu_kernel_fits`.
    """
    # A group is cut into several of the same weights where that fills Triton's smallest tile.
    parts = _parts_of_a_group(len(gamma_bias), v.shape[-1])
    weight = gamma_weight.unsqueeze(1).expand(-1, parts, -1).flatten(0, 1)
    bias = gamma_bias.unsqueeze(1).expand(-1, parts).flatten()
    out: Tensor = _GpuNeighbourAttention.apply(  # type: ignore[no-untyped-call]
        q, k, v, position_logits, position_values, weight, bias, neighbours
    )
    return out


def gpu_kernel_fits(width: int, channels: int, groups: int, degree: int) -> bool:
    """Whether the kernels take tensors of these sizes: H, C, G and K."""
    groups *= _parts_of_a_group(groups, channels)
    *_, degree_2, width_2, groups_2, size_2 = _tiles(width, channels, groups, degree)
    matrices = (degree_2 + groups_2) * width_2
    return matrices + degree_2 * groups_2 * size_2 <= NUMBERS_IN_TILES


class _GpuNeighbourAttention(torch.autograd.Function):
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
        floats = (q, k, v, position_logits, position_values, gamma_weight, gamma_bias)
        inputs = [x.detach().contiguous() for x in (*floats, neighbours)]
        pairs, starts = _pairs_by_neighbour(inputs[-1], q.shape[1])
        ctx.save_for_backward(*inputs, pairs, starts)
        out = torch.empty_like(inputs[2])
        if out.numel():
            batch, points = q.shape[:2]
            tiles = _tiles(q.shape[-1], v.shape[-1], len(gamma_bias), neighbours.shape[1])
            length = _particles_a_program(batch, points)
            with on_device_of(q):
                forward_kernel[(points, triton.cdiv(batch, length))](
                    out, *inputs, batch, points, length, *tiles, **FUSED
                )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for every float input, the pairs computed again."""
        *inputs, pairs, starts = ctx.saved_tensors
        q, k, v, *shared = inputs
        incoming = grad_out.contiguous()
        own = [torch.empty_like(x) for x in (q, k, v)]
        totals = [torch.zeros_like(x) for x in shared[:4]]
        tiles = _tiles(q.shape[-1], v.shape[-1], len(shared[3]), shared[4].shape[1])
        numbers = len(pairs) * tiles.groups
        step = max(1, PAIR_NUMBERS_AT_A_TIME // max(1, numbers))
        for first in range(0, len(q) if numbers else 0, step):
            rows = [x[first : first + step] for x in (incoming, q, k, v)]
            results = [x[first : first + step] for x in own]
            with on_device_of(q):
                parts = _backward_of_rows(rows, shared, pairs, starts, results, tiles)
            for total, part in zip(totals, parts, strict=True):
                total += part
        return (*own, *totals, None)


def _backward_of_rows(
    rows: list[Tensor],
    shared: list[Tensor],
    pairs: Tensor,
    starts: Tensor,
    results: list[Tensor],
    tiles: _Tiles,
) -> list[Tensor]:
    """Write some particles' gradients of q, k, v; return their sums for the other inputs."""
    incoming, q, k, v = rows
    position_logits, position_values, gamma_weight, _, _ = shared
    batch, points = q.shape[:2]
    length = _particles_a_program(batch, points)
    runs = triton.cdiv(batch, length)
    sums = [
        q.new_empty(runs, *position_logits.shape),
        q.new_empty(runs, *position_values.shape),
        q.new_empty(runs * points, *gamma_weight.shape),
        q.new_empty(runs * points, tiles.groups),
    ]
    kept = [q.new_empty(batch, len(pairs), tiles.groups) for _ in range(2)]
    backward_kernel[(points, runs)](
        incoming, q, k, v, *shared, results[0], *sums, *kept, batch, points, length, *tiles, **FUSED
    )
    source_kernel[(points, batch)](
        incoming,
        q,
        k,
        position_logits,
        gamma_weight,
        *kept,
        pairs,
        starts,
        *results[1:],
        points,
        *tiles,
        **FUSED,
    )
    return [x.sum(dim=0) for x in sums]


def _pairs_by_neighbour(neighbours: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Pairs (n * K,) in the order of the neighbours they name, and where each one's begin (n + 1,).

    Counting also makes the device report a neighbour that is no point, before
    the kernels, which would read astray, come to it.
    """
    named = neighbours.flatten()
    counts = torch.zeros(points + 1, dtype=torch.int64, device=named.device)
    counts.scatter_add_(0, named + 1, torch.ones_like(named))
    return torch.argsort(named, stable=True), counts.cumsum(0)


def _particles_a_program(batch: int, points: int) -> int:
    return triton.cdiv(batch, max(1, PROGRAMS // points)) if points else 1


def _tiles(width: int, channels: int, groups: int, degree: int) -> _Tiles:
    size = channels // groups

    def side(number: int, smallest: int = SMALLEST_TILE) -> int:
        return int(triton.next_power_of_2(max(number, smallest)))

    return _Tiles(
        degree, width, groups, size, side(degree), side(width), side(groups), side(size, 1)
    )


def _parts_of_a_group(groups: int, channels: int) -> int:
    size = channels // groups
    wanted = max(1, SMALLEST_TILE // groups)
    return max(parts for parts in range(1, wanted + 1) if size % parts == 0)
