"""How often two parts are there together, without the errors that tie them falsely.

Two parts that overlap in a view are measured with correlated errors, and doubtful
particles blur what they do together. So the shares of the four cases (neither,
only the second, only the first, both) are estimated by maximum likelihood from
the measured amplitudes with the full covariance of their errors, rather than
counted from calls made for each part by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.occupancy.presence import SMALLEST_VARIANCE
from cryoparts.statistics.by_image import image_count, sums_by_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
    from cryoparts.occupancy.presence import Presence

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

CONFIDENCE = 1.96
"""Standard errors to either side of a 95% interval of a normal estimate."""

_ITERATIONS = 300
"""Most rounds of expectation and maximisation; it rests earlier."""

_TOLERANCE = 1e-8
"""Change of the shares below which the fit rests."""

_LEAST = 1e-9
"""Least share: keeps divisions and logarithms finite."""

_STEP = 1e-6
"""Change of a share with which slopes are taken, by central differences."""

_BISECTIONS = 12
"""Halvings of the interval of a profile likelihood: its ends are known to 1/4000 of it."""

_ITERATIONS_PROFILE = 20
"""Rounds at each place of the profile, which starts from its neighbour."""

_LIKELIHOOD_DROP = 1.92
"""Half of the 95% quantile of chi squared with one degree of freedom: the end of a profile
interval."""


@dataclass(frozen=True)
class JointPresence:
    """Two parts a and b together.

    Parameters
    ----------
    shares : array, shape (2, 2)
        Of all particles; shares[1, 0] has a without b. Sums to 1.
    covariance : array, shape (4, 4)
        Of the errors of ``shares.ravel()``.
    likelihood_ratio : float
        Twice the gain in log likelihood over independent parts with the same
        occupancies; chi-squared of one degree where they are independent.
    score : array, shape (P,)
        Expected product of the two presences' deviations from their means, given
        a particle's measurement and independent parts: its mean is 0 for
        independent parts however their errors are correlated.
    densities : callable
        Works out the densities (P, 4) of each particle's measurement in the four cases, up to
        a factor a particle: kept for every pair of parts they would be the largest of all.
    rows_an_image : float
        Mean number of rows that show one image: so often the likelihood counts it.
    """

    shares: FloatArray
    covariance: FloatArray
    likelihood_ratio: float
    score: FloatArray
    densities: Callable[[], FloatArray]
    rows_an_image: float = 1.0

    @property
    def correlation(self) -> float:
        """Phi coefficient, -1 to 1."""
        return _phi(self.shares.ravel())

    @property
    def mutual_information_bits(self) -> float:
        """What one part's presence says of the other's, bits."""
        product = np.outer(self.shares.sum(axis=1), self.shares.sum(axis=0))
        some = self.shares > 0
        return float((self.shares[some] * np.log2(self.shares[some] / product[some])).sum())

    def transposed(self) -> JointPresence:
        """The same with a and b exchanged."""
        order = [0, 2, 1, 3]
        turned = self.covariance[np.ix_(order, order)]
        return JointPresence(
            self.shares.T,
            turned,
            self.likelihood_ratio,
            self.score,
            lambda: self.densities()[:, order],
            self.rows_an_image,
        )

    @property
    def correlation_error(self) -> float:
        """Standard error of `correlation`."""
        flat = self.shares.ravel()
        slope = np.array([(_phi(flat + _STEP * e) - _phi(flat - _STEP * e)) for e in np.eye(4)])
        slope /= 2 * _STEP
        return float(np.sqrt(max(slope @ self.covariance @ slope, 0.0)))

    def correlation_interval(self) -> tuple[float, float]:
        """95% interval of `correlation`."""
        value, reach = self.correlation, CONFIDENCE * self.correlation_error
        return max(value - reach, -1.0), min(value + reach, 1.0)

    def exceptions(self) -> tuple[float, float]:
        """Share of a's particles that lack b, and the upper end of its 95% interval.

        The end is where the likelihood, the other shares fitted anew, has fallen by
        1.92: at a share of nothing, as a requirement has it, curvature says too little.
        """
        found = float(self.shares[1, 0] / max(self.shares[1].sum(), _LEAST))
        density = self.densities()
        best = float(np.log(density @ self.shares.ravel()).sum())
        low, high = float(self.shares[1, 0]), float(self.shares[1].sum())
        upper = self.shares.ravel()
        drop = _LIKELIHOOD_DROP * self.rows_an_image
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            fitted = _shares_with(density, self.shares.ravel(), middle)
            if best - float(np.log(density @ fitted).sum()) > drop:
                high = middle
            else:
                low, upper = middle, fitted
        return found, float(max(upper[2] / max(upper[2] + upper[3], _LEAST), found))


def joint_presence(
    measured: ImageAmplitudes,
    a: int,
    b: int,
    of_a: Presence,
    of_b: Presence,
    image: IntArray | None = None,
) -> JointPresence:
    """Estimate how often parts occur together.

    Parameters
    ----------
    measured : ImageAmplitudes
    a, b : int
        Columns of the parts.
    of_a, of_b : Presence
        Their levels; both present or absent.
    image : int array, shape (P,), optional
        Number of each row's image: only different images count as independent.
        Default: an image a row.

    Raises
    ------
    ValueError
        If one of them is not a present/absent part.
    """
    if not (of_a.is_optional and of_b.is_optional):
        raise ValueError("both parts must be present in some particles and absent in others")
    densities = partial(_densities, measured, a, b, of_a, of_b)
    density = densities()
    alone_a = np.array([1.0 - of_a.occupancy, of_a.occupancy])
    alone_b = np.array([1.0 - of_b.occupancy, of_b.occupancy])
    shares, chance = _shares(density, np.outer(alone_a, alone_b).ravel())
    table = shares.reshape(2, 2)
    independent = np.outer(table.sum(axis=1), table.sum(axis=0)).ravel()
    under = density @ independent
    posterior = density * independent / under[:, None]
    deviations = np.outer(np.arange(2) - table[1].sum(), np.arange(2) - table[:, 1].sum()).ravel()
    repeats = len(density) / image_count(image, len(density))
    return JointPresence(
        shares=table,
        covariance=_covariance(density / chance[:, None], shares, image),
        likelihood_ratio=max(2.0 * float(np.log(chance / under).sum()), 0.0) / repeats,
        score=posterior @ deviations,
        densities=densities,
        rows_an_image=repeats,
    )


def _densities(
    measured: ImageAmplitudes, a: int, b: int, of_a: Presence, of_b: Presence
) -> FloatArray:
    """Densities (P, 4) of the two amplitudes in the four cases, up to a factor a particle."""
    x, y = measured.amplitude[:, a], measured.amplitude[:, b]
    covariance = measured.covariance
    cross = covariance[:, a, b]
    logs = []
    for level_a, spread_a in zip(of_a.levels, of_a.spreads, strict=True):
        for level_b, spread_b in zip(of_b.levels, of_b.spreads, strict=True):
            va = covariance[:, a, a] + max(spread_a**2, SMALLEST_VARIANCE)
            vb = covariance[:, b, b] + max(spread_b**2, SMALLEST_VARIANCE)
            determinant = np.maximum(va * vb - cross**2, 1e-300)
            dx, dy = x - level_a, y - level_b
            distance = (vb * dx**2 - 2.0 * cross * dx * dy + va * dy**2) / determinant
            logs.append(-0.5 * (distance + np.log(determinant)))
    stacked = np.stack(logs, axis=1)
    density: FloatArray = np.exp(stacked - stacked.max(axis=1, keepdims=True))
    # a particle unlike all four cases says nothing rather than everything
    return np.maximum(density, 1e-12)


def _shares(density: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares (4,) of maximum likelihood by expectation maximisation, and densities (P,)."""
    shares, before = start, -np.inf
    for _ in range(_ITERATIONS):
        joint = density * shares
        chance = joint.sum(axis=1)
        shares = np.maximum((joint / chance[:, None]).mean(axis=0), _LEAST)
        shares = shares / shares.sum()
        likelihood = float(np.log(chance).mean())
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    return shares, density @ shares


