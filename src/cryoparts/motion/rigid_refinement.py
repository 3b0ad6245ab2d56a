"""Each particle's motion of the parts by likelihood, from where the decoder puts them.

The decoder has to say how thousands of Gaussians move, and is never quite right for
one particle. Once the parts are known and each moves in one or two ways, a particle has
a handful of unknowns, which its image tells better: the parts are moved as rigid
bodies, on top of what the decoder says, until the image is most probable (as multi-body
refinement does: Nakane et al. 2018, eLife 7, e36861). The prior of a part is the
distribution of its motion over the particles, one part apart from the other, so that it
brings in no coordination; where the images themselves tell it, theirs (`image_modes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.motion.image_modes import modes_by_images
from cryoparts.motion.parts_in_images import PartsInImages, columns_of, coordinates_of
from cryoparts.rigid.motion_statistics import mean_screw
from cryoparts.rigid.rigid_modes import find_modes, mean_square, rotations_of, screws_of
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.training.pose_rounds import change_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.motion.motion_files import PartMotion
    from cryoparts.motion.run_motion import RunMotion
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.rigid.motion_statistics import ScrewError
    from cryoparts.rigid.rigid_modes import RigidModes
    from cryoparts.rigid.rigid_motion import RigidMotions
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

STEPS = 1
"""How often the images' slopes are taken anew; again changes 0.03 deviations of a motion."""

TOLD = 1.0
"""What the best image of a sample tells of a motion, at least, in inverse variances of it among
the particles, for the images to be asked: a motion of which they tell less is at its mean in
the most probable answer. (Of motions by 4 Å images of noise 10 times the signal tell 20 to 600,
of the 0.1 Å by which parts move that stand still at most 0.03, of the 1 to 2 Å that networks made
up from images of 192 px at an SNR of 10^-6 at most 0.27.)"""

SAMPLE = 128
"""Particles of which that is measured."""

DEFORMS = 8.0
"""Gain in log-likelihood of an image by which what the decoder says beyond a part's rigid motion
is true. It was fitted to the same image by a latent vector, which makes it more probable by half
a unit a dimension, and no truer: more must be gained than twice that of eight (Akaike 1974, IEEE
Trans. Autom. Control 19, 716)."""

LEFT = 0.02
"""Share of a part's mean square motion that is beyond its modes, from which on images are asked
whether it is true."""

MOST_COORDINATES = 16
"""Of all parts together: of more, those that move most."""


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
    images = PartsInImages(motion, labels, setup, offsets_of, vary, relative_to_core)
    decoded = {part: find_modes(m.motions, m.present) for part, m in motion.parts.items()}
    by_images = modes_by_images(images, surely=True)
    modes = _chosen(decoded | by_images)
    if not modes:
        return motion
    parts = dict(motion.parts)
    alone = {part: _alone(parts[part], found) for part, found in by_images.items()}
    images = replace(images, motion=replace(motion, parts=parts | alone))
    found = _refined(images, modes, motion, progress)
    moved = found.coordinates - coordinates_of(modes)
    for (part, ways), columns in zip(modes.items(), columns_of(modes), strict=True):
        if found.asked[columns].any():
            start = motion if part in found.deforming else images.motion
            along = moved[:, columns] @ ways.modes
            image = setup.forward.particles.image
            parts[part] = _moved(start.parts[part], along, ways.error, image, seed)
        else:
            parts[part] = _at_rest(parts[part])
    return replace(motion, parts=parts, by_images=True, pose_change=found.change)


@dataclass(frozen=True)
class _Refined:
    """What images say of the parts' motions.

    Parameters
    ----------
    coordinates : array, shape (P, m)
        The most probable ones, of modes in their order; 0 of those that are not asked for.
    asked : bool array, shape (m,)
        Of which modes images tell anything.
    deforming : frozenset of int
        Parts that move as decoded beyond their modes.
    change : PoseChange or None
        Poses that were found along with them.
    """

    coordinates: FloatArray
    asked: NDArray[np.bool_]
    deforming: frozenset[int]
    change: PoseChange | None


