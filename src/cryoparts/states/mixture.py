"""Particles as a mixture of Gaussian clusters: how many there are, and who is between them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from cryoparts.seeds import Purpose, random_for, seed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

_SAMPLE = 20_000
_SPREAD_FLOOR = 1e-3
"""Least standard deviation of a cluster, as a part of the cloud's: a cluster of equal
particles would have no density otherwise."""

_NEIGHBOURS = 20
_MOST_DIMENSIONS = 3
"""Nearest neighbours in more dimensions say little of density, and searching them is slow."""

_ROUNDS = 30
_BACKGROUND = 0.01
"""Share of the even background. It is not fitted: it would grow to take a skewed
cluster's whole tail."""

_FREEDOM = 4.0
"""Degrees of freedom of the clusters: their tails are longer than a Gaussian's."""


def mixture_labels(
    points: FloatArray,
    n_states: int | None,
    most: int,
    seed: int,
    counted: NDArray[np.bool_] | None = None,
) -> tuple[IntArray, int]:
    """Cluster of each point in a mixture of Gaussians, and how many there are.

    The number, where not given, has the smallest Bayesian information criterion
    (Schwarz 1978; Fraley & Raftery 2002, J. Am. Stat. Assoc. 97, 611) from 1 to
    `most`. A cloud that is not Gaussian is described by several Gaussians.

    Parameters
    ----------
    points : array, shape (P, C)
        Up to 20,000 random ones are fitted, all are labelled.
    n_states : int, optional
    most : int
        Largest number tried.
    seed : int
    counted : bool array, shape (P,), optional
        Points that are fitted. Default: all.

    Returns
    -------
    labels : int array, shape (P,)
        0 ... K - 1, each with a point that was fitted.
    number : int
        K.
    """
    rng = random_for(seed, Purpose.MIXTURE)
    sample = points if counted is None else points[counted]
    if len(sample) > _SAMPLE:
        sample = sample[np.sort(rng.choice(len(sample), _SAMPLE, replace=False))]
    variance = float(sample.var(axis=0).sum())
    if len(sample) < 2 or not variance > 0:
        return np.zeros(len(points), dtype=np.int64), 1
    scale = np.sqrt(variance)
    distinct = len(np.unique(sample, axis=0))
    tried = [n_states] if n_states is not None else range(1, min(most, len(sample) // 10 or 1) + 1)
    with threadpool_limits(limits=1):
        models = [_fitted(sample / scale, min(n, distinct), seed) for n in tried]
        best = min(models, key=lambda model: float(model.bic(sample / scale)))
        likely = best.predict_proba(points / scale)
    fitted = likely if counted is None else likely[counted]
    used = np.unique(fitted.argmax(axis=1))
    return likely[:, used].argmax(axis=1).astype(np.int64), len(used)


def _fitted(points: FloatArray, number: int, seed: int) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(
            number,
            n_init=3,
            reg_covar=_SPREAD_FLOOR**2,
            random_state=seed_for(seed, Purpose.MIXTURE),
        ).fit(points)


def density_rank(points: FloatArray) -> FloatArray:
    """Fraction of the particles that lie in sparser places than each one, from 0 to 1.

    The place's density is that of the 20 nearest particles in the first three
    components; particles in equally dense places share a rank.
    """
    count = len(points)
    neighbours = min(_NEIGHBOURS, count - 1)
    if neighbours < 1:
        return np.zeros(count)
    shown = points[:, :_MOST_DIMENSIONS]
    distance = NearestNeighbors(n_neighbors=neighbours).fit(shown).kneighbors()[0][:, -1]
    by_density = np.sort(-distance)
    rank: FloatArray = np.searchsorted(by_density, -distance, side="left") / max(count - 1, 1)
    return rank


def membership(
    points: FloatArray, labels: IntArray, counted: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Probability that each particle belongs to the cluster that it was given to.

    The clusters are t distributions (Peel & McLachlan 2000, Stat. Comput. 10, 339:
    presence and absence leave skewed clouds, whose tails no Gaussian holds) over an
    even background in the cloud's box (Banfield & Raftery 1993, Biometrics 49, 803),
    fitted by expectation maximisation from the given labels. Particles between the
    clusters, or far from all of them, belong to the background.

    Parameters
    ----------
    points : array, shape (P, C)
        The first three components are used.
    labels : int array, shape (P,)
        0 ... K - 1.
    counted : bool array, shape (P,), optional
        Points that the clusters are fitted to. Default: all.

    Returns
    -------
    array, shape (P,)
        From 0 to 1; 1 for all if the points do not vary.
    """
    counts = np.ones(len(points), dtype=bool) if counted is None else counted
    varying = points[:, np.ptp(points[counts], axis=0) > 0][:, :_MOST_DIMENSIONS]
    if not varying.size:
        return np.ones(len(points))
    scaled = varying / varying[counts].std(axis=0)
    log_even = -float(np.log(np.ptp(scaled[counts], axis=0)).sum())
    count = int(labels.max()) + 1
    share = np.zeros((len(points), count + 1))
    share[np.arange(len(points)), labels] = 1 - _BACKGROUND
    share[:, -1] = _BACKGROUND
    inlying = np.ones((len(points), count))
    for _ in range(_ROUNDS):
        joint = np.full((len(points), count + 1), log_even)
        for k in range(count):
            told = share[:, k] * counts
            joint[:, k], inlying[:, k] = _log_density(scaled, told, inlying[:, k])
        weight = np.maximum(share[counts, :-1].sum(axis=0), 1e-12)
        joint += np.log([*((1 - _BACKGROUND) * weight / weight.sum()), _BACKGROUND])
        updated = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        settled = np.abs(updated - share).max() < 1e-3
        share = updated
        if settled:
            break
    own: FloatArray = share[np.arange(len(points)), labels]
    return own


def _log_density(
    points: FloatArray, weight: FloatArray, inlying: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Log density of the t distribution of weighted points, and how little each lies out.

    `inlying` is what each point's square counts in the next estimate, small for outliers.
    """
    dimensions = points.shape[1]
    total = max(float(weight.sum()), 1e-12)
    counting = weight * inlying
    mean = counting @ points / max(float(counting.sum()), 1e-12)
    centred = points - mean
    scatter = (centred * counting[:, None]).T @ centred / total
    scatter += _SPREAD_FLOOR**2 * np.eye(dimensions)
    factor = np.linalg.cholesky(scatter)
    squared = (np.linalg.solve(factor, centred.T) ** 2).sum(axis=0)
    half = 0.5 * (_FREEDOM + dimensions)
    constant = gammaln(half) - gammaln(0.5 * _FREEDOM)
    constant -= 0.5 * dimensions * np.log(_FREEDOM * np.pi) + np.log(np.diag(factor)).sum()
    density: FloatArray = constant - half * np.log1p(squared / _FREEDOM)
    return density, (_FREEDOM + dimensions) / (_FREEDOM + squared)
