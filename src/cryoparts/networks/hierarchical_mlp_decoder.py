"""Hierarchical MLP decoder: few coarse Gaussians move, the fine ones follow.

The second baseline of Chen, Li, Liao (arXiv 2601.18713): a Gaussian mixture model of two
levels, after Chen, Toader, Lederman (2023, arXiv 2211.10518).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cryoparts.kernels.interpolation import interpolate
from cryoparts.networks.mlp_decoder import MlpDecoder

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.gaussians.point_hierarchy import HierarchyLevel


FINE_FACTOR = 0.03
"""On the second level's output. Adam's steps are of one size, so the fine Gaussians leave the
coarse ones this much more slowly than these move. Measured with 1 and 0.1 as well,
with 0, and with the second level from the fifth epoch on: benchmarks/choices.md."""


class HierarchicalMlpDecoder(nn.Module):
    """An MLP's offsets of coarse Gaussians, which the fine ones follow, and another MLP's of each.

    A fine Gaussian takes the weighted mean of the offsets of its nearest coarse ones; the
    weights are fixed, a function of the distance in the neutral model. To this are added a
    constant of its own, since the neutral model never fits the data to the last ångström,
    and, slowly, what it does by itself.

    Parameters
    ----------
    latent_dimensions : int
        Length Z of the latent vector.
    coarse : HierarchyLevel
        The coarse Gaussians, with the weights by which the N fine ones follow.
    n_channels : int
        Number of offsets a Gaussian.
    """

    followed: Tensor
    weights: Tensor

    def __init__(self, latent_dimensions: int, coarse: HierarchyLevel, n_channels: int) -> None:
        super().__init__()
        following = coarse.to_gaussians
        self.coarse = MlpDecoder(latent_dimensions, len(coarse), n_channels)
        self.fine = MlpDecoder(latent_dimensions, len(following.indices), n_channels)
        self.constant = nn.Parameter(torch.zeros(self.fine.shape))
        fixed = {"followed": following.indices, "weights": following.weights}
        for name, values in fixed.items():
            self.register_buffer(name, torch.as_tensor(values).contiguous(), persistent=False)

    def own_terms(self) -> list[nn.Parameter]:
        """The parameters that belong to single Gaussians, which may learn faster."""
        return [self.constant]

    def forward(self, latent: Tensor) -> Tensor:
        """(B, Z) to offsets (B, N, channels)."""
        followed = interpolate(self.coarse(latent), self.followed, self.weights)
        own: Tensor = FINE_FACTOR * self.fine(latent) + self.constant
        return followed + own
