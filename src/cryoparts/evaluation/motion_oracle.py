"""The best that the images allow of a motion: a solver that is told the regions and axes.

Each particle's image is fitted, in its true pose and CTF, by the projections of the
regions turned about their true axes; unknown are one angle a region and the image's
scale. Gauss-Newton steps, from coarse waves to fine, solve for the most probable angles:
least squares, each frequency weighted by the inverse of the noise's power as in the
composition's oracle, and a normal prior of the true angles' variance. Where this errs by
an ångström, no method can do much better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoparts.evaluation.most_probable_step import most_probable_step
from cryoparts.evaluation.oracle import (
    BATCH,
    PARTICLES_FOR_NOISE,
    FitInputs,
    ImagesOf,
    estimate_noise,
    group_of_segment,
    scene_of,
)
from cryoparts.evaluation.part_agreement import coordinate_agreement
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import transform
from cryoparts.simulation.ground_truth import BothTruth
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.conventions import CtfParameters, FloatArray, Poses
    from cryoparts.simulation.ground_truth import MotionTruth
    from cryoparts.simulation.options import Progress

FINEST_ANGSTROM = (20.0, 10.0, 5.0, 0.0)
"""Finest resolution of one round of steps after the other: a region that is turned by more than
half a period of a fine wave is drawn to the wrong crest unless coarse waves have led it."""

STEPS = 3
"""Gauss-Newton steps a round."""

DIFFERENCE_DEGREES = 0.5
"""Step of the numerical derivative by an angle; motions of interest are of degrees."""


@dataclass(frozen=True)
class MotionOracle:
    """Angles that the told solver finds.

    Parameters
    ----------
    rows : int array, shape (n,)
        The particles solved.
    angles_degrees : float64 array, shape (n, R)
    correlation : dict of str to float
        Of each region's angles with the true ones.
    """

    rows: NDArray[np.int64]
    angles_degrees: FloatArray
    correlation: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return {
            "rows": self.rows.tolist(),
            "angles_degrees": self.angles_degrees.tolist(),
            "correlation": self.correlation,
        }


def motion_oracle(
    images_of: ImagesOf,
    truth: MotionTruth | BothTruth,
    poses: Poses,
    ctf: CtfParameters,
    box_size: int,
    pixel_size_angstrom: float,
    rows: NDArray[np.int64],
    progress: Progress | None = None,
) -> MotionOracle:
    """Solve the angles of chosen particles.

    Parameters
    ----------
    images_of : callable
        Gives the images of chosen particles, of either contrast and any scale.
    truth : MotionTruth or BothTruth
        Of the P particles, in their order. Used of it: regions, axes, the mean
        square of all angles, and the largest, beyond which no solution goes; which
        segments are there, where they come and go.
    poses, ctf
        Of the P particles, as they are given.
    box_size, pixel_size_angstrom
        Of the images.
    rows : int array, shape (n,)
        The particles to solve.
    progress : callable, optional
        Called with particles done and all particles.
    """
    if len(truth.names) != len(poses) or len(ctf) != len(poses):
        raise ValueError("truth, poses and CTFs must be of the same particles")
    motion = truth.motion if isinstance(truth, BothTruth) else truth
    projector = _Projector(truth, poses, ctf, box_size, pixel_size_angstrom, images_of)
    good = np.flatnonzero(truth.good)
    still = np.zeros((1, len(motion.axes)))
    noise = estimate_noise(
        lambda chosen: projector.inputs(chosen, still.repeat(len(chosen), axis=0)),
        evenly_spaced(good, PARTICLES_FOR_NOISE),
        box_size,
    )
    limit = float(np.abs(motion.angles_degrees).max())
    variance = float(np.mean(motion.angles_degrees**2))
    found = np.zeros((len(rows), len(motion.axes)))
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        for finest in np.repeat(FINEST_ANGSTROM, STEPS):
            inputs = projector.inputs(rows[part], found[part])
            shown = noise.ring * finest <= box_size * pixel_size_angstrom
            weights = noise.weights(inputs.squared_ctf) * shown
            moved = found[part] + most_probable_step(inputs, weights, found[part], variance)
            found[part] = np.clip(moved, -limit, limit)
        if progress is not None:
            progress(part.stop, len(rows))
    true = motion.angles_degrees[rows]
    there = np.ones(true.shape, dtype=bool)
    if isinstance(truth, BothTruth):
        there = truth.presence[rows][:, truth.moving]
    return MotionOracle(
        rows=rows,
        angles_degrees=found,
        correlation={
            str(name): coordinate_agreement(
                found[there[:, number], number], true[there[:, number], number]
            ).pearson
            for number, name in enumerate(motion.region_names)
        },
    )


class _Projector:
    """Makes the linearised model of each particle at given angles."""

    def __init__(
        self,
        truth: MotionTruth | BothTruth,
        poses: Poses,
        ctf: CtfParameters,
        box_size: int,
        pixel_size_angstrom: float,
        images_of: ImagesOf,
    ) -> None:
        self._scene = scene_of(truth, box_size, pixel_size_angstrom)
        groups = np.arange(self._scene.atoms.n_groups)
        self._turning = (
            group_of_segment(truth)[truth.moving] if isinstance(truth, BothTruth) else groups[1:]
        )
        presence = self._scene.presence
        self._presence = np.ones((len(poses), len(groups)), bool) if presence is None else presence
        self._poses, self._ctf, self._images_of = poses, ctf, images_of
        self._box, self._pixel = box_size, pixel_size_angstrom

    def inputs(self, rows: NDArray[np.int64], angles_degrees: FloatArray) -> FitInputs:
        """Images, and as templates the whole model and its derivative by each angle (1/degree)."""
        transfer = contrast_transfer(self._ctf.take(rows), self._box, self._pixel)
        columns = [self._project(rows, angles_degrees, None)]
        for number, group in enumerate(self._turning):
            step = np.zeros(len(self._turning))
            step[number] = DIFFERENCE_DEGREES
            ahead = self._project(rows, angles_degrees + step, group)
            behind = self._project(rows, angles_degrees - step, group)
            columns.append((ahead - behind) / (2.0 * DIFFERENCE_DEGREES))
        templates = torch.stack(columns, dim=1) * transfer[:, None]
        images = torch.as_tensor(self._images_of(rows), dtype=torch.float32)
        return FitInputs(transform(images), templates, transfer.abs().square())

    def _project(
        self, rows: NDArray[np.int64], angles_degrees: FloatArray, only: int | None
    ) -> Tensor:
        """Half planes (n, D, D // 2 + 1) of all groups that are there, or of one of them."""
        present = self._presence[rows]
        angles = np.zeros((len(rows), present.shape[1] - 1))
        angles[:, self._turning - 1] = angles_degrees
        if only is not None:
            present = present & (np.arange(present.shape[1]) == only)
        turned = replace(self._scene, presence=present, angles_degrees=angles)
        return torch.from_numpy(turned.half_planes(np.arange(len(rows)), self._poses.take(rows)))
