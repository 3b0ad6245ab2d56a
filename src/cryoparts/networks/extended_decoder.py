"""A trained decoder with further latent dimensions, each the amplitude of one region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class ExtendedDecoder(nn.Module):
    """Adds each further latent dimension to the amplitude offsets of its region.

    Parameters
    ----------
    decoder : Module
        Latent vectors (B, Z) to offsets (B, N, channels).
    regions : bool Tensor, shape (K, N)
        Gaussians of each region.
    channel : int
        Place of the amplitude among the channels.
    """

    regions: Tensor

    def __init__(self, decoder: nn.Module, regions: Tensor, channel: int) -> None:
        super().__init__()
        self.decoder, self.channel = decoder, channel
        self.register_buffer("regions", regions.to(torch.float32))

    @property
    def further(self) -> int:
        """Number K of further dimensions."""
        return len(self.regions)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (B, Z + K) to offsets (B, N, channels)."""
        known, further = latent[:, : -self.further], latent[:, -self.further :]
        return self.added(self.decoder(known), further)

    def added(self, offsets: Tensor, further: Tensor) -> Tensor:
        """The decoder's offsets (B, N, channels) with further amplitudes (B, K) added."""
        result = offsets.clone()
        result[..., self.channel] += further @ self.regions
        return result
