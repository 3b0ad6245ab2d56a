"""What particles' images keep once their models are taken away, and ask of the Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from cryoparts.image_model.deformation import Gaussians

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.refinement.whitened_images import WhitenedImages


@dataclass(frozen=True)
class Residuals:
    """Whitened images of a batch of particles less their models, each scaled to fit.

    Parameters
    ----------
    images : WhitenedImages
    batch : ParticleBatch
    gaussians : Gaussians
        Of each particle (B, N), without gradients.
    model : Tensor, shape (B, M)
        Whitened images of the Gaussians.
    left : Tensor, shape (B, M)
        The residuals, in their own deviations.
    """

    images: WhitenedImages
    batch: ParticleBatch
    gaussians: Gaussians
    model: Tensor
    left: Tensor

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        images: WhitenedImages,
        batch: ParticleBatch,
        gaussians: Gaussians,
    ) -> Self:
        """Of the particles of a batch and their Gaussians.

        Parameters
        ----------
        images, batch, gaussians
            As above.
        """
        model = images.of_gaussians(gaussians, batch)
        left = _without(images.whitened(batch.data), model)
        left = left / left.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-30)
        return cls(images, batch, gaussians, model, left)

    def passed_on(self, places: int) -> Tensor:
        """Residuals (B, M) of other particles of the batch, which tell of noise alone.

        What changes the whole model's scale tells nothing, and is taken away.
        """
        return _without(self.left.roll(places, dims=0), self.model)

    @torch.enable_grad()
    def asked(self, *residuals: Tensor) -> tuple[Tensor, ...]:
        """Gradients (B, N) of each product of residuals (B, M) and model, by amplitudes.

        For a particle whose model is right they are noise.
        """
        one = self.gaussians
        shown = one.amplitudes.expand(len(self.left), -1).clone().requires_grad_()
        image = self.images.of_gaussians(Gaussians(one.positions, shown, one.widths), self.batch)
        return tuple(
            torch.autograd.grad((image * residual).sum(), shown, retain_graph=True)[0]
            for residual in residuals
        )


def _without(images: Tensor, model: Tensor) -> Tensor:
    """Images (B, M) less the multiple of each model that fits best."""
    power = model.square().sum(dim=1, keepdim=True).clamp_min(1e-30)
    return images - (images * model).sum(dim=1, keepdim=True) / power * model
