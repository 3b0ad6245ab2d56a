"""The distribution of vectors that are each known with an error of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

ROUNDS = 60
"""Of expectation and maximisation; deviations that stand out of the errors are found in ten."""

USUAL = 0.95
"""Vectors farther out than this share would be, weigh less, so that a few wild ones set nothing."""


@dataclass(frozen=True)
class HiddenNormal:
    """Mean, covariance, and how much its axes are needed to explain what is known.

    Parameters
    ----------
    mean : array, shape (K,)
    deviation : array, shape (K,)
        Along the principal axes, falling.
    axes : array, shape (K, K)
        A column an axis.
    gain : array, shape (K,)
        Twice the log-likelihood that a vector loses, on average, if nothing varied along
        an axis. 0.3 where a vector is known as well as it varies, and growing with the
        logarithm of how much better.
    """

    mean: FloatArray
    deviation: FloatArray
    axes: FloatArray
    gain: FloatArray


def hidden_normal(told: FloatArray, information: FloatArray, start: float) -> HiddenNormal:
    """Fit a normal distribution by expectation and maximisation (Dempster et al. 1977).

    The likelihood of vector x, by what is known of it, is exp(-x' J x / 2 + h' x).

    Parameters
    ----------
    told : array, shape (n, K)
        h: J times the vector's most likely value.
    information : array, shape (n, K, K)
        J, which may be singular.
    start : float
        Deviation to start from.
    """
    size = told.shape[1]
    mean, covariance = np.zeros(size), start**2 * np.eye(size)
    usual = float(chi2.ppf(USUAL, size))
    for _ in range(ROUNDS):
        gain = covariance @ np.linalg.inv(np.eye(size) + information @ covariance)
        about = np.einsum("nij,nj->ni", gain, told - information @ mean)
        # how far out it lies, of what can be known of it
        distance = np.einsum("ni,ni->n", about, np.linalg.solve(covariance, about.T).T)
        weight = np.minimum(1.0, usual / np.maximum(distance, 1e-12))
        shift = weight @ about / weight.sum()
        apart = about - shift
        scatter = np.einsum("n,ni,nj->ij", weight, apart, apart)
        covariance = scatter / weight.sum() + gain.mean(axis=0)
        covariance = 0.5 * (covariance + covariance.T) + 1e-12 * np.eye(size)
        mean = mean + shift
    variance, axes = np.linalg.eigh(covariance)
    variance, axes = np.maximum(variance[::-1], 0.0), axes[:, ::-1]
    full = _mean_log_likelihood(told, information, mean, covariance)
    gains = []
    for axis in range(size):
        without = np.where(np.arange(size) == axis, 0.0, variance)
        rest = _mean_log_likelihood(told, information, mean, (axes * without) @ axes.T)
        gains.append(2.0 * (full - rest))
    return HiddenNormal(mean, np.sqrt(variance), axes, np.array(gains))


def _mean_log_likelihood(
    told: FloatArray, information: FloatArray, mean: FloatArray, covariance: FloatArray
) -> float:
    """Of what is known of the vectors, less a constant that no covariance changes."""
    about = told - information @ mean
    system = np.eye(len(mean)) + information @ covariance
    spread = covariance @ np.linalg.solve(system, about[..., None])
    explained = np.einsum("ni,nij->n", about, spread)
    return float((0.5 * explained - 0.5 * np.linalg.slogdet(system)[1]).mean())
