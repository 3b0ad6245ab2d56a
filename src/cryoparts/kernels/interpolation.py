"""Values at points interpolated from a few neighbours among other points.

Each of n points takes a fixed weighted sum of K of m source points. The
weights never need gradients, because the neutral geometry is fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def interpolate(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """``out[b, i, c] = sum_j weights[i, j] values[b, indices[i, j], c]``.

    Parameters
    ----------
    values : Tensor, shape (B, m, C)
    indices : int64 Tensor, shape (n, K)
        Rows of `values`, each below m.
    weights : Tensor, shape (n, K)
        Not differentiated.

    Returns
    -------
    Tensor, shape (B, n, C)
        Differentiable in `values`.
    """
    if values.device.type == "cpu" and values.dtype == torch.float32:
        result: Tensor = _Interpolation.apply(values, indices, weights)  # type: ignore[no-untyped-call]
        return result
    return interpolate_reference(values, indices, weights)


def interpolate_reference(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """`interpolate` in plain torch: its definition, for any device and dtype."""
    out = values.new_zeros(values.shape[0], indices.shape[0], values.shape[2])
    for neighbour in range(indices.shape[1]):  # a loop over K, so that (B, n, K, C) never exists
        out = out + weights[:, neighbour, None] * values[:, indices[:, neighbour]]
    return out


class _Interpolation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(indices, weights)
        ctx.sources = values.shape[1]
        out = values.new_empty(values.shape[0], indices.shape[0], values.shape[2])
        _gather(values.detach().contiguous().numpy(), indices.numpy(), weights.numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        indices, weights = ctx.saved_tensors
        out = gradient.new_zeros(gradient.shape[0], ctx.sources, gradient.shape[2])
        _scatter(gradient.contiguous().numpy(), indices.numpy(), weights.numpy(), out.numpy())
        return out, None, None


@numba.njit(parallel=True, fastmath=True, cache=True)
def _gather(
    values: NDArray[np.float32],
    indices: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    for b in numba.prange(values.shape[0]):
        for i in range(indices.shape[0]):
            for c in range(values.shape[2]):
                out[b, i, c] = 0.0
            for j in range(indices.shape[1]):
                weight, source = weights[i, j], indices[i, j]
                for c in range(values.shape[2]):
                    out[b, i, c] += weight * values[b, source, c]


@numba.njit(parallel=True, fastmath=True, cache=True)
def _scatter(
    gradient: NDArray[np.float32],
    indices: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    for b in numba.prange(gradient.shape[0]):  # each thread owns whole particles: no race
        for i in range(indices.shape[0]):
            for j in range(indices.shape[1]):
                weight, source = weights[i, j], indices[i, j]
                for c in range(gradient.shape[2]):
                    out[b, source, c] += weight * gradient[b, i, c]
