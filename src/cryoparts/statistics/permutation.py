"""Tests of dependence that a common cause in the imaging cannot fool.

Particles are permuted only among those seen alike: from similar directions (a
direction and its opposite show the same overlaps) and at similar defocus. What
two parts share merely because errors depend on the view or the defocus is then
also in the permuted data, and is not called coordination.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import gamma, norm
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.statistics.by_image import first_rows, numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

PARTICLES_A_STRATUM = 60
MOST_STRATA = 40
FEWEST_TAIL = 3
"""Permutations at least as extreme, below which the tail is extrapolated."""


def imaging_strata(
    poses: Poses, ctf: CtfParameters, seed: int = 0, image: IntArray | None = None
) -> IntArray:
    """Stratum (P,) of each particle: similar axis of view and defocus.

    Rows of one image are in one stratum, that of its first row.
    """
    if image is not None:
        first = first_rows(image)
        if len(first) < len(image):
            own = imaging_strata(poses.take(first), ctf.take(first), seed)
            return own[numbered(image)]
    view = poses.rotation[:, 2]
    axis = (view[:, :, None] * view[:, None, :]).reshape(len(view), 9)
    defocus = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)
    spread = max(float(np.std(defocus)), 1e-9)
    number = int(np.clip(len(view) // PARTICLES_A_STRATUM, 1, MOST_STRATA))
    features = np.column_stack([axis / 0.5, 0.5 * (defocus - defocus.mean()) / spread])
    if number == 1 or not float(np.ptp(features, axis=0).max()) > 1e-9:
        return np.zeros(len(view), dtype=np.int64)
    with threadpool_limits(limits=1):
        fitted = KMeans(
            n_clusters=number, n_init=1, random_state=seed_for(seed, Purpose.STRATA)
        ).fit(features)
    return np.asarray(fitted.labels_, dtype=np.int64)


@dataclass(frozen=True)
class Permutations:
    """Rows (R, P) that permute particles within their strata, rows of an image together."""

    rows: NDArray[np.int32]

    @classmethod
    def draw(
        cls, strata: IntArray, number: int, seed: int, image: IntArray | None = None
    ) -> Permutations:
        """Draw `number` of them.

        Parameters
        ----------
        strata : int array, shape (P,)
        number, seed : int
        image : int array, shape (P,), optional
            Number of each row's image. Images with equally many rows are exchanged,
            the first row for the first and so on. Default: an image a row.
        """
        if image is not None and len(first_rows(image)) < len(image):
            return cls._of_images(strata, number, seed, numbered(image))
        rng = random_for(seed, Purpose.PERMUTATIONS)
        rows = np.empty((number, len(strata)), dtype=np.int32)
        order = np.argsort(strata, kind="stable")
        for drawn in rows:
            # sorting random keys stratum by stratum shuffles each of them at once
            shuffled = np.lexsort((rng.random(len(strata)), strata))
            drawn[order] = shuffled
        return cls(rows)

    @classmethod
    def _of_images(cls, strata: IntArray, number: int, seed: int, image: IntArray) -> Permutations:
        grouped = np.argsort(image, kind="stable")
        counts = np.bincount(image)
        starts = np.cumsum(counts) - counts
        alike = numbered(strata[first_rows(image)] * (int(counts.max()) + 1) + counts)
        within = np.arange(len(image)) - starts[image[grouped]]
        rows = np.empty((number, len(image)), dtype=np.int32)
        for drawn, other in zip(rows, cls.draw(alike, number, seed).rows, strict=True):
            drawn[grouped] = grouped[starts[other[image[grouped]]] + within]
        return cls(rows)

    def null(self, statistic: Callable[[NDArray[np.int32]], float]) -> FloatArray:
        """The statistic (R,) of each permutation."""
        return np.array([statistic(rows) for rows in self.rows])


def two_sided(observed: float, null: ArrayLike) -> float:
    """P-value of a statistic that is normal under permutation, such as a correlation.

    Counted (with the observed one among the permutations) or, beyond the reach of
    counting, from the normal curve with the permutations' mean and deviation.
    """
    values = np.asarray(null, dtype=np.float64)
    away = np.abs(values - values.mean())
    distance = abs(observed - float(values.mean()))
    extreme = int((away >= distance).sum())
    if extreme >= FEWEST_TAIL:
        return (1.0 + extreme) / (1.0 + len(values))
    deviation = max(float(values.std(ddof=1)), 1e-300)
    return float(min(2.0 * norm.sf(distance / deviation), (1.0 + extreme) / (1.0 + len(values))))


def upper_tail(observed: float, null: ArrayLike) -> float:
    """P-value of a statistic of which more is more dependence, such as mutual information.

    Beyond the reach of counting from a gamma curve of the permutations' moments.
    """
    values = np.asarray(null, dtype=np.float64)
    extreme = int((values >= observed).sum())
    counted = (1.0 + extreme) / (1.0 + len(values))
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    if extreme >= FEWEST_TAIL or not (mean > 0 and variance > 0):
        return counted
    return float(min(gamma.sf(observed, mean**2 / variance, scale=variance / mean), counted))


def binned(values: FloatArray, most: int = 6, *, images: int | None = None) -> IntArray:
    """Bins (P,) of equal width between the 1% and 99% quantiles, fewer for few images.

    Not of equally many particles: such bins cut through a peak, and inside a peak
    lies what leaks from other parts. (Between truly independent parts of a
    simulation they gave 0.17 bits where states give 0.000.)
    """
    number = int(np.clip(np.sqrt((images or len(values)) / 40), 2, most))
    low, high = np.quantile(values, [0.01, 0.99])
    if not high > low:
        low, high = values.min(), values.max()
    edges = low + (high - low) * np.arange(1, number) / number
    bins = np.searchsorted(edges, values, side="right")
    return np.unique(bins, return_inverse=True)[1].reshape(-1).astype(np.int64)


def mutual_information_bits(a: IntArray, b: IntArray) -> float:
    """Mutual information of two discrete variables, bits, not corrected for chance.

    As scikit-learn's `mutual_info_score`, whose checks and sorting take fifty times as
    long: it is asked a thousand times a pair, once a permutation.
    """
    n_a, n_b = int(a.max()) + 1, int(b.max()) + 1
    table = np.bincount(a * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b) / len(a)
    product = np.outer(table.sum(axis=1), table.sum(axis=0))
    some = table > 0
    return float((table[some] * np.log2(table[some] / product[some])).sum())
