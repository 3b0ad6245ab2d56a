"""Particles whose parts are moved as rigid bodies, as a problem of least squares."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cryoparts.image_model.deformation import moved_further
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.particles.pose_change import current_change
from cryoparts.refinement.least_squares import BatchDecoder
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import about_given_poses
from cryoparts.rigid.rigid_modes import screws_of
from cryoparts.training.pose_rounds import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.motion.run_motion import RunMotion
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.rigid.rigid_modes import RigidModes
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MovedBody:
    """One part: n Gaussians, m modes, and the columns of their coordinates."""

    members: Tensor  # (n,)
    arms: Tensor  # (n, 3), Å from the part's centre
    modes: Tensor  # (m, 6)
    columns: slice

    def displacements(self, screws: Tensor) -> Tensor:
        """(B, n, 3) by rotation vectors and shifts (B, 6)."""
        turned = rotation_from_vector(screws[:, :3]) - torch.eye(3, device=screws.device)
        return self.arms @ turned.transpose(1, 2) + screws[:, None, 3:]


class MovedParts(BatchDecoder):
    """Coordinates of the parts' motions to offsets, for one batch of particles.

    Parameters
    ----------
    offsets : Tensor, shape (B, N, channels)
        The decoder's.
    bodies : sequence of MovedBody
    screws : sequence of Tensor, shape (B, 6)
        Each body's motion as decoded.
    coordinates : Tensor, shape (B, m)
        Those of the decoder's own motion: they change nothing.
    core : Tensor, shape (B, 3, 3), or None
        Rotation of the core, which the parts' motions are relative to.
    vary : tuple
        Channels of the offsets.
    """

    def __init__(
        self,
        offsets: Tensor,
        bodies: Sequence[MovedBody],
        screws: Sequence[Tensor],
        coordinates: Tensor,
        core: Tensor | None,
        vary: tuple[Channel, ...],
    ) -> None:
        super().__init__()
        self.offsets, self.bodies, self.core, self.vary = offsets, bodies, core, vary
        self.screws, self.coordinates = screws, coordinates
        self.decoded = [body.displacements(x) for body, x in zip(bodies, screws, strict=True)]

    def taken(self, rows: Tensor) -> MovedParts:
        """Of some of the particles."""
        return MovedParts(
            self.offsets[rows],
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.coordinates[rows],
            None if self.core is None else self.core[rows],
            self.vary,
        )

    def forward(self, coordinates: Tensor) -> Tensor:
        """(k B, m) to offsets (k B, N, channels)."""
        times = len(coordinates) // len(self.offsets)
        further = coordinates.new_zeros(len(coordinates), self.offsets.shape[1], 3)
        moves = coordinates - self.coordinates.repeat(times, 1)
        for body, screws, decoded in zip(self.bodies, self.screws, self.decoded, strict=True):
            moved = screws.repeat(times, 1) + moves[:, body.columns] @ body.modes
            change = body.displacements(moved) - decoded.repeat(times, 1, 1)
            if self.core is not None:
                change = change @ self.core.repeat(times, 1, 1).transpose(1, 2)
            further[:, body.members] = change
        return moved_further(self.offsets.repeat(times, 1, 1), further, self.vary)


@dataclass(frozen=True)
class MovedPartsOf:
    """`MovedParts` of chosen particles, from what is known of all."""

    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    bodies: list[MovedBody]
    screws: list[Tensor]
    start: Tensor
    core: Tensor | None
    vary: tuple[Channel, ...]

    def __call__(self, rows: NDArray[np.int64]) -> MovedParts:
        """Of the particles `rows`."""
        return MovedParts(
            self.offsets_of(rows),
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.start[rows],
            None if self.core is None else self.core[rows],
            self.vary,
        )


@dataclass(frozen=True)
class PartsInImages:
    """The images of a run, and what moves in them: the decoder's parts, moved further.

    Parameters
    ----------
    motion : RunMotion
        As decoded.
    labels : PartLabels
    setup : TrainingSetup
        Of the run: its images and its noise.
    offsets_of : callable
        The decoder's offsets (n, N, channels) of chosen particles.
    vary : tuple
        Channels of the offsets.
    relative_to_core : bool
        Whether motions are as seen from the core, not in the frame of the poses.
    """

    motion: RunMotion
    labels: PartLabels
    setup: TrainingSetup
    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    vary: tuple[Channel, ...]
    relative_to_core: bool

    def along(
        self, modes: dict[int, RigidModes]
    ) -> tuple[ParticleRefinement, MovedPartsOf, Tensor | None]:
        """With the coordinates of these modes as unknowns, of deviation 1 about 0.

        Where poses were refined they are unknowns too, which what moves would else answer for:
        then the last of the three is their changes (P, 5) to start from.
        """
        setup, device = self.setup, self.setup.forward.device
        start = _tensor(coordinates_of(modes), device)
        likelihood = ParticleRefinement(
            forward=setup.forward,
            objective=setup.objective,
            neutral=setup.neutral,
            decoder=nn.Identity(),  # every batch has its own
            vary=self.vary,
            mean=torch.zeros(start.shape[1], device=device),
            covariance=torch.eye(start.shape[1], device=device),
        )
        moved_parts = MovedPartsOf(
            self.offsets_of,
            self._bodies(modes),
            [_tensor(screws_of(self.motion.parts[part].motions), device) for part in modes],
            start,
            _core(self.motion, device) if self.relative_to_core else None,
            self.vary,
        )
        if len(self._change):
            likelihood = about_given_poses(likelihood, self._change.spread)
        return likelihood, moved_parts, start_of(self._change, start)

    @cached_property
    def _change(self) -> PoseChange:
        """Of the run's poses: read once, it may be of a million particles."""
        return current_change(self.setup.forward.particles.folder)

    def _bodies(self, modes: dict[int, RigidModes]) -> list[MovedBody]:
        device, bodies = self.setup.forward.device, []
        for (part, found), columns in zip(modes.items(), columns_of(modes), strict=True):
            members = np.flatnonzero(self.labels.members(part))
            arms = self.setup.model.positions[members] - self.motion.parts[part].motions.centre
            bodies.append(
                MovedBody(
                    torch.as_tensor(members, device=device),
                    _tensor(arms, device),
                    _tensor(found.modes, device),
                    columns,
                )
            )
        return bodies


def coordinates_of(modes: dict[int, RigidModes]) -> FloatArray:
    """Of all parts' modes (P, m), one part after the other."""
    return np.concatenate([found.coordinates for found in modes.values()], axis=1)


def columns_of(modes: dict[int, RigidModes]) -> list[slice]:
    """Where each part's are among them."""
    ends = np.cumsum([0, *(len(found.modes) for found in modes.values())])
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


def _core(motion: RunMotion, device: torch.device) -> Tensor | None:
    return None if motion.core is None else _tensor(motion.core.rotation, device)


def _tensor(array: FloatArray, device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)
