"""The best that the images allow of poses: a solver that is told what each particle looks like.

Each particle's image is fitted by the projection of the particle as it truly is (its
segments, its angles), turned and shifted from the given pose; unknown are three turns, two
shifts and the image's scale. Gauss-Newton steps, from coarse waves to fine, solve for the
most probable pose, each frequency weighted by the inverse of the noise's power, under a
normal prior of the true errors' variance. The CTF is the given one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.evaluation.most_probable_step import most_probable_step
from cryoparts.evaluation.oracle import (
    BATCH,
    PARTICLES_FOR_NOISE,
    FitInputs,
    ImagesOf,
    estimate_noise,
    scene_of,
)
from cryoparts.evaluation.pose_accuracy import PoseErrors
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import transform
from cryoparts.particles.pose_change import changed
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.conventions import CtfParameters, FloatArray, Poses
    from cryoparts.simulation.ground_truth import CompositionTruth, MotionTruth
    from cryoparts.simulation.options import Progress
    from cryoparts.simulation.scene import MoleculeScene

FINEST_ANGSTROM = (20.0, 0.0)
"""Finest resolution of one round of steps after the other."""

STEPS = 3
"""Gauss-Newton steps a round."""

DIFFERENCE = 0.2
"""Step of the numerical derivatives: degrees of the turns, Å of the shifts."""

UNKNOWNS = 5
"""Three turns, then two shifts."""


def pose_oracle(
    images_of: ImagesOf,
    truth: CompositionTruth | MotionTruth,
    poses: Poses,
    ctf: CtfParameters,
    box_size: int,
    pixel_size_angstrom: float,
    rows: NDArray[np.int64],
    progress: Progress | None = None,
) -> PoseErrors | None:
    """Errors of the poses that the told solver finds; None where the given poses are right.

    Parameters
    ----------
    images_of : callable
        Gives the images of chosen particles, of either contrast and any scale.
    truth : CompositionTruth or MotionTruth
        Of the P particles, in their order.
    poses, ctf
        Of the P particles, as they are given.
    box_size, pixel_size_angstrom
        Of the images.
    rows : int array, shape (n,)
        The particles to solve: good ones.
    progress : callable, optional
        Called with particles done and all particles.
    """
    if truth.nuisances is None:
        return None
    true = truth.nuisances.take(rows)
    given = PoseErrors.of(poses.take(rows), true)
    if not given.are_wrong:
        return None
    scene = scene_of(truth, box_size, pixel_size_angstrom)
    projector = _Projector(scene, poses, ctf, images_of)
    noise = estimate_noise(
        lambda chosen: projector.inputs(chosen, np.zeros((len(chosen), UNKNOWNS))),
        evenly_spaced(rows, PARTICLES_FOR_NOISE),
        box_size,
    )
    turn, shift = given.turn_rms_degrees**2 / 3.0, given.shift_rms_angstrom**2 / 2.0
    variance = np.maximum([turn, turn, turn, shift, shift], 1e-8)
    found = np.zeros((len(rows), UNKNOWNS))
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        for finest in np.repeat(FINEST_ANGSTROM, STEPS):
            inputs = projector.inputs(rows[part], found[part])
            shown = noise.ring * finest <= box_size * pixel_size_angstrom
            weights = noise.weights(inputs.squared_ctf) * shown
            found[part] += most_probable_step(inputs, weights, found[part], variance)
        if progress is not None:
            progress(part.stop, len(rows))
    return PoseErrors.of(_changed(poses.take(rows), found), true)


@dataclass(frozen=True)
class _Projector:
    """Makes the linearised model of each particle in a pose that was changed."""

    scene: MoleculeScene
    poses: Poses
    ctf: CtfParameters
    images_of: ImagesOf

    def inputs(self, rows: NDArray[np.int64], change: FloatArray) -> FitInputs:
        """Images, and as templates the particle and its derivatives (1/degree, 1/Å)."""
        scene = self.scene
        transfer = contrast_transfer(self.ctf.take(rows), scene.box_size, scene.pixel_size_angstrom)
        columns = [self._project(rows, change)]
        for step in DIFFERENCE * np.eye(UNKNOWNS):
            ahead, behind = self._project(rows, change + step), self._project(rows, change - step)
            columns.append((ahead - behind) / (2.0 * DIFFERENCE))
        templates = torch.stack(columns, dim=1) * transfer[:, None]
        images = torch.as_tensor(self.images_of(rows), dtype=torch.float32)
        return FitInputs(transform(images), templates, transfer.abs().square())

    def _project(self, rows: NDArray[np.int64], change: FloatArray) -> Tensor:
        """Half planes (n, D, D // 2 + 1)."""
        poses = _changed(self.poses.take(rows), change)
        return torch.from_numpy(self.scene.half_planes(rows, poses))


def _changed(poses: Poses, change: FloatArray) -> Poses:
    """By degrees of turns and Å of shifts (n, 5)."""
    return changed(poses, np.deg2rad(change[:, :3]), change[:, 3:])
