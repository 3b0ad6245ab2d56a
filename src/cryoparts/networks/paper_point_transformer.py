"""The published Point Transformer decoder, exactly, at its published widths.

Chen, Li, Liao (arXiv 2601.18713): 256 channels, attention width 512, one
weight a channel, dropout 0.1 and 0.2. Its output is that of the published
definition; the order of the work is not: the position encoding is computed
once a step, Dense layers act on points before the gather, and the output layer
acts before the last interpolation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cryoparts.networks.levels import LevelledDecoder

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.gaussians.point_hierarchy import PointHierarchy
    from cryoparts.networks.levels import Geometry

CHANNELS = 256
ATTENTION_WIDTH = 512
LATENT_HIDDEN = 128
OUTPUT_SCALE = 0.5
INITIAL_OUTPUT_STD = 1e-4
POINTS_A_TILE = 128
"""Points whose neighbours are held in memory at once, for one particle."""


class PaperAttentionLevel(nn.Module):
    """One level: w = softmax(gamma(q_i - k_j + delta_ij)), y'_i = sum_j w (v_j + delta_ij)."""

    def __init__(self) -> None:
        super().__init__()
        width = ATTENTION_WIDTH
        self.query = nn.Linear(CHANNELS, width)
        self.key = nn.Linear(CHANNELS, width)
        self.value = nn.Linear(width, width)
        self.position = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, width))
        self.gamma = nn.Sequential(
            nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.after_attention = nn.Dropout(0.2)
        self.mix = nn.Sequential(
            nn.Linear(CHANNELS + width, width), nn.Dropout(0.2), nn.Linear(width, CHANNELS)
        )

    def forward(self, points: Tensor, geometry: Geometry) -> Tensor:
        """(B, n, 256) to (B, n, 256)."""
        query, key = self.query(points), self.key(points)
        value = self.value(key)
        delta = self.position(geometry.offsets)
        attended = torch.stack(
            [
                self._attend(*of_particle, delta, geometry.neighbours)
                for of_particle in zip(query, key, value, strict=True)
            ]
        )
        mixed = self.mix(torch.cat([points, self.after_attention(attended)], dim=-1))
        result: Tensor = points + mixed
        return result

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, delta: Tensor, neighbours: Tensor
    ) -> Tensor:
        # Tiles, recomputed in the backward pass, bound the memory of the pairwise part.
        tiles = [
            checkpoint(
                self._attend_tile,
                query[rows],
                key,
                value,
                delta[rows],
                neighbours[rows],
                use_reentrant=False,
            )
            for rows in _tiles(len(query))
        ]
        return torch.cat(tiles)

    def _attend_tile(
        self, query: Tensor, key: Tensor, value: Tensor, delta: Tensor, neighbours: Tensor
    ) -> Tensor:
        weights = self.gamma(query[:, None] - key[neighbours] + delta).softmax(dim=1)
        summed: Tensor = (weights * (value[neighbours] + delta)).sum(dim=1)
        return summed


def _tiles(count: int) -> list[slice]:
    return [slice(start, start + POINTS_A_TILE) for start in range(0, count, POINTS_A_TILE)]


class PaperPointTransformerDecoder(LevelledDecoder):
    """The published decoder.

    Parameters
    ----------
    latent_dimensions : int
        Length Z of the latent vector.
    hierarchy : PointHierarchy
        Levels of points with the published interpolation weights.
    n_channels : int
        Number of offsets a Gaussian.
    box_angstrom : float
        Side of the box, Å: the published unit of length.
    """

    def __init__(
        self,
        latent_dimensions: int,
        hierarchy: PointHierarchy,
        n_channels: int,
        box_angstrom: float,
    ) -> None:
        coarsest = len(hierarchy.levels[0].positions)
        super().__init__(
            start=nn.Sequential(
                nn.Linear(latent_dimensions, LATENT_HIDDEN),
                nn.ReLU(),
                nn.Dropout(0.1),
                nn.Linear(LATENT_HIDDEN, coarsest * CHANNELS),
            ),
            hierarchy=hierarchy,
            make_attention=PaperAttentionLevel,
            channels=CHANNELS,
            n_channels=n_channels,
            output_std=INITIAL_OUTPUT_STD,
            output_scale=OUTPUT_SCALE,
            length_unit=box_angstrom,
        )
