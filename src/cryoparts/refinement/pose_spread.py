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

WORTH = 1.6
"""Scatter of the given poses, in deviations of what one image tells of its pose, from which
on refining is worth it. Below, a refined pose is hardly better than the given one, and what
the model does not explain would be taken for errors of the poses: with poses that are exact,
trained models show a ratio of 0.4 to 1.0, and of 1.4 where few Gaussians leave much unexplained;
with poses that are off by 2° and 1.5 Å it is 2.4 and 3.1."""


WORTH_FROM_CORE = 2.2
"""The same where positions vary and the decoder is asked as seen from the core. Early in a training
motions that are not learned yet look like errors of the poses: up to 1.75 with exact poses, and 2.2
to 2.6 where a molecule bends by 5 Å. With poses that are off by 2° and 1.5 Å it is 2.7 and more, of
turns or shifts. Asked together with the latent vectors the bend's exact poses show 1.1, so that
`WORTH` is enough; a transporter's that are off show 6.1."""


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
    worth: float = WORTH,
) -> PoseSpread | None:
    """Deviations of the errors of the given poses, or None where it is not worth refining.

    Parameters
    ----------
    refinement : ParticleRefinement
        About the given poses, with the prior of the latent vectors.
    latent : Tensor, shape (n, Z)
        The encoder's, of the particles `rows`.
    rows : int array, shape (n,)
        A sample of the particles.
    worth : float
        Scatter, in deviations of what one image tells under the latent vectors as encoded, from
        which on the poses are asked together with them, and are refined if it is `WORTH` then.
    """
    if not len(rows):
        return None
    loose = replace(refinement, pose_spread=LOOSE, latent_held=True)
    turn, shift = _measured(loose, latent, rows)
    if max(turn.in_errors, shift.in_errors) < worth:
        return None
    # Shapes that the encoder has not quite hit look like wrong poses: these are asked once more
    # together with the shapes. What shapes can make up for is missing from that scatter.
    together = _measured(replace(loose, latent_held=False), latent, rows)
    if max(one.in_errors for one in together) < min(worth, WORTH):
        return None
    # one of the two may be right all the same: it is held to what would not be seen
    return PoseSpread(*(max(one.deviation, 0.1 * one.told) for one in (turn, shift)))


@dataclass(frozen=True)
class _Scatter:
    """Deviation of true values about those given, and median error with which one image tells."""

    deviation: float
    told: float

    @property
    def in_errors(self) -> float:
        return self.deviation / self.told


def _measured(
    loose: ParticleRefinement, latent: Tensor, rows: NDArray[np.int64]
) -> tuple[_Scatter, _Scatter]:
    """Of turns (radians) and of shifts (Å), solved about the given poses with a loose prior."""
    solved = loose.solve(latent, rows, steps_a_tangent=STEPS_A_TANGENT)
    pose, variance = (x.cpu().double().numpy() for x in (solved.pose, solved.pose_variance))
    return (
        _scatter(pose[:, :TURNS], variance[:, :TURNS], LOOSE.turn),
        _scatter(pose[:, TURNS:], variance[:, TURNS:], LOOSE.shift_angstrom),
    )


def _scatter(estimate: FloatArray, variance: FloatArray, prior: float) -> _Scatter:
    """Deviation of the true values about 0, and median error of one particle's own.

    Parameters
    ----------
    estimate, variance : array, shape (n, K)
        Posterior means and variances under a normal prior.
    prior : float
        Its deviation.
    """
    informed = np.clip(1.0 - variance / prior**2, 1e-3, 1.0)
    own, error = estimate / informed, variance / informed  # as the image alone has it
    expected = chi2.ppf(0.5, estimate.shape[1])

    def excess(true_variance: float) -> float:
        return float(np.median((own**2 / (true_variance + error)).sum(axis=1)) - expected)

    told = float(np.sqrt(np.median(error)))
    if excess(0.0) <= 0:
        return _Scatter(0.0, told)
    most = float((own**2).max()) * 10
    return _Scatter(float(np.sqrt(brentq(excess, 0.0, most))), told)
