"""Point Transformer decoder: attention among neighbouring points, coarse to fine.

The architecture is that of Chen, Li, Liao (arXiv 2601.18713), with vector
attention as in Zhao et al. 2021 (ICCV, "Point Transformer"), made cheap by
rearrangements that the fixed neutral geometry allows:

- the position encoding depends on the geometry alone: once a step, not once a
  particle;
- Dense layers act on points before neighbours are gathered;
- the output layer acts at each level's points, and its few channels are
  interpolated to the Gaussians, so the cost hardly depends on their number;

and by two approximations: the attention's MLP has no ReLU before its first
Dense layer, which therefore acts on points too, and one attention weight
serves a group of channels (Wu et al. 2022, "Point Transformer V2").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import linear

from cryoparts.kernels.neighbour_attention import neighbour_attention
from cryoparts.networks.levels import LevelledDecoder

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.gaussians.point_hierarchy import PointHierarchy
    from cryoparts.networks.levels import Geometry

INITIAL_OUTPUT_STD = 1e-3
"""Deviation of the last layer at first: offsets start near 0, at the neutral model."""


@dataclass(frozen=True)
class PointTransformerSizes:
    """Widths of the default Point Transformer decoder."""

    channels: int = 64
    attention: int = 64
    groups: int = 8
    position_hidden: int = 16
    latent_hidden: int = 128


class AttentionLevel(nn.Module):
    """Vector attention among the neighbours of each point, with a residual MLP."""

    def __init__(self, sizes: PointTransformerSizes) -> None:
        super().__init__()
        channels, width = sizes.channels, sizes.attention
        self.query = nn.Linear(channels, width)
        self.key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, channels)
        self.position = nn.Sequential(nn.Linear(3, sizes.position_hidden), nn.ReLU())
        self.position_logits = nn.Linear(sizes.position_hidden, width)
        self.position_values = nn.Linear(sizes.position_hidden, channels)
        # No bias: the softmax over the neighbours would cancel it.
        self.gamma = nn.Linear(width, sizes.groups, bias=False)
        self.mix = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def forward(self, points: Tensor, geometry: Geometry) -> Tensor:
        """(B, n, C) to (B, n, C)."""
        encoded = self.position(geometry.offsets)
        in_logits, in_values = self.position_logits, self.position_values
        attended = neighbour_attention(
            linear(points, self.query.weight),
            self.key(points),
            linear(points, self.value.weight),
            # here the biases of query and value are added once, and not for every particle
            linear(encoded, in_logits.weight, in_logits.bias + self.query.bias),
            linear(encoded, in_values.weight, in_values.bias + self.value.bias),
            self.gamma.weight,
            points.new_zeros(self.gamma.out_features),
            geometry.neighbours,
        )
        return self._mixed(points, attended)

    def _mixed(self, points: Tensor, attended: Tensor) -> Tensor:
        """``points + mix([points, attended])``, of which nothing is copied to be side by side."""
        first, last = self.mix[0], self.mix[-1]
        assert isinstance(first, nn.Linear)
        own, others = first.weight[:, : points.shape[-1]], first.weight[:, points.shape[-1] :]
        flat = points.flatten(0, 1)  # what is changed in place must be nothing's view
        hidden = linear(flat, own, first.bias).addmm_(attended.flatten(0, 1), others.T).relu_()
        mixed: Tensor = last(hidden).add_(flat)
        return mixed.view_as(points)


class PointTransformerDecoder(LevelledDecoder):
    """The default decoder.

    Parameters
    ----------
    latent_dimensions : int
        Length Z of the latent vector.
    hierarchy : PointHierarchy
        Levels of points, coarse to fine, of the neutral model.
    n_channels : int
        Number of offsets a Gaussian.
    sizes : PointTransformerSizes
        Widths of the layers.
    """

    def __init__(
        self,
        latent_dimensions: int,
        hierarchy: PointHierarchy,
        n_channels: int,
        sizes: PointTransformerSizes | None = None,
    ) -> None:
        sizes = sizes or PointTransformerSizes()
        coarsest = len(hierarchy.levels[0].positions)
        super().__init__(
            start=nn.Sequential(
                nn.Linear(latent_dimensions, sizes.latent_hidden),
                nn.ReLU(),
                nn.Linear(sizes.latent_hidden, coarsest * sizes.channels),
            ),
            hierarchy=hierarchy,
            make_attention=lambda: AttentionLevel(sizes),
            channels=sizes.channels,
            n_channels=n_channels,
            output_std=INITIAL_OUTPUT_STD,
            output_scale=1.0,
            length_unit=None,
            own_terms=True,
        )
