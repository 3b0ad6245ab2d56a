"""Particles as they would be if nothing changed: the mean model, imaged like the data.

A null particle has the pose and the CTF of a real one (where poses were refined, off by as
much as an image leaves unknown of its pose), the signal that the model
at the mean latent vector explains in the data, ring by ring, and noise with the power that
the real particle has at each frequency once what the networks say of it is
taken off, but with random phases. So the null particles have the data's noise,
whatever its spectrum, its passing through the CTF and its strength in each
particle, and nothing in them differs but noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from cryoparts.image_model.deformation import deform, single
from cryoparts.image_model.forward_model import BATCH
from cryoparts.imaging.fourier import (
    inverse_transform,
    ring_count,
    ring_index,
    shift_phases,
    transform,
)
from cryoparts.imaging.noise import white_noise
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.imaging.shell_correlation import ring_statistics
from cryoparts.parallel.current import team
from cryoparts.particles.image_operations import distance_from, soft_mask
from cryoparts.particles.pose_change import PoseSpread, current_change
from cryoparts.seeds import Purpose, seed_for
from cryoparts.statistics.by_image import first_rows, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.training.setup import TrainingSetup

SAMPLE = 1000
"""Particles on which the strength of the signal is measured: enough for 1% a ring."""


@dataclass(frozen=True)
class NullImaging:
    """How null particles are made from a trained run.

    Parameters
    ----------
    trained : TrainedDecoder
        What is taken off the real particles to leave their noise.
    setup : TrainingSetup
        The real particles and the neutral model.
    mean : Gaussians
        The trained model at the mean latent vector: the neutral model with its misfit mended.
    scale_mean, scale_trained : Tensor, shape (R,)
        Factor of each ring from projections of the mean and of the particles'
        own Gaussians to what the data show of them.
    pose_error : PoseSpread
        Deviations of the errors that are left in the poses of the real particles.
    """

    trained: TrainedDecoder
    setup: TrainingSetup
    mean: Gaussians
    scale_mean: Tensor
    scale_trained: Tensor
    pose_error: PoseSpread

    @classmethod
    @torch.no_grad()
    def measure(cls, trained: TrainedDecoder, setup: TrainingSetup) -> Self:
        """Measure the strength of the signal on the particles that were trained on."""
        mean = _mean_gaussians(trained, setup)
        chosen = setup.split.training
        sample = chosen[:: max(1, len(chosen) // SAMPLE)][:SAMPLE]
        sums = team().total(_Explained(trained, setup, mean), sample, BATCH)
        scale = torch.where(
            sums[1::2] > 0, sums[::2] / sums[1::2].clamp_min(1e-30), torch.zeros_like(sums[::2])
        ).clamp_min(0.0)
        left = current_change(setup.forward.particles.folder).left
        return cls(trained, setup, mean, scale[0], scale[1], left)

    @torch.no_grad()
    def images(self, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        """Null images (n, D, D) in the place of the chosen particles, protein bright.

        Parameters
        ----------
        rows : array, shape (n,)
            Few enough for one batch.
        generator : torch.Generator
            Of the errors of the poses and the phases of the noise, on the CPU.
        """
        forward = self.setup.forward
        particles, box = forward.particles, forward.particles.box_size
        batch = forward.batch(rows)
        ring = ring_index(box, forward.device).clamp(max=ring_count(box) - 1)
        turn, off = self._pose_errors(len(rows), generator)
        turned = replace(batch, rotation=rotation_from_vector(turn) @ batch.rotation)
        clean = forward.images_of(self.mean, turned) * self.scale_mean[ring]
        shift = off + torch.as_tensor(
            particles.poses.shift_angstrom[rows], dtype=torch.float32, device=forward.device
        )
        clean = clean * shift_phases(shift, box, particles.pixel_size_angstrom)
        noise = inverse_transform(self._residual(batch, rows).abs() * _phases(batch, generator))
        mask = _mask(particles, rows).to(forward.device)
        # The mask takes noise away where no molecule is: what lies inside is that much denser.
        covered = mask.square().mean(dim=(1, 2), keepdim=True).clamp_min(1e-6)
        return mask * (inverse_transform(clean) + noise / covered.sqrt())

    def _pose_errors(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turns (n, 3), radians, and shifts (n, 2), Å, by which poses are off."""
        error, device = self.pose_error, self.setup.forward.device
        if error == PoseSpread(0.0, 0.0):
            return torch.zeros(count, 3, device=device), torch.zeros(count, 2, device=device)
        drawn = torch.randn(count, 5, generator=generator).to(device)
        return error.turn * drawn[:, :3], error.shift_angstrom * drawn[:, 3:]

    def _residual(self, batch: ParticleBatch, rows: NDArray[np.int64]) -> Tensor:
        """Transforms of the particles without what the networks say of them."""
        forward = self.setup.forward
        box = forward.particles.box_size
        ring = ring_index(box, forward.device).clamp(max=ring_count(box) - 1)
        own = forward.images_of(self.trained.gaussians_of(self.setup.neutral, rows), batch)
        return batch.data - own * self.scale_trained[ring]

    def batches(self, indices: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.float32]]:
        """Null images of the chosen particles in order, with the contrast of the real ones."""
        task = _NullImages(self, indices, seed)
        for _, made in team().sweep(task, np.arange(len(indices)), BATCH):
            yield made

    def particles(self, indices: NDArray[np.int64], seed: int) -> PreparedParticles:
        """Null particles with the names, poses and CTFs of the chosen ones, held in memory.

        Chosen rows that share a working image share a null one, made in the pose of the
        first of them.

        Parameters
        ----------
        indices : array, shape (n,)
        seed : int
            Of the noise.
        """
        real = self.setup.forward.particles
        working = numbered(real.working_image[indices])
        images = np.concatenate(list(self.batches(indices[first_rows(working)], seed)))
        named = None if real.image_names is None else real.image_names[indices]
        return replace(
            real,
            names=real.names[indices],
            poses=real.poses.take(indices),
            ctf=real.ctf.take(indices),
            half_set=real.half_set[indices],
            optics_group=real.optics_group[indices],
            image_names=named,
            _images=images,
            _image=numbered(real.image[indices]),
            _working_image=working,
            _given=None,
        )


