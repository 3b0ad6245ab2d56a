"""Probability of every part's presence, given what the image shows of all parts.

Parts that overlap in a view are measured with errors that are tied: where one part's
amplitude lies between its levels, the neighbour's says which way the error went. The
amplitudes x of one image have the covariance C of their errors, and each part's true
amplitude is at one of two levels (`presence`):

    p(levels | x)  ∝  N(x; a, C) prod_k [(1 - f_k) N(a_k; l0_k, t0_k²) + f_k N(a_k; l1_k, t1_k²)]

with one level of its own for a part that does not come and go. Of K parts that come and go
there are 2^K cases; expectation propagation (Minka 2001, UAI 17, 362) finds each part's own
probability in a few rounds instead, with a Gaussian in the place of every other part's two
levels. Where errors are not tied it is the probability by the part alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from cryoparts.occupancy.presence import (
    OUTLIER,
    SMALLEST_VARIANCE,
    held_to_levels,
    level_densities,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
    from cryoparts.occupancy.presence import Presence

    FloatArray = NDArray[np.float64]

BATCH = 4096
"""Particles at a time."""

ROUNDS = 30
"""At the most: a probability that still changes by then is a doubtful one."""

TOLERANCE = 1e-4
"""Change of the probabilities at which the rounds rest."""

DAMPING = 0.5
"""Part of the way to its new value that each Gaussian goes: without it two parts in doubt
may take turns."""


def judged_together(measured: ImageAmplitudes, parts: Sequence[Presence]) -> tuple[Presence, ...]:
    """The same parts, levels and occupancies; probabilities from all parts' amplitudes.

    Parameters
    ----------
    measured : ImageAmplitudes
        Of P particles and K parts.
    parts : sequence of Presence, length K
        Judged one by one.
    """
    optional = np.array([part.is_optional for part in parts], dtype=bool)
    if optional.sum() == 0 or len(parts) == 1:
        return tuple(parts)
    priors = _Priors(parts)
    probability = np.stack([part.probability for part in parts], axis=1)
    for start in range(0, len(probability), BATCH):
        rows = slice(start, start + BATCH)
        found = _propagated(measured.amplitude[rows], measured.covariance[rows], priors)
        probability[rows, optional] = found[:, optional]
    return tuple(
        replace(part, probability=probability[:, k]) if part.is_optional else part
        for k, part in enumerate(parts)
    )


class _Priors:
    """Levels, variances (2, K) and log odds (K,) of presence of K parts.

    A part that does not come and go has its one level twice.
    """

    def __init__(self, parts: Sequence[Presence]) -> None:
        self.levels = np.array([part.levels for part in parts]).T
        self.variances = np.maximum(
            np.array([part.spreads for part in parts]).T ** 2, SMALLEST_VARIANCE
        )
        share = np.array([part.occupancy if part.is_optional else 0.5 for part in parts])
        self.odds = logit(np.clip(share, 1e-12, 1 - 1e-12))

    def told(self, mean: FloatArray, variance: FloatArray) -> FloatArray:
        """Probability (P, K) of the upper level where x is N(mean, variance) about the truth."""
        lower, upper = level_densities(mean, variance, self.levels, np.sqrt(self.variances))
        told: FloatArray = expit(upper - lower + self.odds)
        return told

    def moments(self, mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (P, K) of the true amplitudes, given the same."""
        share = self.told(mean, variance)
        gain = self.variances[:, None] / (self.variances[:, None] + variance)
        low, high = self.levels[:, None] + gain * (mean - self.levels[:, None])
        spread_low, spread_high = gain * variance
        centre = low + share * (high - low)
        spread = spread_low + share * (spread_high - spread_low)
        return centre, spread + share * (1 - share) * (high - low) ** 2


def _propagated(amplitude: FloatArray, covariance: FloatArray, priors: _Priors) -> FloatArray:
    """Probability of presence (P, K) from amplitudes (P, K) and covariances (P, K, K)."""
    own = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), SMALLEST_VARIANCE)
    away = (amplitude[:, None] - priors.levels) ** 2 / (own[:, None] + priors.variances)
    # what is unlike both levels (ice, a neighbour) says nothing of the other parts
    usual = away.min(axis=1) < OUTLIER**2
    measured = np.linalg.inv(covariance + SMALLEST_VARIANCE * np.eye(covariance.shape[1]))
    pulled = (measured @ amplitude[..., None])[..., 0]
    precision, shift = np.zeros_like(amplitude), np.zeros_like(amplitude)
    mean, variance = amplitude, own
    probability = priors.told(mean, variance)
    for _ in range(ROUNDS):
        centre, spread = priors.moments(mean, variance)
        # a part in doubt can be wider than what is said of it: then its levels say nothing
        wanted = np.where(usual, np.maximum(1 / spread - 1 / variance, 0.0), 0.0)
        towards = np.where(wanted > 0, centre / spread - mean / variance, 0.0)
        precision += DAMPING * (wanted - precision)
        shift += DAMPING * (towards - shift)
        tied = measured + precision[:, :, None] * np.eye(precision.shape[1])
        all_told = np.linalg.inv(tied)
        joint = (all_told @ (pulled + shift)[..., None])[..., 0]
        joint_variance = np.diagonal(all_told, axis1=1, axis2=2)
        # of each part what all but its own levels say
        variance = 1 / np.maximum(1 / joint_variance - precision, 1 / own)
        mean = variance * (joint / joint_variance - shift)
        before, probability = probability, priors.told(mean, variance)
        if np.abs(probability - before).max() < TOLERANCE:
            break
    return held_to_levels(probability, mean, priors.levels)
