"""From Gaussians to what is compared with the particles of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.losses import residual_power
from cryoparts.imaging.ctf import CtfBatch, contrast_transfer
from cryoparts.imaging.fourier import ring_count, shift_phases, transform
from cryoparts.imaging.projection import project
from cryoparts.imaging.shell_correlation import ring_products

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.particles.prepared import PreparedParticles

BATCH = 64
"""Particles at a time where no training batch size is given."""


@dataclass(frozen=True)
class ParticleBatch:
    """B particles ready to be compared with projections.

    Parameters
    ----------
    data : Tensor, shape (B, D, D // 2 + 1)
        Transforms of the images with their shifts undone, so that the model's
        projections need none.
    ctf : Tensor, shape (B, D, D // 2 + 1)
    rotation : Tensor, shape (B, 3, 3)
    """

    data: Tensor
    ctf: Tensor
    rotation: Tensor


@dataclass(frozen=True)
class ForwardModel:
    """Reads particles and projects Gaussians the way the particles were imaged.

    Parameters
    ----------
    particles : PreparedParticles
        The working images with poses and CTFs.
    device : torch.device
        Where the work is done.
    """

    particles: PreparedParticles
    device: torch.device

    def batch(self, indices: NDArray[np.int64]) -> ParticleBatch:
        """Read the chosen particles."""
        particles = self.particles
        box, pixel = particles.box_size, particles.pixel_size_angstrom
        images = particles.images(indices).to(self.device)
        poses = particles.poses.take(indices)
        shift = torch.as_tensor(-poses.shift_angstrom, dtype=torch.float32, device=self.device)
        ctf = CtfBatch.from_parameters(particles.ctf, indices, device=self.device)
        rotation = torch.as_tensor(poses.rotation, dtype=torch.float32, device=self.device)
        return ParticleBatch(
            data=transform(images) * shift_phases(shift, box, pixel),
            ctf=contrast_transfer(ctf, box, pixel),
            rotation=rotation,
        )

    def images_of(self, gaussians: Gaussians, batch: ParticleBatch) -> Tensor:
        """Transforms (B, D, D // 2 + 1) of the particles that the Gaussians would give."""
        projected = project(
            gaussians.positions,
            gaussians.amplitudes,
            gaussians.widths,
            batch.rotation,
            self.particles.box_size,
            self.particles.pixel_size_angstrom,
        )
        return projected * batch.ctf

    def measure_noise(self, neutral: Gaussians, indices: NDArray[np.int64]) -> Tensor:
        """Noise power (R,) of each ring a pixel, from what the neutral model leaves over.

        Parameters
        ----------
        neutral : Gaussians
            The neutral model.
        indices : array, shape (n,)
            Particles to measure on, at least one.
        """
        box = self.particles.box_size
        total = torch.zeros(ring_count(box), device=self.device)
        with torch.no_grad():
            for chosen in np.array_split(indices, -(-len(indices) // BATCH)):
                batch = self.batch(chosen)
                total += residual_power(batch.data, self.images_of(neutral, batch)).sum(dim=0)
        ones = torch.ones(1, box, box // 2 + 1, dtype=torch.complex64, device=self.device)
        mean = total / (len(indices) * ring_products(ones, ones)[0])
        # A ring without power (outside the detector's reach) must not weigh infinitely.
        return mean.clamp_min(1e-6 * float(mean.max()))
