"""MLP decoder: the paper's baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

INITIAL_OUTPUT_STD = 1e-3
"""Deviation of the last layer at first: offsets start near 0, at the neutral model."""


class MlpDecoder(nn.Module):
    """Three Dense + ReLU layers and a linear layer to every channel of every Gaussian.

    Parameters
    ----------
    latent_dimensions : int
        Length Z of the latent vector.
    n_gaussians : int
        Number N of Gaussians.
    n_channels : int
        Number of offsets a Gaussian.
    hidden : int
        Width of the hidden layers.
    """

    def __init__(
        self, latent_dimensions: int, n_gaussians: int, n_channels: int, hidden: int = 512
    ) -> None:
        super().__init__()
        self.shape = (n_gaussians, n_channels)
        self.layers = nn.Sequential(
            nn.Linear(latent_dimensions, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(hidden, n_gaussians * n_channels)
        nn.init.normal_(self.head.weight, std=INITIAL_OUTPUT_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, Z) to offsets (B, N, channels)."""
        offsets: Tensor = self.head(self.layers(latent)).unflatten(1, self.shape)
        return offsets
