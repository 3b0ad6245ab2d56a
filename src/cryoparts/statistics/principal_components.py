"""Principal components: of rows that come in batches, and of a table in memory.

(Of the gradients' sample, whose products are too many to be decomposed in full, the leading
few hundred are found by scikit-learn's randomised one: see `training.principal_components`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_NO_VARIANCE = 1e-12
"""Share of the largest variance below which a component is rounding."""

_NO_SUM = 1e-6
"""Share of the sum of a direction's absolute entries below which their sum is rounding."""


_ROWS_AT_ONCE = 1024
"""Rows that are multiplied together: products of 64 take 2.5 times as long, 4,096 a tenth less."""


class RunningCovariance:
    """Mean and covariance of rows that come in batches, in one pass.

    Rows are counted from the first batch's mean, so that a mean far from 0 costs no
    digits (Chan, Golub & LeVeque 1983, Am. Stat. 37, 242). Products are made in the rows'
    own precision and summed in double. Memory is F x F numbers, and a thousand rows.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin: FloatArray = np.zeros(0)
        self._sum: FloatArray = np.zeros(0)
        self._products: FloatArray = np.zeros((0, 0))
        self._waiting: list[NDArray[np.floating]] = []

    def add(self, rows: NDArray[np.floating]) -> None:
        """Count a batch of rows (n, F) in."""
        if not len(rows):
            return
        if not self.count:
            width = rows.shape[1]
            self._origin = rows.mean(axis=0)
            self._sum, self._products = np.zeros(width), np.zeros((width, width))
        self._waiting.append(rows - self._origin)
        self.count += len(rows)
        if sum(map(len, self._waiting)) >= _ROWS_AT_ONCE:
            self._multiply()

    def _multiply(self) -> None:
        """Those that wait."""
        if self._waiting:
            shifted = np.concatenate(self._waiting)
            self._waiting.clear()
            self._sum += shifted.sum(axis=0, dtype=np.float64)
            self._products += shifted.T @ shifted

    @property
    def mean(self) -> FloatArray:
        """Mean (F,) of the rows."""
        self._multiply()
        mean: FloatArray = self._origin + self._sum / max(self.count, 1)
        return mean

    @property
    def covariance(self) -> FloatArray:
        """Covariance (F, F) of the rows, with 1 / n."""
        self._multiply()
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
    count = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[max(count - most, 0), count - 1])
    return values[::-1], vectors[:, ::-1]


def _largest(columns: FloatArray) -> FloatArray:
    """The entry of each column that is farthest from 0."""
    largest: FloatArray = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return largest


def _signs(values: FloatArray) -> FloatArray:
    return np.where(values < 0, -1.0, 1.0)
