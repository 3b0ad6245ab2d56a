"""Encoder: from what a particle asks of each Gaussian to its latent vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

INITIAL_OUTPUT_STD = 1e-3
"""Small, so that training starts from the neutral model."""


class Encoder(nn.Module):
    """Three Dense + ReLU layers and a linear layer to the latent vector.

    The input is the gradient of a particle's loss with respect to the neutral
    model's Gaussians, flattened (Chen & Ludtke 2021, Nat. Methods 18, 930).

    Parameters
    ----------
    n_inputs : int
        Length of the flattened gradient.
    latent_dimensions : int
        Length Z of the latent vector.
    hidden : int
        Width of the hidden layers.
    """

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

    def forward(self, gradients: Tensor) -> Tensor:
        """(B, n_inputs) to (B, Z)."""
        latent: Tensor = self.layers(gradients)
        return latent