def _shares_with(density: FloatArray, start: FloatArray, only_a: float) -> FloatArray:
    """Shares (4,) of maximum likelihood among those in which a is without b in `only_a`."""
    shares = np.maximum(start, _LEAST)
    for _ in range(_ITERATIONS_PROFILE):
        shares[2] = 0.0
        shares = shares * (1.0 - only_a) / shares.sum()
        shares[2] = only_a
        joint = density * shares
        shares = np.maximum((joint / joint.sum(axis=1, keepdims=True)).mean(axis=0), _LEAST)
    shares[2] = 0.0
    fitted: FloatArray = shares * (1.0 - only_a) / shares.sum()
    fitted[2] = only_a
    return fitted


def _covariance(ratio: FloatArray, shares: FloatArray, image: IntArray | None) -> FloatArray:
    """Errors of the shares from the outer product of the particles' scores.

    Where rows share images, the sandwich in which only different images are independent.

    `ratio` (P, 4) is each case's density over the mixture's. With n shares summing
    to one the information of n - 1 of them is inverted, the last being the largest.
    """
    last = int(shares.argmax())
    free = [c for c in range(4) if c != last]
    scores = ratio[:, free] - ratio[:, [last]]
    images = image_count(image, len(ratio))
    repeats = len(ratio) / images
    # a share at zero cannot be known worse than one particle's worth
    least = np.diag(1.0 / np.maximum(shares[free], 1.0 / images))
    inner = np.linalg.inv(scores.T @ scores + repeats * least)
    if image is not None and images < len(ratio):
        together = sums_by_image(scores, image)
        inner = inner @ (together.T @ together + repeats**2 * least) @ inner
    mapping = np.zeros((4, 3))
    mapping[free] = np.eye(3)
    mapping[last] = -1.0
    covariance: FloatArray = mapping @ inner @ mapping.T
    return covariance


def _phi(shares: FloatArray) -> float:
    _, n01, n10, n11 = shares
    rows, columns = n10 + n11, n01 + n11
    scale = np.sqrt(max(rows * (1 - rows) * columns * (1 - columns), 1e-30))
    return float((n11 - rows * columns) / scale)
