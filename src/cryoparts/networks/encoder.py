"""Encoder: from what a particle asks of each Gaussian to its latent vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

INITIAL_OUTPUT_STD = 1e-3
"""Small, so that training starts from the neutral model and the principal components."""

INITIAL_LENGTH = 0.7
"""Typical length of the first latent vectors."""


class Encoder(nn.Module):
    """Three Dense + ReLU layers and a linear layer to the latent vector.

    The input is the gradient of a particle's loss with respect to the neutral
    model's Gaussians, flattened (Chen & Ludtke 2021, Nat. Methods 18, 930), or its
    scores along principal components. To the output is added a fixed multiple of
    the first inputs, 0 unless `start_from` sets it.

    Parameters
    ----------
    n_inputs : int
        Length of the input.
    latent_dimensions : int
        Length Z of the latent vector.
    hidden : int
        Width of the hidden layers.
    """

    principal_weight: Tensor

    def __init__(self, n_inputs: int, latent_dimensions: int, hidden: int = 512) -> None:
        super().__init__()
        self.latent_dimensions = latent_dimensions
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
        self.register_buffer("principal_weight", torch.zeros(min(latent_dimensions, n_inputs)))

    def start_from(self, deviation: Tensor) -> None:
        """Let the first latent vectors be the first inputs, standardised.

        An encoder that starts from the principal components, rather than from
        nothing, spares the training the search for each direction in turn.

        Parameters
        ----------
        deviation : Tensor, shape (n_inputs,)
            Deviation of each input over the particles, falling.
        """
        leading = deviation[: len(self.principal_weight)]
        useful = leading > 1e-6 * leading.max()
        length = INITIAL_LENGTH / self.latent_dimensions**0.5
        self.principal_weight.copy_(
            torch.where(useful, length / leading.clamp_min(1e-30), torch.zeros_like(leading))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, n_inputs) to (B, Z)."""
        count = len(self.principal_weight)
        latent: Tensor = self.layers(inputs)
        start = self.principal_weight * inputs[:, :count]
        return latent + nn.functional.pad(start, (0, latent.shape[1] - count))
