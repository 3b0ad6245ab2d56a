"""How wrong the given poses are, learned from the particles themselves.

Solved with a prior that holds them loosely, each particle tells its turns and shifts
with a known error. What they scatter beyond that error is the scatter of the given
poses (empirical Bayes). Medians are compared, so that junk and lost poses, a fifth of
the particles or so, do not set it; and particles whose image says nothing have a wide
error and weigh nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.particles.pose_change import PoseSpread
from cryoparts.refinement.least_squares import TURNS
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.statistics.hidden_normal import hidden_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.refinement.particle_refinement import ParticleRefinement

    FloatArray = NDArray[np.float64]

LOOSE = PoseSpread(turn=float(np.deg2rad(2.0)), shift_angstrom=3.0)
"""Prior under which the scatter is measured."""

SAMPLE = 384
"""Particles that it is measured on: a deviation to within 3%."""

STEPS_A_TANGENT = 3

WORTH = 1.0
"""Scatter of the given poses, in deviations of what one image tells of its pose and along the
molecule's axis where it is least, from which on the poses are asked together with the latent
vectors. Below, a refined pose is hardly better than the given one. Exact poses show up to 0.9
where positions vary (3,200 or 4,000 particles, SNR 0.1; a bend at SNR 0.5 shows 1.0, amplitudes
alone 1.1); poses that are off by 2° and 1.5 Å show 1.2 (composition, SNR 0.05), 1.9 (SNR 0.1) and
more, of turns or shifts."""

WORTH_TOGETHER = 0.7
"""The same asked together with the latent vectors, from which on they are refined. Exact poses
show up to 0.6, those that are off 0.8 and more."""


def about_given_poses(
    refinement: ParticleRefinement, spread: PoseSpread | None = None
) -> ParticleRefinement:
    """The same refinement with the poses that the particle file gives as their prior's mean."""
    forward = refinement.forward
    given = ForwardModel(forward.particles.with_given_poses(), forward.device)
    return replace(refinement, forward=given, pose_spread=spread)


def spread_sample(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `SAMPLE` of the rows, spread over the file."""
    return evenly_spaced(rows, SAMPLE)


def learned_spread(
    refinement: ParticleRefinement,
    latent: Tensor,
    rows: NDArray[np.int64],
) -> PoseSpread | None:
    """Deviations of the errors of the given poses, or None where it is not worth refining.

    What scatters along some axes of the molecule alone is motion, whatever it is of.

    Parameters
    ----------
    refinement : ParticleRefinement
        About the given poses, with the prior of the latent vectors.
    latent : Tensor, shape (n, Z)
        The encoder's, of the particles `rows`.
    rows : int array, shape (n,)
        A sample of the particles.
    """
    if not len(rows):
        return None
    loose = replace(refinement, pose_spread=LOOSE, latent_held=True)
    turn, shift = _measured(loose, latent, rows)
    if max(turn.in_errors, shift.in_errors) < WORTH:
        return None
    # Shapes that the encoder has not quite hit look like wrong poses: these are asked once more
    # together with the shapes. What shapes can make up for is missing from that scatter.
    together = _measured(replace(loose, latent_held=False), latent, rows)
    if max(one.in_errors for one in together) < WORTH_TOGETHER:
        return None
    # one of the two may be right all the same: it is held to what would not be seen
    return PoseSpread(*(max(one.least, 0.1 * one.told) for one in (turn, shift)))


@dataclass(frozen=True)
class _Scatter:
    """Deviation of true values from those given, and median error with which one image tells them.

    Errors of poses know no direction of the molecule. A motion that is not learned yet has some,
    and looks like an error of the poses along these: `least` is the deviation along the axis of
    the molecule where it is least.
    """

    deviation: float
    told: float
    least: float

    @property
    def in_errors(self) -> float:
        return self.least / self.told


def _measured(
    loose: ParticleRefinement, latent: Tensor, rows: NDArray[np.int64]
) -> tuple[_Scatter, _Scatter]:
    """Of turns (radians) and of shifts (Å), solved about the given poses with a loose prior."""
    solved = loose.solve(latent, rows, steps_a_tangent=STEPS_A_TANGENT)
    pose, variance = (x.cpu().double().numpy() for x in (solved.pose, solved.pose_variance))
    rotation = loose.forward.particles.poses.rotation[rows]
    return (
        _scatter(pose[:, :TURNS], variance[:, :TURNS], LOOSE.turn, rotation),
        _scatter(pose[:, TURNS:], variance[:, TURNS:], LOOSE.shift_angstrom, rotation),
    )


def _scatter(
    estimate: FloatArray, variance: FloatArray, prior: float, rotation: FloatArray
) -> _Scatter:
    """Deviation of the true values about 0, and median error of one particle's own.

    Parameters
    ----------
    estimate, variance : array, shape (n, K)
        Posterior means and variances under a normal prior, along the first K axes of the image.
    prior : float
        Its deviation.
    rotation : array, shape (n, 3, 3)
        From the molecule to the image.
    """
    informed = np.clip(1.0 - variance / prior**2, 1e-3, 1.0)
    own, error = estimate / informed, variance / informed  # as the image alone has it
    expected = chi2.ppf(0.5, estimate.shape[1])

    def excess(true_variance: float) -> float:
        return float(np.median((own**2 / (true_variance + error)).sum(axis=1)) - expected)

    told = float(np.sqrt(np.median(error)))
    if excess(0.0) <= 0:
        return _Scatter(0.0, told, 0.0)
    deviation = float(np.sqrt(brentq(excess, 0.0, float((own**2).max()) * 10)))
    return _Scatter(deviation, told, deviation * _least_share(own, error, deviation, rotation))


def _least_share(
    own: FloatArray, error: FloatArray, deviation: float, rotation: FloatArray
) -> float:
    """Deviation along the molecule's axis where it is least, over that along all axes.

    Parameters
    ----------
    own, error : array, shape (n, K)
        What each image tells along its first K axes, and the variances of that.
    deviation : float
        About the one to be found.
    rotation : array, shape (n, 3, 3)
    """
    axes = rotation[:, : own.shape[1]]
    told = np.einsum("nk,nki->ni", own / error, axes)
    information = np.einsum("nki,nk,nkj->nij", axes, 1.0 / error, axes)
    found = hidden_normal(told, information, start=deviation).deviation
    return float(found[-1] / np.sqrt(np.mean(found**2)))
