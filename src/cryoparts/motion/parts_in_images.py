"""The images of a run, and what moves in them, as a problem of least squares."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from cryoparts.motion.moved_parts import CoreMotion, MovedBody, MovedPartsOf
from cryoparts.particles.pose_change import change_before_motions
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import about_given_poses
from cryoparts.rigid.rigid_modes import screws_of
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.training.pose_rounds import start_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.motion.run_motion import RunMotion
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.rigid.rigid_modes import RigidModes
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class OfChosen(Generic[Answer]):
    """What is asked of particles by their places among chosen rows of a run."""

    of_rows: Callable[[NDArray[np.int64]], Answer]
    rows: NDArray[np.int64]

    def __call__(self, places: NDArray[np.int64]) -> Answer:
        """Of those at these places."""
        return self.of_rows(self.rows[places])


@dataclass(frozen=True)
class PartsInImages:
    """The images of a run, and what moves in them: the decoder's parts, moved further.

    Parameters
    ----------
    motion : RunMotion
        As decoded; of the run's particles `rows`.
    labels : PartLabels
    setup : TrainingSetup
        Of the run: its images and its noise.
    offsets_of : callable
        The decoder's offsets (n, N, channels) of chosen particles.
    vary : tuple
        Channels of the offsets.
    relative_to_core : bool
        Whether motions are as seen from the core, not in the frame of the poses.
    rows : int array or None
        The particles of the run that the motion is of and that can be asked; None for all.
        Elsewhere particles are numbered by their places in the motion.
    deforming : frozenset of int
        Parts that keep what the decoder says beyond their rigid motion. Of a part that turns as
        one it is mostly wrong: Gaussians that look alike stay behind and take each other's place.
    """

    motion: RunMotion
    labels: PartLabels
    setup: TrainingSetup
    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    vary: tuple[Channel, ...]
    relative_to_core: bool
    rows: NDArray[np.int64] | None = None
    deforming: frozenset[int] = frozenset()

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
            forward=self._forward,
            objective=setup.objective,
            neutral=setup.neutral,
            decoder=nn.Identity(),  # every batch has its own
            vary=self.vary,
            mean=torch.zeros(start.shape[1], device=device),
            covariance=torch.eye(start.shape[1], device=device),
        )
        moved_parts = MovedPartsOf(
            self.offsets_of if self.rows is None else OfChosen(self.offsets_of, self.rows),
            self._bodies(modes),
            [_tensor(screws_of(self.motion.parts[part].motions), device) for part in modes],
            start,
            _core(self.motion, device) if self.relative_to_core else None,
            self.vary,
        )
        if len(self.change):
            likelihood = about_given_poses(likelihood, self.change.spread)
        return likelihood, moved_parts, start_of(self.change, start)

    def sample(self, most: int) -> NDArray[np.int64]:
        """At most so many of the particles that have any of the parts, spread over the file."""
        anyone = np.any([motion.present for motion in self.motion.parts.values()], axis=0)
        return evenly_spaced(np.flatnonzero(anyone), most)

    def image_numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of the particles `rows`: copies of one image, as of symmetry, have the same."""
        numbers: NDArray[np.int64] = self._forward.particles.image[rows]
        return numbers

    @cached_property
    def change(self) -> PoseChange:
        """Of the run's poses: read once, it may be of a million particles."""
        change = change_before_motions(self.setup.forward.particles.folder)
        return change if self.rows is None else change.take(self.rows)

    @cached_property
    def _forward(self) -> ForwardModel:
        forward = self.setup.forward
        if self.rows is None:
            return forward
        return replace(forward, particles=forward.particles.take(self.rows))

    def _bodies(self, modes: dict[int, RigidModes]) -> list[MovedBody]:
        device, bodies = self.setup.forward.device, []
        for (part, found), columns in zip(modes.items(), columns_of(modes), strict=True):
            members = np.flatnonzero(self.labels.members(part))
            bodies.append(
                MovedBody(
                    torch.as_tensor(members, device=device),
                    _tensor(self.setup.model.positions[members], device),
                    _tensor(self.motion.rest[members], device),
                    _tensor(self.motion.parts[part].motions.centre, device),
                    _tensor(found.modes, device),
                    columns,
                    part in self.deforming,
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


def _core(motion: RunMotion, device: torch.device) -> CoreMotion | None:
    core = motion.core
    if core is None:
        return None
    return CoreMotion(
        *(_tensor(of, device) for of in (core.centre, core.rotation, core.shift_angstrom))
    )


def _tensor(array: NDArray[np.floating], device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)
