"""Principal components: of rows that come in batches, and of a table in memory.

(Of the gradients' sample, which is wide and noisy, the leading few hundred are found
by scikit-learn's randomised decomposition: see `training.principal_components`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_NO_VARIANCE = 1e-12
"""Share of the largest variance below which a component is rounding."""

_NO_SUM = 1e-6
"""Share of the sum of a direction's absolute entries below which their sum is rounding."""


class RunningCovariance:
    """Mean and covariance of rows that come in batches, in one pass.

    Rows are counted from the first batch's mean, so that a mean far from 0 costs no
    digits (Chan, Golub & LeVeque 1983, Am. Stat. 37, 242). Memory is F x F numbers.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin: FloatArray = np.zeros(0)
        self._sum: FloatArray = np.zeros(0)
        self._products: FloatArray = np.zeros((0, 0))

    def add(self, rows: FloatArray) -> None:
        """Count a batch of rows (n, F) in."""
        if not len(rows):
            return
        if not self.count:
            width = rows.shape[1]
            self._origin = rows.mean(axis=0)
            self._sum, self._products = np.zeros(width), np.zeros((width, width))
        shifted = rows - self._origin
        self.count += len(rows)
        self._sum += shifted.sum(axis=0)
        self._products += shifted.T @ shifted

    @property
    def mean(self) -> FloatArray:
        """Mean (F,) of the rows."""
        mean: FloatArray = self._origin + self._sum / max(self.count, 1)
        return mean

    @property
    def covariance(self) -> FloatArray:
        """Covariance (F, F) of the rows, with 1 / n."""
        off = self._sum / max(self.count, 1)
        covariance: FloatArray = self._products / max(self.count, 1) - np.outer(off, off)
        return covariance


def leading_directions(covariance: FloatArray, most: int, least_share: float) -> FloatArray:
    """Directions (F, C) of largest variance, C <= most; at least one.

    Each explains more than `least_share` of the variance but the first, which is always
    there. Its entries' sum is positive (where they cancel, the largest entry is), so
    that the first means more of everything, whatever the solver.

    Parameters
    ----------
    covariance : array, shape (F, F)
    most : int
    least_share : float
    """
    variance, directions = _leading(covariance, most)
    total = max(float(np.trace(covariance)), 1e-300)
    number = max(int((variance / total > least_share).sum()), 1)
    chosen = directions[:, :number]
    sums, sizes = chosen.sum(axis=0), np.abs(chosen).sum(axis=0)
    telling = np.where(np.abs(sums) > _NO_SUM * sizes, sums, _largest(chosen))
    return chosen * _signs(telling)


def principal_scores(table: ArrayLike, most: int) -> FloatArray:
    """Scores (n, C) along the first principal components of a table (n, F), C <= most.

    Components without variance are left out; the sign of each is such that its
    largest score is positive, so that the result does not depend on the solver.
    """
    values = np.asarray(table, dtype=np.float64)
    centred = values - values.mean(axis=0)
    if centred.shape[0] >= centred.shape[1]:
        variance, axes = _leading(centred.T @ centred, most)
        scores = centred @ axes
    else:
        variance, left = _leading(centred @ centred.T, most)
        scores = left * np.sqrt(np.maximum(variance, 0))
    scores = scores[:, variance > _NO_VARIANCE * max(float(variance[0]), 1e-300)]
    if not scores.size:
        return np.zeros((len(values), 0))
    oriented: FloatArray = scores * _signs(_largest(scores))
    return oriented


def _leading(symmetric: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (C,) in falling order, and eigenvectors (F, C), of a symmetric matrix."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1][:most], vectors[:, ::-1][:, :most]


def _largest(columns: FloatArray) -> FloatArray:
    """The entry of each column that is farthest from 0."""
    largest: FloatArray = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return largest


def _signs(values: FloatArray) -> FloatArray:
    return np.where(values < 0, -1.0, 1.0)
