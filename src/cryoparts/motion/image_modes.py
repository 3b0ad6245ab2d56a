"""How the images say that parts move, whatever the decoder says.

A decoder learns first what changes the images most. A segment that comes and goes is
told by it as there or away long before its turns are learned, if they ever are. Once the
parts are known, the images can be asked: every part of every particle of a sample is moved
as a rigid body, in all six ways, with a loose prior. What the parts scatter beyond the
error with which each image tells it is their motion (empirical Bayes, as for poses in
`refinement.pose_spread`). What is left of the errors of the poses is not taken for motion:
where poses were refined, they are unknowns of the same problem.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.motion.parts_in_images import columns_of
from cryoparts.rigid.motion_statistics import ScrewError
from cryoparts.rigid.rigid_modes import MOST_MODES, six_ways
from cryoparts.statistics.hidden_normal import hidden_normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cryoparts.motion.parts_in_images import PartsInImages
    from cryoparts.rigid.rigid_modes import RigidModes

    FloatArray = NDArray[np.float64]

SAMPLE = 256
"""Particles that are asked whether parts move."""

MOST = 1024
"""Particles that are asked along which axis, at most."""

SURE_DEGREES = 1.5
"""Error of an axis (95%) from which on no more are asked."""

STEPS = 2
"""How often the images' slopes are taken: a part may start 10 Å from where it is."""

LOOSE_ANGSTROM = 10.0
"""Root mean square displacement by each of the six ways, of the prior under which they are."""

AT_ONCE = 8
"""Parts that are asked for together: the unknowns of a particle are six times as many."""

FEWEST = 40
"""Particles of the sample that must have a part for its motion to be told."""

STANDS_OUT = 1.0
"""Gain (`HiddenNormal`) from which on a way of moving is one. Simulated motions of 1.8 to 4 Å
have 4 to 35; what parts that stand still show, in poses that are a degree off, at most 0.2."""

GROUPS = 10
"""Of the images that have a part: without each of them in turn, its strongest way of moving is
found again, which tells the error of its axis."""

LEAST_ANGSTROM = 0.5
"""Root mean square displacement from which on it is one."""


def modes_by_images(images: PartsInImages, *, surely: bool = False) -> dict[int, RigidModes]:
    """Ways in which the images say that parts move; parts of which they say none are left out.

    Parameters
    ----------
    images : PartsInImages
    surely : bool
        Whether more images are asked where the axis of a part that moves is not sure.
    """
    found = _found(images, images.motion.parts, images.sample(SAMPLE))
    if surely and found:
        unsure = max(modes.error.axis_degrees for modes in found.values())
        wanted = int(min(SAMPLE * (unsure / SURE_DEGREES) ** 2, MOST))
        rows = images.sample(max(wanted, SAMPLE))
        if len(rows) > SAMPLE:
            # of what does not move, more images would say no more
            return found | _found(images, found, rows)
    return found


def _found(
    images: PartsInImages, parts: Iterable[int], rows: NDArray[np.int64]
) -> dict[int, RigidModes]:
    """Of some parts, by the images of `rows`."""
    if len(rows) < FEWEST:
        return {}
    motions, numbers = images.motion.parts, list(parts)
    found: dict[int, RigidModes] = {}
    for first in range(0, len(numbers), AT_ONCE):
        several = numbers[first : first + AT_ONCE]
        every = {part: six_ways(motions[part].motions, motions[part].present) for part in several}
        for part, told, information in _asked(images, every, rows):
            there = motions[part].present[rows]
            if there.sum() >= FEWEST:
                image = images.image_numbers(rows[there])
                modes = _modes(every[part], told[there], information[there], image)
                if len(modes.rms_angstrom):
                    found[part] = modes
    return found


def _asked(
    images: PartsInImages, ways: dict[int, RigidModes], rows: NDArray[np.int64]
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Each part with what the images of `rows` tell of its motion: (n, 6) and (n, 6, 6)."""
    likelihood, moved_parts, pose = images.along(ways)
    likelihood = replace(likelihood, covariance=LOOSE_ANGSTROM**2 * likelihood.covariance)
    mean, covariance = likelihood.posterior_each(moved_parts.start, moved_parts, rows, STEPS, pose)
    for part, columns in zip(ways, columns_of(ways), strict=True):
        precision = torch.linalg.inv(covariance[:, columns, columns].double())
        told = (precision @ mean[:, columns, None].double())[..., 0]
        prior = torch.eye(told.shape[1], device=mean.device) / LOOSE_ANGSTROM**2
        yield part, told.cpu().numpy(), (precision - prior).cpu().numpy()


def _modes(
    ways: RigidModes, told: FloatArray, information: FloatArray, image: NDArray[np.int64]
) -> RigidModes:
    """What stands out of the images' errors, on scales of its deviation."""
    found = hidden_normal(told, information, start=LOOSE_ANGSTROM)
    stands = (found.gain > STANDS_OUT) & (found.deviation > LEAST_ANGSTROM)
    kept = np.flatnonzero(stands)[:MOST_MODES]
    about_mean = replace(ways, coordinates=ways.coordinates - found.mean)
    modes = about_mean.along(found.axes[:, kept], found.deviation[kept])
    if not len(kept):
        return modes
    group = np.unique(image, return_inverse=True)[1] % GROUPS  # copies of an image go together
    without = [
        hidden_normal(told[group != one], information[group != one], start=LOOSE_ANGSTROM)
        for one in range(GROUPS)
    ]
    strongest = np.array([other.axes[:, 0] for other in without])
    return replace(modes, error=ScrewError.of(modes.modes[0], strongest @ ways.modes))
