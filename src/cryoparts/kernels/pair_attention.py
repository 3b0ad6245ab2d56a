"""Vector attention with a two-layer attention MLP on every pair, on the processor.

The pairwise part of the published layer, for points i and their K neighbours j::

    delta_ij = weight encoding_ij
    h_ij     = relu(w1 relu(q_i - k_j + delta_ij) + b1)
    out_i    = sum_j softmax_j(w2 h_ij + b2) (v_j + delta_ij)

The softmax cancels b2, which is the same for all neighbours of a point. Nearly
all the work is matrix products of pairs by channels, done tile by tile in the
processor's caches; everything between them is one compiled pass a product.
Forward everything is float32. The backward pass needs the hidden layer and the
softmax: they are kept, for as many particles as `KEPT_BYTES` holds, and computed
again for the others.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from torch.autograd.function import once_differentiable

from cryoparts.kernels.pair_attention_tiles import (
    LANES,
    BackwardTiles,
    Crew,
    ForwardTiles,
    flat,
)

if TYPE_CHECKING:
    from torch import Tensor

KEPT_BYTES = 1 << 30
"""Memory for what a call keeps for its backward pass."""


@cache
def gradient_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32, else float32."""
    try:
        features = get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on every system
        return torch.float32
    fast = any(features.get(name, False) for name in ("avx512bf16", "amx-bf16"))
    return torch.bfloat16 if fast else torch.float32


def pair_attention_fits(q: Tensor) -> bool:
    """Whether the compiled form takes tensors like ``q``."""
    return q.device.type == "cpu" and q.dtype == torch.float32 and q.shape[-1] % LANES == 0


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
        q, pairs = tensors[0], tensors[-1].numel()
        batch, _, width = q.shape
        bytes_a_particle = 2 * pairs * width * dtype.itemsize
        count = min(batch, KEPT_BYTES // max(1, bytes_a_particle)) if needed else 0
        hidden, softmax = (torch.empty(count, pairs, width, dtype=dtype) for _ in range(2))
        out = torch.empty_like(q)
        with Crew(width) as crew:
            forward = ForwardTiles(tensors, torch.float32, crew)
            for particle in range(batch):
                to = flat(out[particle])
                for tile in forward.tiles:
                    of = (particle, forward.rows(tile))
                    kept = (hidden[of], softmax[of]) if particle < count else None
                    forward.attend(particle, tile, kept, to)
        ctx.save_for_backward(*tensors, out, hidden, softmax)
        ctx.dtype = dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, out, hidden, softmax = ctx.saved_tensors
        with Crew(grad.shape[-1]) as crew:
            backward = BackwardTiles(tuple(tensors), ctx.dtype, crew)
            for particle, grad_of in enumerate(grad.contiguous()):
                kept = (hidden[particle], softmax[particle]) if particle < len(hidden) else None
                backward.particle(particle, grad_of, out[particle], kept)
        return (*backward.gradients(), torch.zeros_like(tensors[6]), None, None, None)
