"""With which part the Gaussians at a border move, by the images.

Parts are groups of Gaussians that do the same as the decoder has it. Of a part whose motion it
hardly knows it does not know the border either, and Gaussians that stand still drag such a part:
its images fit best where it turns too little. Once the ways in which parts move are known, each
image says where it wants a Gaussian: the slope of its log-likelihood along the way from where
the Gaussian is to where it would be with another part. Gaussians that images draw there are put
there, and those that they would draw back, more than they drew them, go back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.deformation import POSITION_UNIT_ANGSTROM, channel_slice, displacement
from cryoparts.motion.moved_parts import MovedParts
from cryoparts.parts.moved_borders import most_kept, neighbours
from cryoparts.parts.part_labels import CORE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.motion.parts_in_images import PartsInImages
    from cryoparts.refinement.particle_refinement import OffsetSlopes
    from cryoparts.rigid.rigid_modes import RigidModes

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

SAMPLE = 512
"""Particles that are asked."""

STEPS = 1
"""How often their images' slopes are taken, to find where the parts are."""

PATCH = 8
"""Neighbouring Gaussians that are asked together: images resolve no single one."""

SURE = 4.0
"""Errors, of the mean over the particles, by which a slope must differ from 0."""


def borders_by_images(images: PartsInImages, modes: dict[int, RigidModes]) -> IntArray:
    """The part of each Gaussian (N,), where images say with which of two parts it moves.

    Parameters
    ----------
    images : PartsInImages
        With the parts as they are.
    modes : dict of int to RigidModes
        How those parts move that do, by the images; the others keep their borders.
    """
    labels: IntArray = images.labels.labels
    modes = dict(sorted(modes.items()))
    rows = images.sample(SAMPLE)
    if not modes or not len(rows):
        return labels
    numbers = np.array([CORE, *modes])
    forth = _Drawn.of(images, modes, rows)
    asked = np.isin(labels, numbers)
    sure = np.where((forth.errors > SURE) & (numbers[:, None] != labels), forth.slope, 0.0)
    tried = np.where(asked & (sure.max(axis=0) > 0), numbers[sure.argmax(axis=0)], labels)
    if np.array_equal(tried, labels):
        return labels
    back = _Drawn.of(replace(images, labels=replace(images.labels, labels=tried)), modes, rows)
    every = np.arange(len(labels))
    before = np.searchsorted(numbers, np.where(asked, labels, CORE))
    stays = forth.slope.max(axis=0, initial=0.0, where=sure > 0) > back.slope[before, every]
    return most_kept(labels, np.where(stays, tried, labels), np.unique(labels))


@dataclass(frozen=True)
class _Drawn:
    """How the images draw Gaussians to where each of K parts, the core first, would have them.

    Parameters
    ----------
    slope : array, shape (K, N)
        Of the log-likelihood, on the way there, per Å^2 of its length.
    errors : array, shape (K, N)
        The same in errors of its mean over the particles.
    """

    slope: FloatArray
    errors: FloatArray

    @classmethod
    def of(
        cls, images: PartsInImages, modes: dict[int, RigidModes], rows: NDArray[np.int64]
    ) -> _Drawn:
        """By the images of the particles `rows`."""
        likelihood, moved_parts, pose = images.along(modes)
        neutral = images.setup.model.positions
        device = images.setup.forward.device
        told = _Sums(
            torch.as_tensor(neutral, dtype=torch.float32, device=device),
            torch.as_tensor(images.motion.rest, dtype=torch.float32, device=device),
            torch.as_tensor(neighbours(neutral, PATCH), device=device),
            images.vary,
        )
        batches = likelihood.offset_slopes_each(
            moved_parts.start, moved_parts, rows, STEPS, pose, told
        )
        rise, square, length = np.sum([of.cpu().numpy() for of in batches], axis=0)
        return cls(rise / np.maximum(length, 1e-12), rise / np.sqrt(np.maximum(square, 1e-300)))


@dataclass(frozen=True)
class _Sums:
    """Sums over a batch of particles, and each Gaussian's patch, for every place it might have."""

    neutral: Tensor  # (N, 3), Å
    rest: Tensor  # (N, 3), Å
    near: Tensor  # (N, k)
    vary: tuple[Channel, ...]

    def __call__(self, found: OffsetSlopes) -> Tensor:
        """Rise of the log-likelihood, its square, and the squared length in Å^2: (3, K, N)."""
        parts = found.decoder
        assert isinstance(parts, MovedParts)
        moved = displacement(found.offsets, self.vary)
        assert moved is not None
        slope = found.slope[..., channel_slice("position", self.vary)] / POSITION_UNIT_ANGSTROM
        places = [parts.with_core(self.rest)]
        places += [
            parts.along_with(body, self.rest, found.latent) for body in range(len(parts.bodies))
        ]
        sums = []
        for place in places:
            way = place - self.neutral - moved
            rise = (slope * way).sum(dim=2)[:, self.near].sum(dim=2).double()
            length = way.square().sum(dim=2)[:, self.near].sum(dim=(0, 2)).double()
            sums.append(torch.stack([rise.sum(dim=0), rise.square().sum(dim=0), length]))
        return torch.stack(sums, dim=1)
