"""The published Point Transformer decoder, exactly, at its published widths.

Chen, Li, Liao (arXiv 2601.18713): 256 channels, attention width 512, one
weight a channel, dropout 0.1 and 0.2. Its output is that of the published
definition; the order of the work is not: the position encoding is computed
once a step, Dense layers act on points before the gather, and the output layer
acts before the last interpolation. On the processor the pairwise part is
compiled (`pair_attention`), with an exact forward pass; gradients are formed
from bfloat16 factors where the processor has them, unless told otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cryoparts.networks.levels import LevelledDecoder
from cryoparts.published.half_linear import HalfGradientLinear
from cryoparts.published.pair_attention import (
    gradient_dtype,
    pair_attention,
    pair_attention_fits,
)

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
    """One level: w = softmax(gamma(q_i - k_j + delta_ij)), y'_i = sum_j w (v_j + delta_ij).

    Parameters
    ----------
    backward_dtype : dtype
        Precision of the factors of the backward products on the processor.
    """

    def __init__(self, backward_dtype: torch.dtype) -> None:
        super().__init__()
        width = ATTENTION_WIDTH
        self.backward_dtype = backward_dtype
        dense = partial(HalfGradientLinear, backward_dtype=backward_dtype)
        self.query = dense(CHANNELS, width)
        self.key = dense(CHANNELS, width)
        self.value = dense(width, width)
        self.position = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, width))
        self.gamma = nn.Sequential(
            nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.after_attention = nn.Dropout(0.2)
        self.mix = nn.Sequential(
            dense(CHANNELS + width, width), nn.Dropout(0.2), dense(width, CHANNELS)
        )

    def forward(self, points: Tensor, geometry: Geometry) -> Tensor:
        """(B, n, 256) to (B, n, 256)."""
        query, key = self.query(points), self.key(points)
        value = self.value(key)
        attend = self._attend_compiled if pair_attention_fits(query) else self._attend
        attended = attend(query, key, value, geometry)
        mixed = self.mix(torch.cat([points, self.after_attention(attended)], dim=-1))
        result: Tensor = points + mixed
        return result

    def _attend_compiled(
        self, query: Tensor, key: Tensor, value: Tensor, geometry: Geometry
    ) -> Tensor:
        last, hidden, logits = self.position[2], self.gamma[1], self.gamma[3]
        assert isinstance(last, nn.Linear)
        assert isinstance(hidden, nn.Linear)
        assert isinstance(logits, nn.Linear)
        encoding = self.position[:2](geometry.offsets)
        return pair_attention(
            query + last.bias,
            key,
            value + last.bias,
            encoding,
            last.weight,
            hidden.weight,
            hidden.bias,
            logits.weight,
            logits.bias,
            geometry.neighbours,
            self.backward_dtype,
        )

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, geometry: Geometry) -> Tensor:
        # Tiles, recomputed in the backward pass, bound the memory of the pairwise part.
        delta = self.position(geometry.offsets)
        particles = [
            torch.cat(
                [
                    checkpoint(
                        self._attend_tile,
                        q[rows],
                        k,
                        v,
                        delta[rows],
                        geometry.neighbours[rows],
                        use_reentrant=False,
                    )
                    for rows in _tiles(len(q))
                ]
            )
            for q, k, v in zip(query, key, value, strict=True)
        ]
        return torch.stack(particles)

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
    backward_dtype : dtype, optional
        Precision of the factors of the backward products on the processor:
        float32, or bfloat16 with sums in float32. By default bfloat16 where the
        processor has it. The output does not depend on it.
    """

    def __init__(
        self,
        latent_dimensions: int,
        hierarchy: PointHierarchy,
        n_channels: int,
        box_angstrom: float,
        backward_dtype: torch.dtype | None = None,
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
            make_attention=partial(PaperAttentionLevel, backward_dtype or gradient_dtype()),
            channels=CHANNELS,
            n_channels=n_channels,
            output_std=INITIAL_OUTPUT_STD,
            output_scale=OUTPUT_SCALE,
            length_unit=box_angstrom,
            own_terms=False,
        )
