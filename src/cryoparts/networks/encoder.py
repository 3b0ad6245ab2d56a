"""Encoder: from what a particle asks of each Gaussian to its latent vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

INITIAL_OUTPUT_STD = 1e-3
"""Small, so that training starts from the neutral model and the principal components."""


class Encoder(nn.Module):
    """Three Dense + ReLU layers and a linear layer to the latent vector.

    The input is the gradient of a particle's loss with respect to the neutral
    model's Gaussians, flattened (Chen & Ludtke 2021, Nat. Methods 18, 930). To the
    output is added a fixed linear map of the input, 0 unless `start_from` sets it.

    Parameters
    ----------
    n_inputs : int
        Length of the flattened gradient.
    latent_dimensions : int
        Length Z of the latent vector.
    hidden : int
        Width of the hidden layers.
    """

    principal_weight: Tensor
    principal_bias: Tensor

    def __init__(self, n_inputs: int, latent_dimensions: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, latent_dimensions),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=INITIAL_OUTPUT_STD)
        nn.init.zeros_(last.bias)
        self.register_buffer("principal_weight", torch.zeros(latent_dimensions, n_inputs))
        self.register_buffer("principal_bias", torch.zeros(latent_dimensions))

    def start_from(self, weight: Tensor, bias: Tensor) -> None:
        """Set the fixed linear map: weight (Z, n_inputs), bias (Z,)."""
        self.principal_weight.copy_(weight)
        self.principal_bias.copy_(bias)

    def forward(self, gradients: Tensor) -> Tensor:
        """(B, n_inputs) to (B, Z)."""
        start = nn.functional.linear(gradients, self.principal_weight, self.principal_bias)
        latent: Tensor = start + self.layers(gradients)
        return latent
