"""The published decoder as the paper writes it, in plain torch: what the fast one must equal.

Chen, Li, Liao (arXiv 2601.18713). Neighbours are gathered first, every Dense layer acts
on pairs, all features of all levels are interpolated to the Gaussians, and one linear
layer gives the offsets. It takes the weights of a decoder of this program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def interpolated(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Values (B, points, C) at (n, K) points with weights (n, K): (B, n, C)."""
    return (values[:, indices] * weights[None, :, :, None]).sum(dim=2)


def attend_as_published(level: Any, points: Tensor, geometry: Any) -> Tensor:
    """One level: w = softmax(gamma(q_i - k_j + delta_ij)), y'_i = sum_j w (v_j + delta_ij)."""
    query = level.query(points)[:, :, None]
    key = level.key(points)[:, geometry.neighbours]
    delta = level.position(geometry.offsets)[None]
    weights = level.gamma(query - key + delta).softmax(dim=2)
    attended = (weights * (level.value(key) + delta)).sum(dim=2)
    mixed: Tensor = points + level.mix(torch.cat([points, attended], dim=-1))
    return mixed


def decode_as_defined(
    decoder: Any, latent: Tensor, attend: Callable[[Any, Tensor, Any], Tensor]
) -> Tensor:
    """Latent vectors (B, Z) to offsets (B, N, channels) of a decoder of levels."""
    points = decoder.start(latent).unflatten(1, decoder.coarse_shape)
    features, head = [], []
    for number, (geometry, level) in enumerate(
        zip(decoder.geometry, decoder.attention, strict=True)
    ):
        if number:
            points = interpolated(points, geometry.up_indices, geometry.up_weights)
        points = attend(level, points, geometry)
        features.append(interpolated(points, geometry.output_indices, geometry.output_weights))
        head.append(decoder.heads[number].weight)
    offsets: Tensor = decoder.output_scale * torch.cat(features, dim=2) @ torch.cat(head, dim=1).T
    return offsets
