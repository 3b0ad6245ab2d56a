"""The least-squares problem of a batch of particles: latent vectors and poses by likelihood.

Unknowns a particle are its latent vector, its pose, or both; the images that they give are
compared with its own in the whitened band, at the best scale, under the normal priors of
both. Gauss-Newton steps climb to the highest posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from cryoparts.image_model.deformation import Gaussians
from cryoparts.imaging.fourier import shift_phases
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.refinement.whitened_images import WhitenedImages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.refinement.particle_refinement import ParticleRefinement

DIFFERENCE = 0.2
"""Step of the finite differences, in deviations of the latent vectors."""

TURN_DIFFERENCE = 0.01
"""Step of the finite differences of a turn, radians."""

SHIFT_DIFFERENCE = 0.1
"""Step of the finite differences of a shift, pixels."""

SHORTENED = 0.4
"""Factor on a step after one that made the particle less probable, and was not taken."""

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
    mean: Tensor  # (U,), of the prior
    precision: Tensor  # (U, U), of the prior
    difference: Tensor  # (U,), of the finite differences
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
        means, precisions, differences = [], [], []
        unit = latent.new_ones(POSE_UNKNOWNS)
        if not refinement.latent_held:
            spread = refinement.covariance.diagonal().mean().sqrt().clamp_min(1e-6)
            means.append(refinement.mean)
            precisions.append(torch.linalg.inv(refinement.regular_covariance()))
            differences.append((DIFFERENCE * spread).expand(latent.shape[1]))
        if refinement.pose_spread is not None:
            turn, shift = refinement.pose_spread.turn, refinement.pose_spread.shift_angstrom
            pixel = refinement.forward.particles.pixel_size_angstrom
            sides = POSE_UNKNOWNS - TURNS
            unit = latent.new_tensor([turn] * TURNS + [shift] * sides)
            steps = [TURN_DIFFERENCE] * TURNS + [SHIFT_DIFFERENCE * pixel] * sides
            means.append(torch.zeros_like(unit))
            precisions.append(torch.eye(POSE_UNKNOWNS, device=unit.device))
            differences.append(latent.new_tensor(steps) / unit)
        return cls(
            refinement,
            latent,
            pose,
            batch,
            white,
            white.whitened(batch.data),
            refinement.decoded(latent) if refinement.latent_held else None,
            torch.cat(means),
            _block_diagonal(precisions),
            torch.cat(differences),
            unit,
        )

    def solved(self, steps: int, steps_a_tangent: int) -> Refined:
        """Gauss-Newton steps to the highest posterior."""
        unknowns = self._start()
        model = self._images(unknowns[None])[0]
        data = self.data
        noise = self._noise(model)
        slopes = model[None]
        for _ in range(steps):
            slopes = self._slopes(unknowns, model)
            length = torch.ones_like(noise)
            score = self._log_posterior(unknowns, model, noise)
            # The slopes cost a decoding a dimension, a step along them but one.
            for _ in range(steps_a_tangent):
                pull = (unknowns - self.mean) @ self.precision
                slope, curvature = _normal_equations(slopes, model, data, noise)
                step = torch.linalg.solve(curvature + self.precision, slope - pull)
                move = length[:, None] * step
                tried = unknowns + move
                image = self._images(tried[None])[0]
                slopes = _secant(slopes, move, image - model)
                reached = self._log_posterior(tried, image, noise)
                better = reached > score
                unknowns = torch.where(better[:, None], tried, unknowns)
                model = torch.where(better[:, None], image, model)
                score = torch.where(better, reached, score)
                length = torch.where(better, length, SHORTENED * length)
        return self._refined(unknowns, slopes, model)

    def _noise(self, model: Tensor) -> Tensor:
        """Variance (B,) of each particle's noise, from what its model leaves over."""
        left = self.data - _scale(model, self.data)[:, None] * model
        noise: Tensor = left.square().sum(dim=1) / self.white.degrees
        return noise

    def _start(self) -> Tensor:
        known = [] if self.refinement.latent_held else [self.latent]
        if self.refinement.pose_spread is not None:
            known.append(self.pose / self.unit)
        return torch.cat(known, dim=1)

    def _refined(self, unknowns: Tensor, slopes: Tensor, model: Tensor) -> Refined:
        latent = self.latent if self.refinement.latent_held else unknowns[:, : self._dimensions]
        if self.refinement.pose_spread is None:
            still = latent.new_zeros(len(latent), POSE_UNKNOWNS)
            return Refined(latent, still, still)
        _, curvature = _normal_equations(slopes, model, self.data, self._noise(model))
        variance = torch.linalg.inv(curvature + self.precision).diagonal(dim1=1, dim2=2)
        return Refined(
            latent,
            unknowns[:, -POSE_UNKNOWNS:] * self.unit,
            variance[:, -POSE_UNKNOWNS:] * self.unit.square(),
        )

    @property
    def _dimensions(self) -> int:
        return self.latent.shape[1]

    def _slopes(self, unknowns: Tensor, model: Tensor) -> Tensor:
        """How the whitened images change with each unknown (U, B, M)."""
        moves = torch.diag(self.difference)
        poses_from = len(moves) - (POSE_UNKNOWNS if self.refinement.pose_spread else 0)
        moved = []
        if poses_from:
            moved.append(self._images(unknowns + moves[:poses_from, None]))
        if poses_from < len(moves):
            # turned and shifted, not decoded again
            gaussians = self._gaussians(unknowns)
            moved.append(self._images(unknowns + moves[poses_from:, None], gaussians))
        return (torch.cat(moved) - model) / self.difference[:, None, None]

    def _gaussians(self, unknowns: Tensor) -> Gaussians:
        """Of unknowns (n, U)."""
        if self.held is not None:
            return self.held
        return self.refinement.decoded(unknowns[:, : self._dimensions])

    def _images(self, unknowns: Tensor, gaussians: Gaussians | None = None) -> Tensor:
        """Whitened images (k, B, M) of k sets of unknowns a particle (k, B, U).

        Of Gaussians (B, ...) where these are given, or held, whatever the latent vectors are.
        """
        count, flat = len(unknowns), unknowns.flatten(0, 1)
        known = gaussians or self.held
        shown = self._gaussians(flat) if known is None else _repeated(known, count)
        rotation = self.batch.rotation.repeat(count, 1, 1)
        pose = None if self.refinement.pose_spread is None else flat[:, -POSE_UNKNOWNS:] * self.unit
        if pose is not None:
            rotation = rotation_from_vector(pose[:, :TURNS]) @ rotation
        repeated = replace(self.batch, ctf=self.batch.ctf.repeat(count, 1, 1), rotation=rotation)
        images = self.refinement.forward.images_of(shown, repeated)
        if pose is not None:
            particles = self.refinement.forward.particles
            box, pixel = particles.box_size, particles.pixel_size_angstrom
            images = images * shift_phases(pose[:, TURNS:], box, pixel)
        whitened = self.white.whitened(images)
        return whitened.reshape(count, -1, whitened.shape[1])

    def _log_posterior(self, unknowns: Tensor, model: Tensor, noise: Tensor) -> Tensor:
        """Log-posterior (B,), less a constant, with the model at its best scale."""
        explained = (model * self.data).sum(dim=1) / model.norm(dim=1).clamp_min(1e-30)
        away = unknowns - self.mean
        likelihood = explained.clamp_min(0.0).square() / (2.0 * noise)
        posterior: Tensor = likelihood - 0.5 * ((away @ self.precision) * away).sum(dim=1)
        return posterior


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


