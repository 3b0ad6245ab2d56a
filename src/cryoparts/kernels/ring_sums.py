"""Inner products of half planes, ring by ring: three sums in one pass over the pixels.

The compiled path (complex64 on the processor) reads both half planes once,
adds the rows of +ky and -ky, which lie on the same rings, before it sorts the
values into rings, and writes the gradient in one pass as well. Other devices multiply by
a matrix; everything else takes the plain torch path, which defines the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from cryoparts.kernels.compiled import compiled
from cryoparts.kernels.threads import ONE_PARALLEL_REGION

_FAST: Any = {"contract", "nsz"}
_f = np.float32


def ring_sums(a: Tensor, b: Tensor, ring: Tensor, weights: Tensor, rings: int) -> Tensor:
    """Re<a, b>, <a, a> and <b, b> of each ring.

    Parameters
    ----------
    a, b : Tensor, shape (B, D, D // 2 + 1)
        Complex half planes.
    ring : Tensor, shape (D, D // 2 + 1)
        int64; ring of every pixel, the same for +ky and -ky. Pixels of rings
        beyond the last are left out.
    weights : Tensor, shape (D, D // 2 + 1)
        How often each pixel counts, the same for +ky and -ky.
    rings : int
        Number R of rings.

    Returns
    -------
    Tensor, shape (3, B, R)
    """
    compiled = all(t.device.type == "cpu" and t.dtype == torch.complex64 for t in (a, b))
    if compiled and a.shape == b.shape:
        sums: Tensor = _RingSums.apply(a, b, ring, weights, rings)  # type: ignore[no-untyped-call]
        return sums
    if a.device.type == "cpu":
        return ring_sums_reference(a, b, ring, weights, rings)
    return ring_sums_dense(a, b, ring, weights, rings)


def ring_sums_reference(a: Tensor, b: Tensor, ring: Tensor, weights: Tensor, rings: int) -> Tensor:
    """`ring_sums` in plain torch: any device and dtype."""
    index = ring.flatten().clamp(max=rings)
    products = torch.stack([(x * y.conj()).real * weights for x, y in ((a, b), (a, a), (b, b))])
    sums = products.new_zeros(*products.shape[:2], rings + 1)
    return sums.index_add(2, index, products.flatten(2))[..., :rings]


def ring_sums_dense(a: Tensor, b: Tensor, ring: Tensor, weights: Tensor, rings: int) -> Tensor:
    """`ring_sums` as one product with a (pixels, R) matrix, mostly zeros.

    A graphics processor adds up what is scattered in an order that changes from run to
    run; a product of matrices it repeats to the bit.
    """
    member = ring.flatten()[:, None] == torch.arange(rings, device=ring.device)
    matrix = torch.where(member, weights.flatten()[:, None], 0.0)
    products = torch.stack([(x * y.conj()).real for x, y in ((a, b), (a, a), (b, b))])
    return torch.matmul(products.flatten(2), matrix.to(products.dtype))


@compiled(parallel=True, fastmath=_FAST)
def _sums(a: Any, b: Any, ring: Any, weights: Any, sums: Any) -> None:
    count, box, columns = a.shape
    rings = sums.shape[2]
    for i in prange(count):
        bins = np.zeros((rings, 4), np.float32)
        for y in range(box // 2 + 1):
            conjugate_row = (box - y) % box
            both = conjugate_row != y
            for x in range(columns):
                place = ring[y, x]
                if place >= rings:
                    break
                u, v = a[i, y, x], b[i, y, x]
                ab = u.real * v.real + u.imag * v.imag
                aa = u.real * u.real + u.imag * u.imag
                bb = v.real * v.real + v.imag * v.imag
                if both:
                    u, v = a[i, conjugate_row, x], b[i, conjugate_row, x]
                    ab += u.real * v.real + u.imag * v.imag
                    aa += u.real * u.real + u.imag * u.imag
                    bb += v.real * v.real + v.imag * v.imag
                weight = weights[y, x]
                bins[place, 0] += weight * ab
                bins[place, 1] += weight * aa
                bins[place, 2] += weight * bb
        for r in range(rings):
            for kind in range(3):
                sums[kind, i, r] = bins[r, kind]


@compiled(parallel=True, fastmath=_FAST)
def _gradient(
    own: Any, other: Any, ring: Any, weights: Any, cross: Any, square: Any, gradient: Any
) -> None:
    """Gradient = weights (cross[ring] other + 2 square[ring] own)."""
    count, box, columns = own.shape
    rings = cross.shape[1]
    for i in prange(count):
        for y in range(box):
            for x in range(columns):
                place = ring[y, x]
                if place >= rings:
                    gradient[i, y, x] = 0
                    continue
                first = weights[y, x] * cross[i, place]
                second = _f(2) * weights[y, x] * square[i, place]
                u, v = own[i, y, x], other[i, y, x]
                gradient[i, y, x] = complex(
                    first * v.real + second * u.real, first * v.imag + second * u.imag
                )


class _RingSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, ring: Tensor, weights: Tensor, rings: int
    ) -> Tensor:
        ctx.save_for_backward(a, b, ring, weights)
        sums = torch.empty(3, len(a), rings)
        with ONE_PARALLEL_REGION:
            _sums(*(_array(t) for t in (a, b, ring, weights)), sums.numpy())
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b, ring, weights = ctx.saved_tensors
        cross, first, second = (_array(g) for g in gradients)
        result: list[Tensor | None] = [None, None]
        for place, (own, other, square) in enumerate(((a, b, first), (b, a, second))):
            if ctx.needs_input_grad[place]:
                gradient = torch.empty(own.shape, dtype=own.dtype)
                arrays = (_array(t) for t in (own, other, ring, weights))
                with ONE_PARALLEL_REGION:
                    _gradient(*arrays, cross, square, gradient.numpy())
                result[place] = gradient
        return (*result, None, None, None)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().resolve_conj().contiguous().numpy()
