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


FEWEST_CHANNELS = 16
"""Of fewer channels, those of all particles are worked on together: a vector of the processor
holds sixteen, and the channels of one particle would fill a part of it."""

PARTICLES_TOGETHER = 64
"""At most: their sums stay in the first-level cache."""


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
        sources, shares = values.detach(), weights.detach().contiguous().numpy()
        if values.shape[2] < FEWEST_CHANNELS:
            _gather_few(_side_by_side(sources), indices.numpy(), shares, out.numpy())
        else:
            _gather(sources.contiguous().numpy(), indices.numpy(), shares, out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        """Gradients for the values and, where they are learned, the weights."""
        indices, weights, values = ctx.saved_tensors
        gradient, shares = gradients[0].detach(), weights.detach().contiguous().numpy()
        few = gradient.shape[2] < FEWEST_CHANNELS
        rows = _side_by_side(gradient) if few else gradient.contiguous().numpy()
        by_values = by_weights = None
        if ctx.needs_input_grad[0]:
            by_values = weights.new_zeros(gradient.shape[0], ctx.sources, gradient.shape[2])
            scatter = _scatter_few if few else _scatter
            scatter(rows, indices.numpy(), shares, by_values.numpy())
        if values is not None:
            by_weights = torch.empty_like(weights, memory_format=torch.contiguous_format)
            kept = values.detach()
            if few:
                _weight_gradients_few(
                    rows, indices.numpy(), _side_by_side(kept), by_weights.detach().numpy()
                )
            else:
                _weight_gradients(
                    rows, indices.numpy(), kept.contiguous().numpy(), by_weights.detach().numpy()
                )
        return by_values, None, by_weights


def _side_by_side(values: Tensor) -> NDArray[np.float32]:
    """Values (B, m, C) with all particles' channels of a point in one row (m, B C)."""
    rows: NDArray[np.float32] = values.transpose(0, 1).contiguous().flatten(1).numpy()
    return rows


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
def _gather_few(
    by_source: NDArray[np.float32],
    indices: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """As `_gather`, of values (m, B C) with the particles beside each other."""
    count, channels = out.shape[0], out.shape[2]
    blocks = (count + PARTICLES_TOGETHER - 1) // PARTICLES_TOGETHER
    for block in numba.prange(blocks):
        first = np.int64(block) * PARTICLES_TOGETHER
        together = min(PARTICLES_TOGETHER, count - first)
        sums = np.empty(together * channels, np.float32)
        begin = first * channels
        for i in range(indices.shape[0]):
            sums[:] = np.float32(0.0)
            for j in range(indices.shape[1]):
                weight = weights[i, j]
                # a slice from 0 on: indices that might be negative are not worked on in vectors
                row = by_source[indices[i, j], begin : begin + len(sums)]
                for k in range(len(sums)):
                    sums[k] += weight * row[k]
            here = out[first : first + together, i]
            for b in range(together):
                for c in range(channels):
                    here[b, c] = sums[b * channels + c]


@compiled(parallel=True, fastmath=True)
def _scatter_few(
    gradient: NDArray[np.float32],
    indices: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """As `_scatter`, of gradients (n, B C) with the particles beside each other."""
    count, sources, channels = out.shape
    blocks = (count + PARTICLES_TOGETHER - 1) // PARTICLES_TOGETHER
    for block in numba.prange(blocks):
        first = np.int64(block) * PARTICLES_TOGETHER
        together = min(PARTICLES_TOGETHER, count - first)
        sums = np.zeros((sources, together * channels), np.float32)
        begin = first * channels
        for i in range(indices.shape[0]):
            row = gradient[i, begin : begin + sums.shape[1]]
            for j in range(indices.shape[1]):
                weight, total = weights[i, j], sums[indices[i, j]]
                for k in range(len(row)):
                    total[k] += weight * row[k]
        for source in range(sources):
            for b in range(together):
                for c in range(channels):
                    out[first + b, source, c] = sums[source, b * channels + c]


@compiled(parallel=True, fastmath=True)
def _weight_gradients_few(
    gradient: NDArray[np.float32],
    indices: NDArray[np.int64],
    values: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """As `_weight_gradients`, of rows with the particles beside each other."""
    for i in numba.prange(indices.shape[0]):
        row = gradient[i]
        for j in range(indices.shape[1]):
            source, total = values[indices[i, j]], np.float32(0.0)
            for k in range(len(row)):
                total += row[k] * source[k]
            out[i, j] = total


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
