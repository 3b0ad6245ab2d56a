"""Each particle's latent vector, and pose, by likelihood, from where the encoder puts them.

The encoder amortises: it answers for all particles with one network, which
cannot solve every particle's own least-squares problem. Starting from its
answer, a few steps up the posterior (white noise of the particle's own
strength in the whitened band, free scale, and the normal distribution that the
latent vectors of the data set follow) correct what it missed. On 3,200
particles of a ribosome in nine segments they removed half of the encoder's errors
by segment, on 12,800 of a transporter a fifth of the error in ångström.

The poses that a particle file gives came from a map that stood for all particles.
Three turns and two shifts a particle are further unknowns of the same problem; how
far they may go is learned from the data (`pose_spread`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch

from cryoparts.image_model.deformation import Gaussians, deform
from cryoparts.parallel.current import team
from cryoparts.parallel.sharing import told_after
from cryoparts.refinement.decoder_slopes import neighbours_first
from cryoparts.refinement.least_squares import (
    POSE_UNKNOWNS,
    BatchDecoder,
    LeastSquares,
    Refined,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cryoparts.config import Channel
    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.image_model.losses import Objective
    from cryoparts.particles.pose_change import PoseSpread

Result = TypeVar("Result")

BATCH = 32
"""Particles at a time on the processor, in two groups that share slopes of the decoder."""

GAUSSIANS_AT_A_TIME = 1 << 20
"""Gaussians decoded at a time on other devices, which need larger batches to be busy."""

FEW_UNKNOWNS = 16
"""Unknowns a particle from which on fewer particles are solved at a time: slopes take memory."""

STEPS_A_TANGENT = 5
"""Steps with the same slopes, corrected by what each step saw, at most: half as many do mostly."""


@dataclass(frozen=True)
class ParticleRefinement:
    """Refines latent vectors, and poses, under a fixed decoder.

    Parameters
    ----------
    forward : ForwardModel
        The particles and how they are imaged.
    objective : Objective
        Whose ring weights whiten the noise.
    neutral : Gaussians
    decoder : Module
        Latent vectors to offsets.
    vary : tuple
        The decoder's channels.
    mean : Tensor, shape (Z,)
        Of the latent vectors that the encoder gives the data set.
    covariance : Tensor, shape (Z, Z)
        Of the same.
    pose_spread : PoseSpread or None
        Deviations of the prior of the poses about those of `forward`; None holds them.
    latent_held : bool
        Refine the poses alone: every particle is decoded once.
    """

    forward: ForwardModel
    objective: Objective
    neutral: Gaussians
    decoder: nn.Module
    vary: tuple[Channel, ...]
    mean: Tensor
    covariance: Tensor
    pose_spread: PoseSpread | None = None
    latent_held: bool = False

    def refine(
        self,
        latent: Tensor,
        indices: NDArray[np.int64],
        steps: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Refined latent vectors (n, Z); see `solve`."""
        return self.solve(latent, indices, steps, progress).latent

    @torch.no_grad()
    def solve(
        self,
        latent: Tensor,
        indices: NDArray[np.int64],
        steps: int = 1,
        progress: Callable[[int, int], None] | None = None,
        *,
        steps_a_tangent: int | None = None,
        pose: Tensor | None = None,
    ) -> Refined:
        """Refined latent vectors and poses.

        Parameters
        ----------
        latent : Tensor, shape (n, Z)
            The encoder's.
        indices : array, shape (n,)
            Their particles.
        steps : int
            How often the images' slopes are taken anew.
        progress : callable or None
            Told the particles done, and their total.
        steps_a_tangent : int or None
            At most. Default: `STEPS_A_TANGENT`.
        pose : Tensor, shape (n, 5), or None
            Changes of the poses to start from, as in `Refined`; None starts from none.
        """
        still = latent.new_zeros(len(latent), POSE_UNKNOWNS)
        start_pose = still if pose is None else pose
        if steps == 0 or not len(indices):
            return Refined(latent.clone(), start_pose.clone(), still)
        task = _Solving(
            self, latent, start_pose, indices, steps, steps_a_tangent or STEPS_A_TANGENT
        )
        size, found, done = self.batch_size(latent), [], 0
        orders = self._orders(latent, indices)
        for order in orders:
            told = told_after(progress, done, len(indices))
            found += [of for _, of in team().sweep(task, order, size, told)]
            done += len(order)
        return Refined.joined(found).put_back(np.concatenate(orders))

    def _orders(self, latent: Tensor, indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Places of particles (n,) one after the other: neighbours share slopes of the decoder.

        Half sets are gone through apart: what one is told must not depend on the other.
        """
        if self.latent_held or isinstance(self.decoder, BatchDecoder):
            return [np.arange(len(latent))]
        half = self.forward.particles.half_set[indices]
        halves = [np.flatnonzero(half == one) for one in np.unique(half)]
        return [rows[neighbours_first(latent[rows]).cpu().numpy()] for rows in halves]

    def refine_each(
        self,
        latent: Tensor,
        decoder_of: Callable[[NDArray[np.int64]], nn.Module],
        steps: int,
        progress: Callable[[int, int], None] | None = None,
        *,
        pose: Tensor | None = None,
    ) -> Refined:
        """Refined unknowns (P, Z), and poses, of all particles, each batch under its own decoder.

        Parameters
        ----------
        latent : Tensor, shape (P, Z)
            What the decoders take, in the particles' order.
        decoder_of : callable
            The decoder of chosen particles, for which this object's own is not asked. It
            can be sent to another process.
        steps, progress, pose
            As in `solve`.
        """
        task = _RefiningEach(self, latent, pose, decoder_of, steps)
        everyone, size = np.arange(len(latent)), self.batch_size(latent)
        return Refined.joined([of for _, of in team().sweep(task, everyone, size, progress)])

    @torch.no_grad()
    def information_each(
        self,
        latent: Tensor,
        decoder_of: Callable[[NDArray[np.int64]], nn.Module],
        rows: NDArray[np.int64],
        pose: Tensor | None = None,
    ) -> Tensor:
        """What the images of the particles `rows` tell of each unknown (n, Z): inverse variances.

        At the scale that the model has in all of them together: at its own, one of noise, which
        agrees with any model by chance, would tell as much of it.

        Parameters
        ----------
        latent, decoder_of, pose
            As in `refine_each`.
        rows : int array, shape (n,)
        """
        found, scales = [], []
        for start in range(0, len(rows), self.batch_size(latent)):
            few = rows[start : start + self.batch_size(latent)]
            own = replace(self, decoder=decoder_of(few))
            problem = LeastSquares.of(own, latent[few], _start_pose(latent, pose, few), few)
            information, scale = problem.information()
            found.append(
                information[:, : latent.shape[1]] / scale.square().clamp_min(1e-30)[:, None]
            )
            scales.append(scale)
        return torch.cat(found) * torch.cat(scales).mean().clamp_min(0.0).square()

    @torch.no_grad()
    def posterior_each(
        self,
        latent: Tensor,
        decoder_of: Callable[[NDArray[np.int64]], nn.Module],
        rows: NDArray[np.int64],
        steps: int,
        pose: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Most probable unknowns (n, Z) of the particles `rows`, and their covariances (n, Z, Z).

        Whatever the poses are, where these are not held.

        Parameters
        ----------
        latent, decoder_of, steps, pose
            As in `refine_each`.
        rows : int array, shape (n,)
        """
        task = _PosteriorEach(self, latent, pose, decoder_of, steps)
        unknowns = latent.shape[1] + (0 if self.pose_spread is None else POSE_UNKNOWNS)
        size = max(1, self.batch_size(latent) * FEW_UNKNOWNS // max(unknowns, FEW_UNKNOWNS))
        found = [of for _, of in team().sweep(task, rows, size)]
        return torch.cat([mean for mean, _ in found]), torch.cat([spread for _, spread in found])

    @torch.no_grad()
    def log_likelihood_each(
        self,
        latent: Tensor,
        decoder_of: Callable[[NDArray[np.int64]], nn.Module],
        rows: NDArray[np.int64],
        steps: int,
        pose: Tensor | None = None,
    ) -> Tensor:
        """How probable the images of the particles `rows` (n,) are with the best unknowns.

        Parameters
        ----------
        latent, decoder_of, steps, pose
            As in `refine_each`.
        rows : int array, shape (n,)
        """
        task = _LikelihoodEach(self, latent, pose, decoder_of, steps)
        return torch.cat([of for _, of in team().sweep(task, rows, self.batch_size(latent))])

    def offset_slopes_each(
        self,
        latent: Tensor,
        decoder_of: Callable[[NDArray[np.int64]], nn.Module],
        rows: NDArray[np.int64],
        steps: int,
        pose: Tensor | None,
        told: Callable[[OffsetSlopes], Result],
    ) -> list[Result]:
        """What is `told` of each batch of the particles `rows`: where images want Gaussians.

        Parameters
        ----------
        latent, decoder_of, steps, pose
            As in `refine_each`.
        rows : int array, shape (n,)
        told : callable
            Makes of a batch's slopes, which are large, what is wanted of them. It can be sent
            to another process.
        """
        task = _OffsetSlopesEach(self, latent, pose, decoder_of, steps, told)
        return [of for _, of in team().sweep(task, rows, self.batch_size(latent))]

    def batch_size(self, latent: Tensor) -> int:
        """Particles at a time that memory and speed like, for latent vectors (n, Z)."""
        if latent.device.type == "cpu":
            return BATCH
        decoded = latent.shape[1] * len(self.neutral.amplitudes)
        return max(1, min(2 * BATCH, GAUSSIANS_AT_A_TIME // decoded))

    def decoded(self, latent: Tensor) -> Gaussians:
        """Gaussians of latent vectors (n, Z)."""
        return deform(self.neutral, self.decoder(latent), self.vary)

    def regular_covariance(self) -> Tensor:
        """The covariance, without directions that do not vary at all."""
        floor = 1e-4 * self.covariance.diagonal().mean().clamp_min(1e-12)
        return self.covariance + floor * torch.eye(
            len(self.covariance), device=self.covariance.device
        )


@dataclass(frozen=True)
class _Solving:
    """Refines a batch of the particles `indices`, from the latent vectors and poses given."""

    refinement: ParticleRefinement
    latent: Tensor
    pose: Tensor
    indices: NDArray[np.int64]
    steps: int
    steps_a_tangent: int

    @torch.no_grad()
    def __call__(self, places: NDArray[np.int64]) -> Refined:
        """Of those at these places."""
        latent, pose = self.latent[places], self.pose[places]
        problem = LeastSquares.of(self.refinement, latent, pose, self.indices[places])
        return problem.solved(self.steps, self.steps_a_tangent)


@dataclass(frozen=True)
class _Each:
    """What is asked of a batch of particles under a decoder of its own."""

    refinement: ParticleRefinement
    latent: Tensor
    pose: Tensor | None
    decoder_of: Callable[[NDArray[np.int64]], nn.Module]
    steps: int

    def problem(self, rows: NDArray[np.int64]) -> LeastSquares:
        """Of the particles `rows`."""
        own = replace(self.refinement, decoder=self.decoder_of(rows))
        start = _start_pose(self.latent, self.pose, rows)
        return LeastSquares.of(own, self.latent[rows], start, rows)


@dataclass(frozen=True)
class _PosteriorEach(_Each):
    """The posterior."""

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Of the particles `rows`."""
        unknowns, covariance = self.problem(rows).posterior(self.steps, STEPS_A_TANGENT)
        known = slice(self.latent.shape[1])
        return unknowns[:, known], covariance[:, known, known]


@dataclass(frozen=True)
class _LikelihoodEach(_Each):
    """The log-likelihood of the best unknowns."""

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """Of the particles `rows`."""
        return self.problem(rows).log_likelihood(self.steps, STEPS_A_TANGENT)


@dataclass(frozen=True)
class OffsetSlopes:
    """Where the images of B particles want their Gaussians.

    Parameters
    ----------
    decoder : BatchDecoder
        Of the batch.
    latent : Tensor, shape (B, Z)
        The best unknowns.
    offsets : Tensor, shape (B, N, channels)
        What these decode to.
    slope : Tensor, shape (B, N, channels)
        How the log-likelihood of the image rises with the offsets.
    """

    decoder: nn.Module
    latent: Tensor
    offsets: Tensor
    slope: Tensor


@dataclass(frozen=True)
class _OffsetSlopesEach(_Each, Generic[Result]):
    """What is told of the slopes by the offsets."""

    told: Callable[[OffsetSlopes], Result]

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> Result:
        """Of the particles `rows`."""
        problem = self.problem(rows)
        unknowns, offsets, slope = problem.slope_by_offsets(self.steps, STEPS_A_TANGENT)
        latent = unknowns[:, : self.latent.shape[1]]
        return self.told(OffsetSlopes(problem.refinement.decoder, latent, offsets, slope))


@dataclass(frozen=True)
class _RefiningEach(_Each):
    """The best unknowns."""

    def __call__(self, rows: NDArray[np.int64]) -> Refined:
        """Of the particles `rows`."""
        own = replace(self.refinement, decoder=self.decoder_of(rows))
        start = _start_pose(self.latent, self.pose, rows)
        return own.solve(self.latent[rows], rows, self.steps, pose=start)


def _start_pose(latent: Tensor, pose: Tensor | None, rows: NDArray[np.int64]) -> Tensor:
    """Changes of the poses (n, 5) that the particles `rows` start from: none where not given."""
    return latent.new_zeros(len(rows), POSE_UNKNOWNS) if pose is None else pose[rows]
