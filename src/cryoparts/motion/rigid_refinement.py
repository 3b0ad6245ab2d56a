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

STEPS = 2
"""How often the images' slopes are taken anew; a third changes less than 0.005 Å."""

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
    start = np.concatenate([found.coordinates for found in modes.values()], axis=1)
    device, count = setup.forward.device, start.shape[1]
    coordinates = torch.as_tensor(start, dtype=torch.float32, device=device)
    likelihood = ParticleRefinement(
        forward=setup.forward,
        objective=setup.objective,
        neutral=setup.neutral,
        decoder=nn.Identity(),  # every batch has its own
        vary=vary,
        mean=torch.zeros(count, device=device),
        covariance=torch.eye(count, device=device),
    )
    bodies = _bodies(motion, modes, setup, labels)
    screws = [screws_of(motion.parts[part].motions) for part in modes]

    moved_parts = _MovedPartsOf(
        offsets_of,
        bodies,
        [_tensor(x, device) for x in screws],
        coordinates,
        _core(motion, device) if relative_to_core else None,
        vary,
    )
    refined = likelihood.refine_each(coordinates, moved_parts, STEPS, progress)
    moved = refined.cpu().numpy().astype(np.float64) - start
    parts = dict(motion.parts)
    for (part, found), body in zip(modes.items(), bodies, strict=True):
        parts[part] = _moved(
            parts[part], moved[:, body.columns] @ found.modes, setup.forward.particles.image, seed
        )
    return replace(motion, parts=parts, by_images=True)


def _chosen(modes: dict[int, RigidModes]) -> dict[int, RigidModes]:
    """The strongest modes of all parts, at most `MOST_COORDINATES`."""
    every = np.sort(np.concatenate([m.rms_angstrom for m in modes.values()] or [np.zeros(0)]))
    least = every[-MOST_COORDINATES] if len(every) > MOST_COORDINATES else 0.0
    kept = {part: int((m.rms_angstrom >= least).sum()) for part, m in modes.items()}
    return {
        part: replace(
            m,
            modes=m.modes[: kept[part]],
            coordinates=m.coordinates[:, : kept[part]],
            rms_angstrom=m.rms_angstrom[: kept[part]],
        )
        for part, m in modes.items()
        if kept[part]
    }


def _bodies(
    motion: RunMotion,
    modes: dict[int, RigidModes],
    setup: TrainingSetup,
    labels: PartLabels,
) -> list[_Body]:
    device = setup.forward.device
    bodies, column = [], 0
    for part, found in modes.items():
        members = np.flatnonzero(labels.members(part))
        columns = slice(column, column + len(found.modes))
        arms = setup.model.positions[members] - motion.parts[part].motions.centre
        bodies.append(
            _Body(
                torch.as_tensor(members, device=device),
                _tensor(arms, device),
                _tensor(found.modes, device),
                columns,
            )
        )
        column = columns.stop
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
