"""The probability that a particle is what the model describes, in the pose that is given.

The particles' agreements (`particle_agreement`) are a mixture: particles in their poses, a
normal distribution whose mean and covariance are found; images that the model does not
describe, which agree as images in random poses do, a normal distribution that is
measured on such; and others that agree still otherwise (another molecule has the low
frequencies in common, a neighbour something), the same one `WIDER` times as wide. The
shares are found by expectation maximisation. Only the first has a free shape, so a set
without junk is not divided: doubtful particles need something that is like junk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

WIDER = 3.0
"""Width of the junk that is unlike images in random poses, in their deviations."""

NARROWEST = 0.75
"""Least deviation of good particles in any agreement, in the strangers'. How far the amounts of
regions are beyond what they may be is nothing in most good particles where there is much signal,
and weak images, in which it is a little, were junk: of a moving transporter (128 px, every
nuisance) 3.8% of the good particles were thrown away, most of them of less than half of the usual
contrast, with this 0.8%, and the area under the curve rose from 0.981 to 0.999. With 0.25, 0.5
and 1 it is 1.8, 1.0 and 0.7% of the good ones, of the bad ones 0.0, 0.4 and 5.7% are kept (1.0%
here). In five other sets nothing changes: good particles scatter more than strangers."""

FEWEST = 50
"""Of fewer particles a share of junk is not estimated."""

APART = 0.999
"""Particles beyond this quantile of the strangers' distances start as good ones."""

ITERATIONS = 200
"""Most rounds of expectation and maximisation; it rests earlier."""

_TOLERANCE = 1e-6
"""Gain of the log-likelihood a particle below which the fit rests."""


def probability_of_fit(features: FloatArray, strangers: FloatArray) -> FloatArray:
    """Posterior probability (P,) of being a particle in its given pose.

    All 1 where there are fewer than `FEWEST` particles or strangers, or fewer than a tenth
    of the particles agree better than strangers do: then nothing tells them apart.

    Parameters
    ----------
    features : array, shape (P, F)
        Agreements of the particles; larger is better.
    strangers : array, shape (n, F)
        The same of images that the model does not describe.
    """
    count = len(features)
    if min(count, len(strangers)) < FEWEST:
        return np.ones(count)
    null = _Normal.of(strangers, np.ones(len(strangers)))
    wide = _Normal(null.mean, WIDER**2 * null.covariance)
    apart = null.squared_distance(features) > chi2.ppf(APART, features.shape[1])
    start = apart & ((features - null.mean).sum(axis=1) > 0)
    if start.sum() < max(FEWEST, 0.1 * count):
        return np.ones(count)
    member = start.astype(np.float64)
    fixed = np.stack([null.log_density(features), wide.log_density(features)], axis=1)
    share = np.array([member.mean(), 0.5 * (1 - member.mean()), 0.5 * (1 - member.mean())])
    narrowest = NARROWEST**2 * np.diagonal(null.covariance)
    good = _Normal.of(features, member, narrowest)
    before = -np.inf
    for _ in range(ITERATIONS):
        logs = np.column_stack([good.log_density(features), fixed]) + np.log(share + 1e-12)
        total = logsumexp(logs, axis=1)
        belongs = np.exp(logs - total[:, None])
        share = belongs.mean(axis=0)
        good = _Normal.of(features, belongs[:, 0], narrowest)
        if total.sum() - before < _TOLERANCE * count:
            break
        before = float(total.sum())
    # no particle is junk because it agrees too well
    seen = np.minimum(features, good.mean)
    densities = [good.log_density(seen), null.log_density(seen), wide.log_density(seen)]
    logs = np.stack(densities, axis=1) + np.log(share + 1e-12)
    probability: FloatArray = np.exp(logs[:, 0] - logsumexp(logs, axis=1))
    return probability


class _Normal:
    """A normal distribution of F numbers."""

    def __init__(self, mean: FloatArray, covariance: FloatArray) -> None:
        self.mean, self.covariance = mean, covariance
        self._root = np.linalg.cholesky(covariance)

    @classmethod
    def of(cls, values: FloatArray, weights: FloatArray, least: FloatArray | float = 0) -> _Normal:
        """The one with the weighted mean and covariance of values (n, F), but `least` variances."""
        total = max(float(weights.sum()), 1e-12)
        mean = weights @ values / total
        away = values - mean
        covariance = (weights[:, None] * away).T @ away / total
        floor = 1e-6 * max(float(np.trace(covariance)), 1e-12)
        lacking = np.maximum(least - np.diagonal(covariance), 0.0)
        return cls(mean, covariance + np.diag(floor + lacking))

    def squared_distance(self, values: FloatArray) -> FloatArray:
        """Squared Mahalanobis distances (n,)."""
        solved = np.linalg.solve(self._root, (values - self.mean).T)
        squared: FloatArray = (solved**2).sum(axis=0)
        return squared

    def log_density(self, values: FloatArray) -> FloatArray:
        """Log densities (n,)."""
        constant = 2 * np.log(np.diagonal(self._root)).sum() + len(self.mean) * np.log(2 * np.pi)
        density: FloatArray = -0.5 * (self.squared_distance(values) + constant)
        return density
