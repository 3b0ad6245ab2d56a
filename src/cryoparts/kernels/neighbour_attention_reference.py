"""Neighbour attention in plain torch: the definition, on any device and in any precision."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PAIR_ELEMENTS_PER_CHUNK = 1 << 24
"""Elements of one particles x points x neighbours x channels tensor in memory at a time."""


def neighbour_attention_definition(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position_logits: Tensor,
    position_values: Tensor,
    gamma_weight: Tensor,
    gamma_bias: Tensor,
    neighbours: Tensor,
) -> Tensor:
    """Neighbour attention as its equation says it, every pair held in memory.

    See `cryoparts.kernels.neighbour_attention.neighbour_attention` for the
    equation and the shapes.

    Returns
    -------
    Tensor, shape (B, n, C)
    """
    hidden = torch.relu(q.unsqueeze(2) - k[:, neighbours] + position_logits)
    logits = hidden @ gamma_weight.T + gamma_bias  # (B, n, K, G)
    weights = torch.softmax(logits, dim=2)
    values = v[:, neighbours] + position_values  # (B, n, K, C)
    groups = gamma_weight.shape[0]
    grouped = values.reshape(*values.shape[:-1], groups, values.shape[-1] // groups)
    out: Tensor = (weights.unsqueeze(-1) * grouped).sum(dim=2).flatten(-2)  # (B, n, C)
    return out


def neighbour_attention_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position_logits: Tensor,
    position_values: Tensor,
    gamma_weight: Tensor,
    gamma_bias: Tensor,
    neighbours: Tensor,
) -> Tensor:
    """`neighbour_attention_definition` over a few particles at a time.

    Only one chunk's pairs are in memory; the backward pass computes them again.

    Returns
    -------
    Tensor, shape (B, n, C)
    """
    points, count = neighbours.shape
    pair_elements = points * count * max(q.shape[-1], v.shape[-1])
    chunk = max(1, PAIR_ELEMENTS_PER_CHUNK // max(1, pair_elements))
    shared = (position_logits, position_values, gamma_weight, gamma_bias, neighbours)
    if q.shape[0] <= chunk:
        return neighbour_attention_definition(q, k, v, *shared)
    outputs = [
        checkpoint(
            neighbour_attention_definition,
            *rows,
            *shared,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for rows in zip(*(torch.split(x, chunk) for x in (q, k, v)), strict=True)
    ]
    return torch.cat(outputs)