def _refined(
    images: PartsInImages,
    modes: dict[int, RigidModes],
    decoded: RunMotion,
    progress: Callable[[int, int], None] | None,
) -> _Refined:
    """The most probable coordinates of modes, and poses along with them."""
    likelihood, moved_parts, pose = images.along(modes)
    everyone = np.arange(len(images.setup.forward.particles))
    told = likelihood.information_each(
        moved_parts.start, moved_parts, evenly_spaced(everyone, SAMPLE), pose
    )
    asked = (told.amax(dim=0) > TOLD).cpu().numpy()
    refined = np.zeros((len(everyone), len(asked)))  # the prior's mean
    deforming, change = frozenset[int](), None
    if asked.any():
        those = _those(modes, [asked[columns] for columns in columns_of(modes)])
        deforming = _deforming(images, those, decoded, evenly_spaced(everyone, SAMPLE))
        likelihood, moved_parts, pose = replace(images, deforming=deforming).along(those)
        found = likelihood.refine_each(moved_parts.start, moved_parts, STEPS, progress, pose=pose)
        refined[:, asked] = found.latent.cpu().numpy()
        if pose is not None:
            change = change_of(found, images.change.spread)
    return _Refined(refined, asked, deforming, change)


def _deforming(
    images: PartsInImages,
    modes: dict[int, RigidModes],
    decoded: RunMotion,
    rows: NDArray[np.int64],
) -> frozenset[int]:
    """Parts of which the images of `rows` say that they move as decoded beyond their modes."""

    def told(deforming: frozenset[int]) -> FloatArray:
        likelihood, moved_parts, pose = replace(images, deforming=deforming).along(modes)
        found = likelihood.log_likelihood_each(moved_parts.start, moved_parts, rows, STEPS, pose)
        return found.cpu().double().numpy()

    found: frozenset[int] = frozenset()
    before = None
    for part in modes:
        motions = decoded.parts[part].motions.take(rows)
        apart = screws_of(motions) - screws_of(images.motion.parts[part].motions.take(rows))
        square = motions.residual_rms_angstrom**2 + mean_square(apart, motions.second)
        if square.mean() > LEFT * (motions.displacement_rms_angstrom**2).mean():
            before = told(found) if before is None else before
            after = told(found | {part})
            if np.median(after - before) > DEFORMS:
                found, before = found | {part}, after
    return found


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


def _alone(part: PartMotion, modes: RigidModes) -> PartMotion:
    """The part, moving in these ways alone: what was decoded beyond them, images do not show."""
    return replace(part, motions=_changed(part.motions, -modes.beyond(part.motions, part.present)))


def _at_rest(part: PartMotion) -> PartMotion:
    """The part without its rigid motion: the axis is of what was decoded, and means nothing."""
    return replace(
        part,
        motions=_changed(part.motions, -screws_of(part.motions)),
        screw=replace(part.screw, turns=False),
        signed_angle_degrees=np.zeros_like(part.signed_angle_degrees),
        told=False,
    )


def _moved(
    part: PartMotion,
    change: FloatArray,
    error: ScrewError,
    image: NDArray[np.int64],
    seed: int,
) -> PartMotion:
    """The part's motion with rotation vectors and shifts (P, 6) changed."""
    motions, image = _changed(part.motions, change), image[part.present]
    screw = mean_screw(motions.take(part.present), image=image, seed=seed, beside=error)
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
    moved = replace(
        motions,
        # what is not rigid stays as it was decoded
        cross=motions.cross + motions.second @ np.swapaxes(turned, 1, 2),
        rotation=rotation,
        shift_angstrom=shift,
    )
    grown = moved.mean_square_angstrom - motions.mean_square_angstrom
    squares = np.maximum(motions.displacement_rms_angstrom**2 + grown, 0.0)
    return replace(moved, displacement_rms_angstrom=np.sqrt(squares))
