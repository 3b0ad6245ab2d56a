"""What each particle asks of the neutral model's Gaussians.

For every particle, the gradient of its agreement with the neutral model with
respect to each Gaussian's x, y, z and relative amplitude, taken particle by
particle (not of a batch mean, so no batch size enters).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.deformation import Gaussians
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.image_model.losses import Objective

CHANNELS = 4
"""x, y, z, amplitude."""

BATCH = 64
"""Particles whose gradients are computed together: bounds the memory."""


def agreement_gradients(
    forward: ForwardModel, objective: Objective, neutral: Gaussians, indices: NDArray[np.int64]
) -> Tensor:
    """Gradients (B, N, 4) of each particle's agreement, unscaled.

    Parameters
    ----------
    forward, objective
        How particles are imaged and compared.
    neutral : Gaussians
        The neutral model.
    indices : array, shape (B,)
        Particles.
    """
    batch = forward.batch(indices)
    shape = (len(indices), len(neutral.amplitudes))
    positions = neutral.positions.expand(*shape, 3).clone().requires_grad_()
    relative = torch.ones(shape, device=forward.device, requires_grad=True)
    gaussians = Gaussians(positions, neutral.amplitudes * relative, neutral.widths)
    agreement = objective.agreement(batch.data, forward.images_of(gaussians, batch))
    by_position, by_amplitude = torch.autograd.grad(agreement.sum(), (positions, relative))
    return torch.cat([by_position, by_amplitude[..., None]], dim=-1)


def channel_scale(
    forward: ForwardModel,
    objective: Objective,
    neutral: Gaussians,
    rows: NDArray[np.int64] | None = None,
) -> Tensor:
    """Factors (4,) that give the gradients of each kind unit deviation over the data set.

    Over the particles `rows`; default: all.

    The three axes share one: no direction is special. A kind whose gradients
    are all 0 keeps the factor 0.
    """
    among = np.arange(len(forward.particles)) if rows is None else rows
    sample = evenly_spaced(among, 8 * BATCH)
    squares = torch.zeros(CHANNELS, device=forward.device)
    for indices in np.array_split(sample, -(-len(sample) // BATCH)):
        gradients = agreement_gradients(forward, objective, neutral, indices)
        squares += gradients.square().mean(dim=1).sum(dim=0)
    return unit_deviation(squares / len(sample))


def unit_deviation(power: Tensor) -> Tensor:
    """Factors (4,) as of `channel_scale`, from each kind's mean square (4,)."""
    shared = torch.cat([power[:3].mean().expand(3), power[3:]])
    return torch.where(shared > 0, shared.clamp_min(1e-30).rsqrt(), torch.zeros_like(shared))
