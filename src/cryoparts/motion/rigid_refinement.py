"""Each particle's motion of the parts by likelihood, from where the decoder puts them.

The decoder has to say how thousands of Gaussians move, and is never quite right for
one particle. Once the parts are known and each moves in one or two ways, a particle has
a handful of unknowns, which its image tells better: the parts are moved as rigid
bodies, on top of what the decoder says, until the image is most probable (as multi-body
refinement does: Nakane et al. 2018, eLife 7, e36861). The prior of a part is the
distribution of its motion over the particles, one part apart from the other, so that it
brings in no coordination.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cryoparts.image_model.deformation import moved_further
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.refinement.least_squares import BatchDecoder
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.rigid.motion_statistics import mean_screw
from cryoparts.rigid.rigid_modes import find_modes, rotations_of, screws_of
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.motion.motion_files import PartMotion
    from cryoparts.motion.run_motion import RunMotion
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.rigid.rigid_modes import RigidModes
    from cryoparts.rigid.rigid_motion import RigidMotions
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

STEPS = 1
"""How often the images' slopes are taken anew; again changes 0.03 deviations of a motion."""

TOLD = 0.1
"""What the best image of a sample tells of a motion, at least, in inverse variances of it among
the particles, for the images to be asked: a motion of which they tell less is at its mean in
the most probable answer. (Of motions by 4 Å images of noise 10 times the signal tell 20 to 600,
of the 0.1 Å by which parts move that stand still at most 0.03.)"""

SAMPLE = 128
"""Particles of which that is measured."""

MOST_COORDINATES = 16
"""Of all parts together: of more, those that move most."""


@dataclass(frozen=True)
class _Body:
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
    bodies : sequence of _Body
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
        bodies: Sequence[_Body],
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
class _MovedPartsOf:
    """`MovedParts` of chosen particles, from what is known of all."""

    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    bodies: list[_Body]
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
class _Asking:
    """What is needed to ask the images for the motions of the parts."""

    motion: RunMotion
    labels: PartLabels
    setup: TrainingSetup
    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    vary: tuple[Channel, ...]
    relative_to_core: bool

    def refined(
        self, modes: dict[int, RigidModes], progress: Callable[[int, int], None] | None
    ) -> FloatArray:
        """The most probable coordinates (P, m) of modes, in their order."""
        likelihood, moved_parts = self._problem(modes)
        everyone = np.arange(len(self.setup.forward.particles))
        told = likelihood.information_each(
            moved_parts.start, moved_parts, evenly_spaced(everyone, SAMPLE)
        )
        asked = (told.amax(dim=0) > TOLD).cpu().numpy()
        refined = np.zeros((len(everyone), len(asked)))  # the prior's mean
        if asked.any():
            own = [asked[columns] for columns in _columns(modes)]
            likelihood, moved_parts = self._problem(_those(modes, own))
            found = likelihood.refine_each(moved_parts.start, moved_parts, STEPS, progress)
            refined[:, asked] = found.cpu().numpy()
        return refined

    def _problem(self, modes: dict[int, RigidModes]) -> tuple[ParticleRefinement, _MovedPartsOf]:
        """With the coordinates of these modes as unknowns."""
        setup, device = self.setup, self.setup.forward.device
        start = _tensor(_coordinates(modes), device)
        likelihood = ParticleRefinement(
            forward=setup.forward,
            objective=setup.objective,
            neutral=setup.neutral,
            decoder=nn.Identity(),  # every batch has its own
            vary=self.vary,
            mean=torch.zeros(start.shape[1], device=device),
            covariance=torch.eye(start.shape[1], device=device),
        )
        moved_parts = _MovedPartsOf(
            self.offsets_of,
            _bodies(self.motion, modes, setup, self.labels),
            [_tensor(screws_of(self.motion.parts[part].motions), device) for part in modes],
            start,
            _core(self.motion, device) if self.relative_to_core else None,
            self.vary,
        )
        return likelihood, moved_parts


