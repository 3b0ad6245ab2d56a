"""The least-squares problem of a batch of particles: latent vectors and poses by likelihood.

Unknowns a particle are its latent vector, its pose, or both; the images that they give are
compared with its own in the whitened band, at the best scale, under the normal priors of
both. Steps that know how the images slope and bend climb to the highest posterior
(`local_images`); the slopes of decoded Gaussians come from the decoder, once for a group of
neighbouring particles (`decoder_slopes`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from cryoparts.image_model.deformation import Gaussians, deform
from cryoparts.imaging.fourier import frequency_grid, shift_phases
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.refinement.decoder_slopes import shared_slopes
from cryoparts.refinement.local_images import LocalImages, Prior
from cryoparts.refinement.whitened_images import WhitenedImages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.refinement.particle_refinement import ParticleRefinement

DIFFERENCE = 0.05
"""Step of the finite differences, in deviations, under a decoder of the batch's own."""

TURN_DIFFERENCE = 0.005
"""Step of the finite differences of a turn, radians."""

WORTH = 0.3
"""Rise of the log-posterior for which another image is computed: a particle that promises less
is within 0.8 deviations of its posterior, all unknowns together, and is left as it is. Of 1,024
particles of a ribosome, eight segments and latent dimensions:

====== ======== ============== ====================
rise   decoded  log-posterior  segments, right calls
====== ======== ============== ====================
0.1    6.1      194.23         99.52%
0.3    5.1      194.13         99.51%
0.5    4.5      194.02         99.48%
1.0    3.8      193.75         99.29%
====== ======== ============== ====================
"""

WORTH_WITHOUT_DECODING = 0.01
"""The same where nothing has to be decoded for it."""

FAR = 3.0
"""First reach of a step, in deviations of the prior, along unknowns whose images hardly bend:
poses, and what a decoder of the batch's own takes. Along latent vectors it is 1."""

TURNS = 3
POSE_UNKNOWNS = 5
"""Three turns, then two shifts."""


@dataclass(frozen=True)
class Refined:
    """What refinement found for n particles.

    Parameters
    ----------
    latent : Tensor, shape (n, Z)
    pose : Tensor, shape (n, 5)
        Three turns (rotation vector after the given rotation, radians) and two shifts
        (added to the given ones, Å); 0 where the poses were held.
    pose_variance : Tensor, shape (n, 5)
        Of the posterior at the last tangent; 0 where the poses were held.
    """

    latent: Tensor
    pose: Tensor
    pose_variance: Tensor

    @classmethod
    def joined(cls, several: list[Refined]) -> Refined:
        """One after the other."""
        columns = zip(*((r.latent, r.pose, r.pose_variance) for r in several), strict=True)
        return cls(*(torch.cat(column) for column in columns))

    def put_back(self, order: NDArray[np.int64]) -> Self:
        """In the order that was there before the particles were taken in this one (n,)."""
        places = torch.as_tensor(order, device=self.latent.device).argsort()
        return type(self)(self.latent[places], self.pose[places], self.pose_variance[places])


class BatchDecoder(nn.Module):
    """A decoder of one batch of particles: what is decoded depends on whose it is.

    Called with unknowns (k B, Z) it gives offsets (k B, N, channels) of the B particles k times.
    """

    @abstractmethod
    def taken(self, rows: Tensor) -> Self:
        """Of some of the particles (n,)."""