def _normal_equations(
    slopes: Tensor, model: Tensor, data: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Slope (B, U) and curvature (B, U, U) of the log-likelihood."""
    scale = _scale(model, data)[:, None]
    # The scale is free: slopes along the model itself tell nothing.
    along = model / model.norm(dim=1, keepdim=True).clamp_min(1e-30)
    across = scale * (slopes - (slopes * along).sum(dim=-1, keepdim=True) * along)
    curvature = torch.einsum("zbm,ybm->bzy", across, across) / noise[:, None, None]
    slope = torch.einsum("zbm,bm->bz", across, data - scale * model) / noise[:, None]
    return slope, curvature


def _secant(slopes: Tensor, move: Tensor, change: Tensor) -> Tensor:
    """Slopes (Z, B, M) that explain the change (B, M) that a move (B, Z) has made.

    The smallest correction that does (Broyden 1965, Math. Comp. 19, 577): each
    step tells for nothing how the images bend along the way that was gone.
    """
    unexplained = change - torch.einsum("bz,zbm->bm", move, slopes)
    share = move / move.square().sum(dim=1, keepdim=True).clamp_min(1e-30)
    return slopes + share.T[:, :, None] * unexplained


def _scale(model: Tensor, data: Tensor) -> Tensor:
    """Factor (B,) with which the model fits the data best."""
    return (model * data).sum(dim=1) / model.square().sum(dim=1).clamp_min(1e-30)