@dataclass(frozen=True)
class _Explained:
    """Products (4, R) of each ring, summed over a batch: of the data with projections of the mean
    model, of these with themselves, and both of the particles' own Gaussians.
    """

    trained: TrainedDecoder
    setup: TrainingSetup
    mean: Gaussians

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """Of the particles `rows`."""
        forward, sums = self.setup.forward, []
        batch = forward.batch(rows)
        for gaussians in (self.mean, self.trained.gaussians_of(self.setup.neutral, rows)):
            cross, _, power = ring_statistics(batch.data, forward.images_of(gaussians, batch))
            sums += [cross.sum(dim=0), power.sum(dim=0)]
        return torch.stack(sums)


@dataclass(frozen=True)
class _NullImages:
    """Null images of a batch; its noise depends on where the batch begins."""

    imaging: NullImaging
    indices: NDArray[np.int64]
    seed: int

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """In the place of the particles at these places of `indices`."""
        seed = seed_for(self.seed, Purpose.NULL_NOISE, int(places[0]))
        generator = torch.Generator().manual_seed(seed)
        sign = self.imaging.setup.forward.particles.contrast_sign
        images: NDArray[np.float32] = (
            self.imaging.images(self.indices[places], generator).cpu().numpy()
        )
        return sign * images


def _mean_gaussians(trained: TrainedDecoder, setup: TrainingSetup) -> Gaussians:
    """What the decoder makes of the mean latent vector, without a batch axis."""
    mean = trained.latent_of(setup.split.training).mean(dim=0, keepdim=True)
    still = deform(setup.neutral, trained.networks.decoder(mean), trained.config.vary)
    return single(still, setup.neutral)


def _phases(batch: ParticleBatch, generator: torch.Generator) -> Tensor:
    """Random phase factors that belong to real images."""
    shape = (len(batch.data), batch.data.shape[1], batch.data.shape[1])
    white = transform(white_noise(shape, generator)).to(batch.data.device)
    return white / white.abs().clamp_min(1e-12)


def _mask(particles: PreparedParticles, rows: NDArray[np.int64]) -> Tensor:
    """The soft mask (n, D, D) about each particle, as the working images were given it."""
    box, pixel = particles.box_size, particles.pixel_size_angstrom
    radius = particles.details.get("mask_radius_angstrom")
    if radius is None:
        return torch.ones(len(rows), box, box)
    shift = torch.as_tensor(particles.poses.shift_angstrom[rows], dtype=torch.float32)
    edge = float(particles.details.get("mask_edge_pixels", 0.0)) * pixel
    return soft_mask(distance_from(shift, box, pixel), float(radius), edge)
