"""Images of which every number has the same noise, so that distances are likelihoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from cryoparts.imaging.fourier import ring_count, ring_index, ring_weights

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.image_model.forward_model import ForwardModel, ParticleBatch
    from cryoparts.image_model.losses import Objective


@dataclass(frozen=True)
class WhitenedImages:
    """Half planes as real vectors with white noise.

    Parameters
    ----------
    forward : ForwardModel
    root_weights : Tensor, shape (D, D // 2 + 1)
        Square roots of each frequency's weight in the objective.
    """

    forward: ForwardModel
    root_weights: Tensor

    @classmethod
    def of(cls, forward: ForwardModel, objective: Objective) -> Self:
        """With the weights of an objective."""
        box, device = forward.particles.box_size, forward.device
        rings = ring_index(box, device)
        inside = rings < ring_count(box)
        weights = objective.ring_weights[rings.clamp(max=ring_count(box) - 1)]
        return cls(forward, (weights * inside * ring_weights(box, device)).sqrt())

    @property
    def degrees(self) -> int:
        """Real numbers of an image that tell anything."""
        return 2 * int((self.root_weights > 0).sum())

    def whitened(self, half_planes: Tensor) -> Tensor:
        """Half planes (..., D, D // 2 + 1) as real vectors (..., M)."""
        return torch.view_as_real(half_planes * self.root_weights).flatten(-3)

    def of_gaussians(self, gaussians: Gaussians, batch: ParticleBatch) -> Tensor:
        """Vectors (B, M) of what the Gaussians would give."""
        return self.whitened(self.forward.images_of(gaussians, batch))
