"""Particles whose parts are moved as rigid bodies, as a problem of least squares."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from cryoparts.image_model.deformation import displacement, put
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.particles.pose_change import change_before_motions
from cryoparts.refinement.least_squares import BatchDecoder
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import about_given_poses
from cryoparts.rigid.rigid_modes import screws_of
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.training.pose_rounds import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
class MovedBody:
    """One part: n Gaussians, m modes, and the columns of their coordinates."""

    members: Tensor  # (n,)
    neutral: Tensor  # (n, 3), Å
    rest: Tensor  # (n, 3), Å
    centre: Tensor  # (3,), Å
    modes: Tensor  # (m, 6)
    columns: slice
    deforms: bool = False
    """Whether it moves as decoded beyond its rigid motion."""

    def places(self, screws: Tensor) -> Tensor:
        """(B, n, 3) by rotation vectors and shifts (B, 6), Å."""
        turned = (self.rest - self.centre) @ rotation_from_vector(screws[:, :3]).transpose(1, 2)
        return turned + self.centre + screws[:, None, 3:]


@dataclass(frozen=True)
class CoreMotion:
    """How the core, which the parts' motions are seen from, has moved in B particles."""

    centre: Tensor  # (3,), Å
    rotation: Tensor  # (B, 3, 3)
    shift: Tensor  # (B, 3), Å

    def taken(self, rows: Tensor | NDArray[np.int64]) -> CoreMotion:
        """In some of the particles."""
        return CoreMotion(self.centre, self.rotation[rows], self.shift[rows])

    def applied(self, places: Tensor) -> Tensor:
        """Places (k B, n, 3) that move along with the core."""
        times = len(places) // len(self.rotation)
        turned = (places - self.centre) @ self.rotation.repeat(times, 1, 1).transpose(1, 2)
        return turned + self.centre + self.shift.repeat(times, 1)[:, None]

    def undone(self, places: Tensor) -> Tensor:
        """Places (B, n, 3) as seen from the core."""
        return (places - self.centre - self.shift[:, None]) @ self.rotation + self.centre


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
        Those of the decoder's own motion.
    core : CoreMotion or None
        None where the parts' motions are in the frame of the poses.
    vary : tuple
        Channels of the offsets.
    """

    def __init__(
        self,
        offsets: Tensor,
        bodies: Sequence[MovedBody],
        screws: Sequence[Tensor],
        coordinates: Tensor,
        core: CoreMotion | None,
        vary: tuple[Channel, ...],
    ) -> None:
        super().__init__()
        self.offsets, self.bodies, self.core, self.vary = offsets, bodies, core, vary
        self.screws, self.coordinates = screws, coordinates
        self.left = [self._left(body, x) for body, x in zip(bodies, screws, strict=True)]

    def _left(self, body: MovedBody, screws: Tensor) -> Tensor | None:
        """What the decoder says beyond a rigid motion (B, n, 3), as seen from the core."""
        moved = displacement(self.offsets[:, body.members], self.vary)
        if not body.deforms or moved is None:
            return None
        places = body.neutral + moved
        seen = places if self.core is None else self.core.undone(places)
        return seen - body.places(screws)

    def taken(self, rows: Tensor) -> MovedParts:
        """Of some of the particles."""
        return MovedParts(
            self.offsets[rows],
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.coordinates[rows],
            None if self.core is None else self.core.taken(rows),
            self.vary,
        )

    def along_with(self, body: int, places: Tensor, coordinates: Tensor) -> Tensor:
        """Places (N, 3) that move along with one of the bodies, (B, N, 3)."""
        of = self.bodies[body]
        moves = (coordinates - self.coordinates)[:, of.columns]
        return self.with_core(replace(of, rest=places).places(self.screws[body] + moves @ of.modes))

    def with_core(self, places: Tensor) -> Tensor:
        """Places (N, 3) or (B, N, 3) that move along with the core: (B, N, 3)."""
        every = places.expand(len(self.offsets), *places.shape[-2:])
        return every if self.core is None else self.core.applied(every)

    def forward(self, coordinates: Tensor) -> Tensor:
        """(k B, m) to offsets (k B, N, channels)."""
        times = len(coordinates) // len(self.offsets)
        offsets = self.offsets.repeat(times, 1, 1)
        moves = coordinates - self.coordinates.repeat(times, 1)
        for body, screws, left in zip(self.bodies, self.screws, self.left, strict=True):
            moved = screws.repeat(times, 1) + moves[:, body.columns] @ body.modes
            places = body.places(moved)
            if left is not None:
                places = places + left.repeat(times, 1, 1)
            if self.core is not None:
                places = self.core.applied(places)
            put(offsets, body.members, places - body.neutral, self.vary)
        return offsets


@dataclass(frozen=True)
class MovedPartsOf:
    """`MovedParts` of chosen particles, from what is known of all."""

    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    bodies: list[MovedBody]
    screws: list[Tensor]
    start: Tensor
    core: CoreMotion | None
    vary: tuple[Channel, ...]

    def __call__(self, rows: NDArray[np.int64]) -> MovedParts:
        """Of the particles `rows`."""
        return MovedParts(
            self.offsets_of(rows),
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.start[rows],
            None if self.core is None else self.core.taken(rows),
            self.vary,
        )


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