@dataclass(frozen=True)
class LeastSquares:
    """The least-squares problem of B particles.

    Its U unknowns a particle are the latent vector (unless held), then the pose (unless held)
    in deviations of its prior: the corrections of slopes want unknowns of like size.
    """

    refinement: ParticleRefinement
    latent: Tensor  # (B, Z), the start
    pose: Tensor  # (B, 5), the start
    batch: ParticleBatch
    white: WhitenedImages
    data: Tensor  # (B, M), whitened
    held: Gaussians | None  # of the latent vectors, where these are held
    prior: Prior
    reach: Tensor  # (U,), of a first step
    unit: Tensor  # (5,), radians and Å of a deviation of the pose

    @classmethod
    def of(
        cls,
        refinement: ParticleRefinement,
        latent: Tensor,
        pose: Tensor,
        indices: NDArray[np.int64],
    ) -> LeastSquares:
        """Of the chosen particles."""
        batch = refinement.forward.batch(indices)
        white = WhitenedImages.of(refinement.forward, refinement.objective)
        means, precisions, reaches = [], [], []
        unit = latent.new_ones(POSE_UNKNOWNS)
        if not refinement.latent_held:
            covariance = refinement.regular_covariance()
            deviation = covariance.diagonal().sqrt()
            means.append(refinement.mean)
            precisions.append(torch.linalg.inv(covariance))
            own = isinstance(refinement.decoder, BatchDecoder)
            reaches.append(FAR * deviation if own else deviation)
        if refinement.pose_spread is not None:
            turn, shift = refinement.pose_spread.turn, refinement.pose_spread.shift_angstrom
            unit = latent.new_tensor([turn] * TURNS + [shift] * (POSE_UNKNOWNS - TURNS))
            means.append(torch.zeros_like(unit))
            precisions.append(torch.eye(POSE_UNKNOWNS, device=unit.device))
            reaches.append(torch.full_like(unit, FAR))
        return cls(
            refinement,
            latent,
            pose,
            batch,
            white,
            white.whitened(batch.data),
            refinement.decoded(latent) if refinement.latent_held else None,
            Prior(torch.cat(means), _block_diagonal(precisions)),
            torch.cat(reaches),
            unit,
        )

    def taken(self, rows: Tensor) -> LeastSquares:
        """Of some of the particles (n,)."""
        if len(rows) == len(self.data):
            return self
        refinement = self.refinement
        if isinstance(refinement.decoder, BatchDecoder):
            refinement = replace(refinement, decoder=refinement.decoder.taken(rows))
        batch = self.batch
        return replace(
            self,
            refinement=refinement,
            latent=self.latent[rows],
            pose=self.pose[rows],
            batch=replace(
                batch, data=batch.data[rows], ctf=batch.ctf[rows], rotation=batch.rotation[rows]
            ),
            data=self.data[rows],
            held=None if self.held is None else _taken(self.held, rows),
        )

    def solved(self, slopes_taken: int, most: int) -> Refined:
        """Steps to the highest posterior.

        Parameters
        ----------
        slopes_taken : int
            How often slopes are taken anew.
        most : int
            Steps from each at most; a particle that has arrived makes no further ones.
        """
        return self._refined(*self._climbed(slopes_taken, most))

    def posterior(self, slopes_taken: int, most: int) -> tuple[Tensor, Tensor]:
        """The unknowns (B, U) of the highest posterior, and its covariance (B, U, U) there."""
        unknowns, local = self._climbed(slopes_taken, most)
        return unknowns, self._covariance(unknowns, local)

    def log_likelihood(self, slopes_taken: int, most: int) -> Tensor:
        """Of each image (B,) at the highest posterior, at the best scale and strength of noise."""
        unknowns, _ = self._climbed(slopes_taken, most)
        return self._likelihood(unknowns, self._offsets(unknowns))

    def slope_by_offsets(self, slopes_taken: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """Where an image wants its Gaussians, at the highest posterior.

        Returns
        -------
        Tensor, shape (B, U)
            The unknowns.
        Tensor, shape (B, N, channels)
            Offsets that they decode to.
        Tensor, shape (B, N, channels)
            How the log-likelihood rises with each.
        """
        unknowns, _ = self._climbed(slopes_taken, most)
        decoded = self._offsets(unknowns)
        assert decoded is not None
        with torch.enable_grad():
            offsets = decoded.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self._likelihood(unknowns, offsets).sum(), offsets)
        return unknowns, offsets.detach(), slope

    def _climbed(self, slopes_taken: int, most: int) -> tuple[Tensor, LocalImages]:
        """The unknowns of the highest posterior, and the images about them."""
        unknowns = self._start()
        offsets = self._offsets(unknowns)
        model = self._images(unknowns, self._gaussians(offsets))
        noise = self._noise(model)
        score = self._log_posterior(unknowns, model, noise)
        for turn in range(slopes_taken):
            if turn:
                offsets = self._offsets(unknowns)
            slopes = self._slopes(unknowns, model, offsets)
            local = LocalImages(model, slopes)
            self._climb(local, unknowns, score, noise, most)
            model = local.rows[:, 0]
        # what steps have learned of the slopes overstates them along the way of the noise
        return unknowns, LocalImages(model, slopes)

    def information(self) -> tuple[Tensor, Tensor]:
        """What each image tells of each unknown (B, U) at the start: the inverse variance.

        Without the prior, and of each unknown as if the others were known. And the scale of
        the model (B,) at which it does, its own.
        """
        unknowns = self._start()
        offsets = self._offsets(unknowns)
        model = self._images(unknowns, self._gaussians(offsets))
        local = LocalImages(model, self._slopes(unknowns, model, offsets))
        everyone = torch.arange(len(unknowns), device=unknowns.device)
        products = local.products(everyone, self.data)
        _, curvature = products.slope_and_curvature(torch.zeros_like(unknowns), self._noise(model))
        power = model.square().sum(dim=1).clamp_min(1e-30)
        return curvature.diagonal(dim1=1, dim2=2), (model * self.data).sum(dim=1) / power

    def _climb(
        self, local: LocalImages, unknowns: Tensor, score: Tensor, noise: Tensor, most: int
    ) -> None:
        """Change the unknowns (B, U) and their scores (B,) for better ones."""
        reach = self.reach.expand_as(unknowns).clone()
        going = torch.arange(len(unknowns), device=unknowns.device)
        for _ in range(most):
            products = local.products(going, self.data[going])
            move, promised = products.best_move(
                unknowns[going], self.prior, noise[going], reach[going]
            )
            rise = promised - score[going]
            worth = rise > self._least_rise
            going, move, rise = going[worth], move[worth], rise[worth]
            if not len(going):
                return
            problem, tried = self.taken(going), unknowns[going] + move
            image = problem._images(tried, problem._gaussians(problem._offsets(tried)))
            reached = problem._log_posterior(tried, image, noise[going])
            before = score[going]
            better = reached > before
            local.learn(going, move, image, better)
            unknowns[going] = torch.where(better[:, None], tried, unknowns[going])
            score[going] = torch.where(better, reached, before)
            # as far again where half of what was promised came true, else within what failed
            far = (move / reach[going]).norm(dim=1)
            grown = torch.where(reached - before > 0.5 * rise, (2.0 * far).clamp_min(1.0), 1.0)
            reach[going] *= torch.where(better, grown, 0.5 * far)[:, None]

    @property
    def _least_rise(self) -> float:
        decodes = self.held is None and not isinstance(self.refinement.decoder, BatchDecoder)
        return WORTH if decodes else WORTH_WITHOUT_DECODING

    def _likelihood(self, unknowns: Tensor, offsets: Tensor | None) -> Tensor:
        """Its logarithm (B,), less a constant, at the best scale and strength of noise."""
        model = self._images(unknowns, self._gaussians(offsets))
        return -0.5 * self.white.degrees * self._noise(model).log()

    def _noise(self, model: Tensor) -> Tensor:
        """Variance (B,) of each particle's noise, from what its model leaves over."""
        power = model.square().sum(dim=1).clamp_min(1e-30)
        left = self.data - ((model * self.data).sum(dim=1) / power)[:, None] * model
        noise: Tensor = left.square().sum(dim=1) / self.white.degrees
        return noise

    def _start(self) -> Tensor:
        known = [] if self.refinement.latent_held else [self.latent]
        if self.refinement.pose_spread is not None:
            known.append(self.pose / self.unit)
        return torch.cat(known, dim=1)

    def _refined(self, unknowns: Tensor, local: LocalImages) -> Refined:
        latent = self.latent if self.refinement.latent_held else unknowns[:, : self._dimensions]
        if self.refinement.pose_spread is None:
            still = latent.new_zeros(len(latent), POSE_UNKNOWNS)
            return Refined(latent, still, still)
        variance = self._covariance(unknowns, local).diagonal(dim1=1, dim2=2)
        return Refined(
            latent,
            unknowns[:, -POSE_UNKNOWNS:] * self.unit,
            variance[:, -POSE_UNKNOWNS:] * self.unit.square(),
        )

    def _covariance(self, unknowns: Tensor, local: LocalImages) -> Tensor:
        """Of the posterior (B, U, U) about the unknowns."""
        everyone = torch.arange(len(unknowns), device=unknowns.device)
        products = local.products(everyone, self.data)
        noise = self._noise(local.rows[:, 0])
        _, curvature = products.slope_and_curvature(torch.zeros_like(unknowns), noise)
        covariance: Tensor = torch.linalg.inv(curvature + self.prior.precision)
        return covariance

    @property
    def _dimensions(self) -> int:
        return self.latent.shape[1]

    def _slopes(self, unknowns: Tensor, model: Tensor, offsets: Tensor | None) -> Tensor:
        """How the whitened images (B, M) change with each unknown (B, U, M).

        Parameters
        ----------
        unknowns : Tensor, shape (B, U)
        model : Tensor, shape (B, M)
        offsets : Tensor, shape (B, N, channels), or None
            What they decode to; None where latent vectors are held.
        """
        slopes = []
        if offsets is not None:
            slopes.append(self._latent_slopes(unknowns, model, offsets))
        if self.refinement.pose_spread is not None:
            slopes += self._pose_slopes(unknowns, model, self._gaussians(offsets))
        return torch.cat(slopes).transpose(0, 1)

    def _latent_slopes(self, unknowns: Tensor, model: Tensor, offsets: Tensor) -> Tensor:
        """By the latent vector (Z, B, M)."""
        latent = unknowns[:, : self._dimensions]
        deviation = self.refinement.regular_covariance().diagonal().sqrt()
        step = DIFFERENCE * deviation
        if isinstance(self.refinement.decoder, BatchDecoder):
            moved = self.refinement.decoder((latent + step.diag()[:, None]).flatten(0, 1))
        else:
            slopes = shared_slopes(self.refinement.decoder, latent, offsets, deviation)
            moved = (offsets + step[:, None, None, None] * slopes).flatten(0, 1)
        images = self._images(unknowns.repeat(len(step), 1), self._gaussians(moved))
        found: Tensor = (images.reshape(len(step), *model.shape) - model) / step[:, None, None]
        return found

    def _pose_slopes(self, unknowns: Tensor, model: Tensor, shown: Gaussians) -> list[Tensor]:
        """By turns (3, B, M) and shifts (2, B, M), in deviations; nothing is decoded."""
        step = TURN_DIFFERENCE / self.unit[:TURNS]
        moves = nn.functional.pad(
            step.diag(), (unknowns.shape[1] - POSE_UNKNOWNS, POSE_UNKNOWNS - TURNS)
        )
        turned = self._images((unknowns + moves[:, None]).flatten(0, 1), _repeated(shown, TURNS))
        turned = turned.reshape(TURNS, *model.shape)
        particles = self.refinement.forward.particles
        box, pixel = particles.box_size, particles.pixel_size_angstrom
        # a shifted image is multiplied by exp(-2 pi i k . t)
        ramps = -2.0j * torch.pi * frequency_grid(box, pixel, device=model.device)
        planes = torch.view_as_complex(model.reshape(-1, box, box // 2 + 1, 2))
        shifted = [
            torch.view_as_real(planes * ramps[..., axis] * self.unit[TURNS + axis]).flatten(1)
            for axis in range(POSE_UNKNOWNS - TURNS)
        ]
        return [(turned - model) / step[:, None, None], torch.stack(shifted)]

    def _offsets(self, unknowns: Tensor) -> Tensor | None:
        """What unknowns (n, U) decode to (n, N, channels); None where latent vectors are held."""
        if self.held is not None:
            return None
        offsets: Tensor = self.refinement.decoder(unknowns[:, : self._dimensions])
        return offsets

    def _gaussians(self, offsets: Tensor | None) -> Gaussians:
        if offsets is None:
            assert self.held is not None
            return self.held
        return deform(self.refinement.neutral, offsets, self.refinement.vary)

    def _images(self, unknowns: Tensor, shown: Gaussians) -> Tensor:
        """Whitened images (k B, M) of Gaussians in the poses of unknowns (k B, U)."""
        count = len(unknowns) // len(self.data)
        rotation = self.batch.rotation.repeat(count, 1, 1)
        pose = (
            None
            if self.refinement.pose_spread is None
            else unknowns[:, -POSE_UNKNOWNS:] * self.unit
        )
        if pose is not None:
            rotation = rotation_from_vector(pose[:, :TURNS]) @ rotation
        repeated = replace(self.batch, ctf=self.batch.ctf.repeat(count, 1, 1), rotation=rotation)
        images = self.refinement.forward.images_of(shown, repeated)
        if pose is not None:
            particles = self.refinement.forward.particles
            box, pixel = particles.box_size, particles.pixel_size_angstrom
            images = images * shift_phases(pose[:, TURNS:], box, pixel)
        return self.white.whitened(images)

    def _log_posterior(self, unknowns: Tensor, model: Tensor, noise: Tensor) -> Tensor:
        """Log-posterior (B,), less a constant, with the model at its best scale."""
        explained = (model * self.data).sum(dim=1) / model.norm(dim=1).clamp_min(1e-30)
        likelihood: Tensor = explained.clamp_min(0.0).square() / (2.0 * noise)
        return likelihood + self.prior.log_density(unknowns)


def _block_diagonal(blocks: list[Tensor]) -> Tensor:
    joined: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return joined


def _repeated(gaussians: Gaussians, count: int) -> Gaussians:
    """Of B particles to those of count x B; what all particles share stays as it is."""
    positions, amplitudes, widths = (
        getattr(gaussians, name) for name in ("positions", "amplitudes", "widths")
    )
    return Gaussians(
        positions.repeat(count, 1, 1) if positions.ndim == 3 else positions,
        amplitudes.repeat(count, 1) if amplitudes.ndim == 2 else amplitudes,
        widths.repeat(count, 1) if widths.ndim == 2 else widths,
    )


def _taken(gaussians: Gaussians, rows: Tensor) -> Gaussians:
    """Those of some particles; what all share stays as it is."""
    return Gaussians(
        gaussians.positions[rows] if gaussians.positions.ndim == 3 else gaussians.positions,
        gaussians.amplitudes[rows] if gaussians.amplitudes.ndim == 2 else gaussians.amplitudes,
        gaussians.widths[rows] if gaussians.widths.ndim == 2 else gaussians.widths,
    )
