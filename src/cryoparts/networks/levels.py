"""What every Point Transformer decoder shares: levels of points, coarse to fine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cryoparts.kernels.interpolation import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cryoparts.gaussians.point_hierarchy import HierarchyLevel, PointHierarchy


SMALLEST_WEIGHT = 1e-4
"""A learned weight starts no smaller, so that its gradient does not vanish."""


class Geometry(nn.Module):
    """The neighbours and weights of one level, kept with the network.

    Parameters
    ----------
    level : HierarchyLevel
        One level of the hierarchy.
    length_unit : float or None
        Unit (Å) of the offsets to neighbours that the position encoding sees;
        None takes the level's own spacing, so that every level sees numbers near 1.
    learned_borders : bool
        Whether each Gaussian learns how much it takes from each of its nearest
        points. Distance alone cannot know on which side of a border between two
        parts a Gaussian lies, and blurs it.
    """

    offsets: Tensor
    neighbours: Tensor
    up_indices: Tensor
    up_weights: Tensor
    output_indices: Tensor
    output_weights: Tensor
    output_logits: nn.Parameter | None

    def __init__(
        self, level: HierarchyLevel, length_unit: float | None, *, learned_borders: bool
    ) -> None:
        super().__init__()
        positions = torch.as_tensor(level.positions)
        neighbours = torch.as_tensor(level.neighbours)
        offsets = positions[:, None, :] - positions[neighbours]
        unit = length_unit or float(offsets.norm(dim=-1).mean().clamp_min(1e-6))
        fixed = {"offsets": offsets / unit, "neighbours": neighbours}
        if level.from_coarser is not None:
            fixed["up_indices"] = torch.as_tensor(level.from_coarser.indices)
            fixed["up_weights"] = torch.as_tensor(level.from_coarser.weights)
        fixed["output_indices"] = torch.as_tensor(level.to_gaussians.indices)
        fixed["output_weights"] = torch.as_tensor(level.to_gaussians.weights)
        for name, tensor in fixed.items():
            self.register_buffer(name, tensor.contiguous(), persistent=False)
        self.output_logits = None
        if learned_borders:
            self.output_logits = nn.Parameter(self.output_weights.clamp_min(SMALLEST_WEIGHT).log())

    def from_coarser(self, values: Tensor) -> Tensor:
        """Interpolate (B, coarser points, C) to this level's points."""
        return interpolate(values, self.up_indices, self.up_weights)

    def to_gaussians(self, values: Tensor) -> Tensor:
        """Interpolate (B, points, C) to the Gaussians."""
        logits = self.output_logits
        # of a few numbers a row, where they are side by side in memory, it takes six times as long
        weights = self.output_weights if logits is None else logits.T.contiguous().softmax(dim=0).T
        return interpolate(values, self.output_indices, weights)


class LevelledDecoder(nn.Module):
    """Latent vectors to offsets of every Gaussian, through levels of points.

    The latent vector becomes features of the coarsest points; each level lets
    points attend to their neighbours and hands its features on to the next,
    finer one. An output layer over the features of all levels gives the offsets;
    it is applied at each level's points, and its few channels are interpolated
    to the Gaussians: the same linear map as interpolating all features first.

    Parameters
    ----------
    start : Module
        (B, Z) to (B, coarsest points * C).
    hierarchy : PointHierarchy
        Levels of points of the neutral model.
    make_attention : callable
        Makes one level's attention, a module (B, n, C), Geometry to (B, n, C).
    channels : int
        C.
    n_channels : int
        Number of offsets a Gaussian.
    output_std, output_scale : float
        Deviation of the initial output weights; factor on the output.
    length_unit : float or None
    own_terms : bool
        Whether each Gaussian has terms of its own: the weights of its nearest points
        (see `Geometry`), and a constant offset. The neutral model never fits the
        data to the last ångström; without the constants the levels of points spend
        their capacity on that misfit.
    """

    def __init__(
        self,
        start: nn.Module,
        hierarchy: PointHierarchy,
        make_attention: Callable[[], nn.Module],
        channels: int,
        n_channels: int,
        output_std: float,
        output_scale: float,
        length_unit: float | None,
        *,
        own_terms: bool,
    ) -> None:
        super().__init__()
        self.coarse_shape = (len(hierarchy.levels[0].positions), channels)
        self.output_scale = output_scale
        self.start = start
        self.geometry = nn.ModuleList(
            Geometry(level, length_unit, learned_borders=own_terms) for level in hierarchy.levels
        )
        self.attention = nn.ModuleList(make_attention() for _ in hierarchy.levels)
        self.heads = nn.ModuleList(
            nn.Linear(channels, n_channels, bias=False) for _ in hierarchy.levels
        )
        for head in self.heads:
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=output_std)
        self.constant = None
        if own_terms:
            self.constant = nn.Parameter(torch.zeros(hierarchy.gaussian_count, n_channels))

    def own_terms(self) -> list[nn.Parameter]:
        """The parameters that belong to single Gaussians, which may learn faster."""
        logits = (geometry.output_logits for geometry in self.geometry)
        return [own for own in (self.constant, *logits) if isinstance(own, nn.Parameter)]

    def forward(self, latent: Tensor) -> Tensor:
        """(B, Z) to offsets (B, N, channels)."""
        points = self.start(latent).unflatten(1, self.coarse_shape)
        offsets: Tensor | None = self.constant
        for number, (geometry, attention, head) in enumerate(
            zip(self.geometry, self.attention, self.heads, strict=True)
        ):
            assert isinstance(geometry, Geometry)
            if number:
                points = geometry.from_coarser(points)
            points = attention(points, geometry)
            contribution = geometry.to_gaussians(self.output_scale * head(points))
            offsets = contribution if offsets is None else offsets + contribution
        assert offsets is not None  # there is a level at least
        return offsets
