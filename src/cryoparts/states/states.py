"""How many states a cloud of particles has, and which particle is in which."""

from __future__ import annotations

import itertools
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from cryoparts.parallel.current import team
from cryoparts.seeds import Purpose, random_for, seed_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

MOST_STATES = 5
"""Most states looked for when the number is not given."""

_BAND = 0.15
"""Half width of the bands where density is counted, as a part of the centres' distance."""

_VALLEY = 0.5
"""Density half way between two clusters, over that at the sparser one's centre, is less."""

_REFERENCES = 10
"""Uniform data sets of the gap statistic (Tibshirani et al. 2001)."""

_SAMPLE = 2000
"""Particles on which the number of states is judged: its time grows with their number."""


def cluster(
    points: FloatArray, n_states: int, seed: int, counted: NDArray[np.bool_] | None = None
) -> IntArray:
    """K-means labels 0 ... K - 1 of points (n, C), K <= n_states, none of them empty.

    The means are those of the `counted` points (n,), all by default; each of the others is in
    the cluster whose mean is nearest.
    """
    own = points if counted is None else points[counted]
    with _one_thread():
        fitted = _kmeans(own, min(n_states, len(own)), seed, n_init=10)
    labels = fitted.labels_ if counted is None or counted.all() else fitted.predict(points)
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def choose_number(points: FloatArray, seed: int, most: int = MOST_STATES) -> int:
    """Number of clusters with a valley between any two; 1 means no separate states.

    The gap statistic gives the most that is considered. It finds clusters in the
    tail of a skewed cloud too, so a number is taken only if the density between
    every two of its clusters is well below that at their centres.

    Tibshirani, Walther & Hastie (2001, J. R. Stat. Soc. B 63, 411): the gap is the
    drop in log within-cluster variance below that of points spread evenly in the
    box of the principal axes. Taken is the smallest k whose gap is within two
    standard errors of the largest (their rule, which stops at the first k not
    exceeded by k + 1, misses three levels in a row).

    Parameters
    ----------
    points : array, shape (n, C)
        Principal components; 2,000 random ones are used.
    seed : int
    most : int
        Largest number considered.
    """
    rng = random_for(seed, Purpose.NUMBER_OF_STATES)
    if len(points) > _SAMPLE:
        points = points[np.sort(rng.choice(len(points), _SAMPLE, replace=False))]
    most = min(most, len(points) // 5)
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    if most < 2 or not (high > low).any():
        return 1
    inside = np.clip(points, low, high)  # a few outliers must not stretch the box
    even = rng.uniform(low, high, size=(_REFERENCES, *inside.shape))
    clouds = np.concatenate([inside[None], even])
    found = team().sweep(_Dispersions(clouds, most, seed), np.arange(len(clouds)), 1)
    observed, *reference = [dispersion for _, dispersion in found]
    gap = np.mean(reference, axis=0) - observed
    error = np.std(reference, axis=0) * np.sqrt(1 + 1 / _REFERENCES)
    best = int(gap.argmax())
    candidate = int(np.flatnonzero(gap >= gap[best] - 2 * error[best])[0]) + 1
    for number in range(candidate, 1, -1):
        if _separated(points, cluster(points, number, seed)):
            return number
    return 1


def _separated(points: FloatArray, labels: IntArray) -> bool:
    """Whether there is a valley of density between every two clusters."""
    count = int(labels.max()) + 1
    centres = np.stack([points[labels == k].mean(axis=0) for k in range(count)])
    for i, j in itertools.combinations(range(count), 2):
        axis = centres[j] - centres[i]
        both = points[(labels == i) | (labels == j)]
        # 0 at one centre, 1 at the other
        along = (both - centres[i]) @ axis / max(float(axis @ axis), 1e-300)
        near_i, between, near_j = (
            int((np.abs(along - place) < _BAND).sum()) for place in (0.0, 0.5, 1.0)
        )
        if between > _VALLEY * min(near_i, near_j):
            return False
    return True


@dataclass(frozen=True)
class _Dispersions:
    """How far the points of clouds (n, P, C) lie from the centres of 1 ... `most` clusters."""

    clouds: FloatArray
    most: int
    seed: int

    def __call__(self, numbers: NDArray[np.int64]) -> FloatArray:
        """Log of the sum of squares (most,) within the clusters, over the clouds `numbers`."""
        points = np.concatenate(self.clouds[numbers])
        with _one_thread():
            inertia = [
                _kmeans(points, k, self.seed, n_init=3).inertia_ for k in range(1, self.most + 1)
            ]
        return np.log(np.maximum(inertia, 1e-300))


@contextmanager
def _one_thread() -> Iterator[None]:
    """So little work is slower on several threads, and the sums stay reproducible."""
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # fewer distinct points than clusters: then there are fewer clusters
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _kmeans(points: FloatArray, k: int, seed: int, n_init: int) -> KMeans:
    chosen = seed_for(seed, Purpose.STATES)
    return KMeans(n_clusters=k, n_init=n_init, random_state=chosen).fit(points)
