"""Values at points interpolated from a few neighbours among other points.

Each of n points takes a weighted sum of K of m source points. The sources are
fixed by the neutral geometry; the weights may be fixed or learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from torch.autograd.function import once_differentiable

from cryoparts.kernels.compiled import compiled

if TYPE_CHECKING:
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

    Returns
    -------
    Tensor, shape (B, n, C)
        Differentiable in `values` and `weights`.
    """
    if values.device.type == "cpu" and values.dtype == torch.float32:
        result: Tensor = _Interpolation.apply(values, indices, weights)  # type: ignore[no-untyped-call]
        return result
    if values.device.type != "cpu":
        return interpolate_dense(values, indices, weights)
    return interpolate_reference(values, indices, weights)


def interpolate_reference(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """`interpolate` in plain torch: its definition, for any device and dtype."""
    out = values.new_zeros(values.shape[0], indices.shape[0], values.shape[2])
    for neighbour in range(indices.shape[1]):  # a loop over K, so that (B, n, K, C) never exists
        out = out + weights[:, neighbour, None] * values[:, indices[:, neighbour]]
    return out


def interpolate_dense(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """`interpolate` as one product with an (n, m) matrix, mostly zeros.

    A graphics processor multiplies the zeros in less time than it needs to add
    up, for the gradients, what a row has lent to many points.
    """
    points = torch.arange(len(indices), device=indices.device)[:, None].expand_as(indices)
    matrix = weights.new_zeros(len(indices), values.shape[1])
    matrix = matrix.index_put((points, indices), weights, accumulate=True)
    return torch.matmul(matrix, values)


class _Interpolation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        # Values are kept only where the weights are learned: they are the large array.
        kept = values if ctx.needs_input_grad[2] else None
        ctx.save_for_backward(indices, weights, kept)
        ctx.sources = values.shape[1]
        out = values.new_empty(values.shape[0], indices.shape[0], values.shape[2])
        _gather(
            values.detach().contiguous().numpy(),
            indices.numpy(),
            weights.detach().contiguous().numpy(),
            out.numpy(),
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        """Gradients for the values and, where they are learned, the weights."""
        gradient = gradients[0].contiguous().numpy()
        indices, weights, values = ctx.saved_tensors
        by_values = by_weights = None
        if ctx.needs_input_grad[0]:
            by_values = weights.new_zeros(gradient.shape[0], ctx.sources, gradient.shape[2])
            _scatter(
                gradient, indices.numpy(), weights.detach().contiguous().numpy(), by_values.numpy()
            )
        if values is not None:
            by_weights = torch.empty_like(weights, memory_format=torch.contiguous_format)
            _weight_gradients(
                gradient,
                indices.numpy(),
                values.detach().contiguous().numpy(),
                by_weights.detach().numpy(),
            )
        return by_values, None, by_weights


@compiled(parallel=True, fastmath=True)
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


@compiled(parallel=True, fastmath=True)
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


@compiled(parallel=True, fastmath=True)
def _weight_gradients(
    gradient: NDArray[np.float32],
    indices: NDArray[np.int64],
    values: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    for i in numba.prange(indices.shape[0]):  # each thread owns whole points: no race
        for j in range(indices.shape[1]):
            source, total = indices[i, j], np.float32(0.0)
            for b in range(gradient.shape[0]):
                for c in range(gradient.shape[2]):
                    total += gradient[b, i, c] * values[b, source, c]
            out[i, j] = total
