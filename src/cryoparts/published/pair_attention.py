"""Vector attention with a two-layer attention MLP on every pair, on the processor.

The pairwise part of the published layer, for points i and their K neighbours j::

    delta_ij = weight encoding_ij
    h_ij     = relu(w1 relu(q_i - k_j + delta_ij) + b1)
    out_i    = sum_j softmax_j(w2 h_ij + b2) (v_j + delta_ij)

The softmax cancels b2, which is the same for all neighbours of a point. Nearly
all the work is matrix products of pairs by channels. The neighbours of a point
resemble each other, so that both rectifiers are off for all of them in nearly half
of the channels: the products leave these out (`block_products`), forward and back,
which changes no sum. Everything is done some points at a time in the processor's
caches, a particle by one thread. Forward everything is float32. The backward pass
needs the hidden layer and the softmax: they are kept, for as many particles as
`KEPT_BYTES` holds, and computed again for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from cryoparts.kernels.threads import in_threads
from cryoparts.published.block_products import ROWS, multiplies_bfloat16
from cryoparts.published.pair_attention_memory import (
    Points,
    kept_of,
    make_kept,
    make_layer_gradients,
    make_layer_units,
    make_layers,
    make_tile,
    make_tile_gradients,
    numbers,
    room_of_kept,
    weight_gradient,
)
from cryoparts.published.pair_attention_passes import attend, attend_back
from cryoparts.published.pair_attention_stages import PairGeometry, PositionGradients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

KEPT_BYTES = 1 << 30
"""Memory for what a call keeps for its backward pass."""


def gradient_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32, else float32."""
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


def pair_attention_fits(q: Tensor) -> bool:
    """Whether the compiled form takes tensors like ``q``."""
    return q.device.type == "cpu" and q.dtype == torch.float32 and q.shape[-1] % ROWS == 0


def pair_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    encoding: Tensor,
    weight: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    neighbours: Tensor,
    backward_dtype: torch.dtype | None = None,
) -> Tensor:
    """Softmax-weighted sum of the neighbours' values (equation at the top of the module).

    Parameters
    ----------
    q, k, v : Tensor, shape (B, n, C)
        Float32 on the CPU; C is a multiple of 16 (see `pair_attention_fits`).
    encoding : Tensor, shape (n, K, 3)
        Hidden layer of the position encoding of every pair.
    weight : Tensor, shape (C, 3)
        Last layer of the position encoding.
    w1, w2 : Tensor, shape (C, C)
        Layers of the attention MLP, output by input.
    b1, b2 : Tensor, shape (C,)
        The gradient of b2 is zero, without rounding.
    neighbours : Tensor of int64, shape (n, K)
        Repetitions are allowed and count twice.
    backward_dtype : dtype, optional
        float32 or bfloat16: precision of what is kept for the backward pass and of
        the factors of its matrix products (sums are float32 in either). The
        default is `gradient_dtype`. bfloat16 rounds gradients to some 0.3% of
        their norm; the output does not depend on it.

    Returns
    -------
    Tensor, shape (B, n, C)
        Differentiable, once, in every float argument.

    Raises
    ------
    ValueError
        If a neighbour is no point or there is none, or tensors do not fit the compiled form.
    """
    if not pair_attention_fits(q):
        raise ValueError("pair attention takes float32 on the CPU and channels in sixteens")
    if not neighbours.shape[1]:
        raise ValueError("every point needs at least one neighbour")
    points = q.shape[1]
    if points and (int(neighbours.min()) < 0 or int(neighbours.max()) >= points):
        raise ValueError(f"neighbours must lie in 0..{points - 1}")
    tensors = (q, k, v, encoding, weight, w1, b1, w2, b2)
    needed = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    out: Tensor = _PairAttention.apply(  # type: ignore[no-untyped-call]
        *tensors, neighbours, backward_dtype or gradient_dtype(), needed
    )
    return out