def refine_motion(
    motion: RunMotion,
    labels: PartLabels,
    setup: TrainingSetup,
    offsets_of: Callable[[NDArray[np.int64]], Tensor],
    vary: tuple[Channel, ...],
    *,
    relative_to_core: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RunMotion:
    """Motions that explain each particle's image best.

    Parameters
    ----------
    motion : RunMotion
        As decoded; of it the parts' motions change, and what follows from them.
    labels : PartLabels
    setup : TrainingSetup
        Of the run: its images and its noise.
    offsets_of : callable
        The decoder's offsets (n, N, channels) of chosen particles.
    vary : tuple
        Channels of the offsets.
    relative_to_core : bool
        Whether motions are as seen from the core, not in the frame of the poses.
    seed : int
        Of the uncertainty of the axes.
    progress : callable, optional
        Told the particles done, and all.
    """
    modes = _chosen({part: find_modes(m.motions, m.present) for part, m in motion.parts.items()})
    if not modes:
        return motion
    asking = _Asking(motion, labels, setup, offsets_of, vary, relative_to_core)
    start = _coordinates(modes)
    moved = asking.refined(modes, progress) - start
    parts = dict(motion.parts)
    for (part, found), columns in zip(modes.items(), _columns(modes), strict=True):
        parts[part] = _moved(
            parts[part], moved[:, columns] @ found.modes, setup.forward.particles.image, seed
        )
    return replace(motion, parts=parts, by_images=True)


def _chosen(modes: dict[int, RigidModes]) -> dict[int, RigidModes]:
    """The strongest modes of all parts, at most `MOST_COORDINATES`."""
    every = np.sort(np.concatenate([m.rms_angstrom for m in modes.values()] or [np.zeros(0)]))
    least = every[-MOST_COORDINATES] if len(every) > MOST_COORDINATES else 0.0
    return _those(modes, [m.rms_angstrom >= least for m in modes.values()])


def _those(
    modes: dict[int, RigidModes], kept: Sequence[NDArray[np.bool_]]
) -> dict[int, RigidModes]:
    """Some of the modes of each part; parts without any are left out."""
    return {
        part: replace(
            m,
            modes=m.modes[own],
            coordinates=m.coordinates[:, own],
            rms_angstrom=m.rms_angstrom[own],
        )
        for (part, m), own in zip(modes.items(), kept, strict=True)
        if own.any()
    }


def _coordinates(modes: dict[int, RigidModes]) -> FloatArray:
    """Of all parts' modes (P, m), one part after the other."""
    return np.concatenate([found.coordinates for found in modes.values()], axis=1)


def _columns(modes: dict[int, RigidModes]) -> list[slice]:
    """Where each part's are among them."""
    ends = np.cumsum([0, *(len(found.modes) for found in modes.values())])
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


def _bodies(
    motion: RunMotion,
    modes: dict[int, RigidModes],
    setup: TrainingSetup,
    labels: PartLabels,
) -> list[_Body]:
    device = setup.forward.device
    bodies = []
    for (part, found), columns in zip(modes.items(), _columns(modes), strict=True):
        members = np.flatnonzero(labels.members(part))
        arms = setup.model.positions[members] - motion.parts[part].motions.centre
        bodies.append(
            _Body(
                torch.as_tensor(members, device=device),
                _tensor(arms, device),
                _tensor(found.modes, device),
                columns,
            )
        )
    return bodies


def _core(motion: RunMotion, device: torch.device) -> Tensor | None:
    return None if motion.core is None else _tensor(motion.core.rotation, device)


def _tensor(array: FloatArray, device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)


def _moved(part: PartMotion, change: FloatArray, image: NDArray[np.int64], seed: int) -> PartMotion:
    """The part's motion with rotation vectors and shifts (P, 6) changed."""
    motions = _changed(part.motions, change)
    screw = mean_screw(motions.take(part.present), image=image[part.present], seed=seed)
    return replace(
        part,
        motions=motions,
        screw=screw,
        signed_angle_degrees=motions.angles_about(screw.axis, screw.pivot),
    )


def _changed(motions: RigidMotions, change: FloatArray) -> RigidMotions:
    screws = screws_of(motions) + change
    rotation, shift = rotations_of(screws), screws[:, 3:]
    turned = rotation - motions.rotation
    grown = _mean_square(rotation, shift, motions.second) - _mean_square(
        motions.rotation, motions.shift_angstrom, motions.second
    )
    return replace(
        motions,
        # what is not rigid stays as it was decoded
        cross=motions.cross + motions.second @ np.swapaxes(turned, 1, 2),
        rotation=rotation,
        shift_angstrom=shift,
        displacement_rms_angstrom=np.sqrt(
            np.maximum(motions.displacement_rms_angstrom**2 + grown, 0.0)
        ),
    )


def _mean_square(rotation: FloatArray, shift: FloatArray, second: FloatArray) -> FloatArray:
    """Of the displacement by a rigid motion (P,), Å²."""
    away = rotation - np.eye(3)
    turned = np.einsum("pij,jk,pik->p", away, second, away)
    return np.asarray(turned + (shift**2).sum(axis=1))