class _PairAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *given, dtype, needed = arguments
        tensors = tuple(x.detach().contiguous() for x in given)
        geometry = _geometry(tensors)
        batch, points, _ = tensors[0].shape
        size = dtype.itemsize * sum(room_of_kept(geometry, points))
        count = min(batch, KEPT_BYTES // max(1, size)) if needed else 0
        kept = make_kept(geometry, points, count, dtype)
        layers = make_layers(*tensors[5:8])
        out = torch.empty_like(tensors[0])

        def run(_: int, first: int, last: int) -> None:
            tile = make_tile(geometry, points)
            for i in range(first, last):
                keep = i < count
                to = kept_of(kept, i if keep else 0)
                attend(numbers(out[i]), to, keep, _points(tensors, i), layers, geometry, tile)

        in_threads(batch, _threads(batch), run)
        ctx.save_for_backward(*tensors, out, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, out, hidden, softmax = (x.detach() for x in ctx.saved_tensors)
        geometry = _geometry(tensors)
        grad = grad.detach().contiguous()
        kept = (hidden, softmax)
        to = [torch.zeros_like(x) for x in tensors[:3]]

        def run(_: int, first: int, last: int) -> tuple[Tensor, ...]:
            return _gradients_of(range(first, last), tensors, out, grad, to, kept, geometry)

        parts = in_threads(len(grad), _threads(len(grad)), run)
        # in the order of the threads, which is always the same
        encoding, weight, w1, b1, w2 = (sum(x[1:], x[0]) for x in zip(*parts, strict=True))
        return (*to, encoding, weight, w1, b1, w2, torch.zeros_like(tensors[8]), None, None, None)


def _geometry(tensors: Sequence[Tensor]) -> PairGeometry:
    encoding, weight, neighbours = tensors[3], tensors[4], tensors[9]
    by_part = numbers(weight.T.contiguous())
    return PairGeometry(
        numbers(neighbours), numbers(encoding), by_part, neighbours.shape[1], weight.shape[0]
    )


def _points(tensors: Sequence[Tensor], particle: int) -> Points:
    return Points(*(numbers(x[particle]) for x in tensors[:3]))


def _threads(batch: int) -> int:
    return max(1, min(torch.get_num_threads(), batch))


def _gradients_of(
    particles: range,
    tensors: Sequence[Tensor],
    out: Tensor,
    grad: Tensor,
    to: Sequence[Tensor],
    kept: tuple[Tensor, Tensor],
    geometry: PairGeometry,
) -> tuple[Tensor, ...]:
    """Write some particles' gradients to ``to``; sums of those of encoding to w2."""
    points, width, dtype = grad.shape[1], geometry.width, kept[0].dtype
    tile = make_tile(geometry, points)
    back = make_tile_gradients(geometry, tile, dtype)
    sums = make_layer_gradients(back, width)
    encoding, weight = torch.zeros_like(tensors[3]), torch.zeros(3, width)
    position = PositionGradients(numbers(encoding), numbers(weight), np.empty(ROWS, np.float32))
    layers = make_layers(*tensors[5:8])
    as_units = make_layer_units(tensors[5], tensors[7], dtype)
    again: tuple[Tensor, Tensor] | None = None
    for i in particles:
        particle = _points(tensors, i)
        if i < len(kept[0]):
            known = kept_of(kept, i)
        else:
            again = again or make_kept(geometry, points, 1, dtype)
            known = kept_of(again, 0)
            unused, keep = numbers(torch.empty_like(out[i])), True
            attend(unused, known, keep, particle, layers, geometry, tile)
        attend_back(
            _points(to, i), sums, position, numbers(grad[i]), numbers(out[i]),
            known, particle, as_units, geometry, tile, back,
        )  # fmt: skip
    w1, w2 = (weight_gradient(x, back, width) for x in (sums.first, sums.second))
    bias = torch.from_numpy(sums.bias).view(width, ROWS).sum(dim=1)
    return encoding, weight.T.contiguous(), w1, bias, w2
