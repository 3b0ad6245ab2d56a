"""Whether a part is there: probability of presence of each particle, and the occupancy.

The amplitude x_p of a part in image p (`image_amplitudes`) has the known error
variance v_p. The particles are a mixture of two levels,

    x_p ~ (1 - f) N(l0, t0² + v_p) + f N(l1, t1² + v_p),

with levels l0 < l1, spreads t0, t1 of the molecule itself and the occupancy f,
all found by expectation maximisation. The probability of presence is the
posterior of the upper level; since each image's own noise is in it, it is
calibrated: of the particles given 70%, 70% have the part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import expit, logit

from cryoparts.statistics.by_image import covariance_from_scores, image_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Change = Literal["present or absent", "always there", "never there", "not a present/absent part"]
GRADUAL: Change = "not a present/absent part"
"""Its amplitudes vary beyond the noise, and have no two levels apart."""

SMALLEST_SEPARATION = 4.0
"""Two levels are two if their distance exceeds this many (mean) spreads: then the
density between them is below a quarter of that at the peaks. A spread-out single
level cut in two reaches 2.6, an even spread from nothing to everything 3.5."""

SMALLEST_STEP = 0.25
"""Levels closer than this share of the upper one are not presence and absence."""

LARGEST_SPREAD = 0.2
"""A single level that varies by more, beyond the noise, changes gradually."""

UNKNOWN = 0.1
"""Share of the errors' variance that is not known: pieces of a core that is always there vary
beyond their errors by 3 to 9% of these, in eight simulated sets with SNRs from 0.01 to 0.1."""

OUTLIER = 5.0
"""Standard deviations from both levels beyond which a particle counts for neither."""

THERE = 0.5
"""Amplitude from which on a part with one level is there; the neutral model has 1."""

SMALLEST_VARIANCE = 1e-8
"""Of errors and of a level's spread: keeps densities finite."""

RARELY = 0.02
"""Share of the particles below which those that lack a part may be broken ones: with every
nuisance (2% of the images show broken particles) 0.5% of the particles that count lack each of
two parts of a transporter that are always there, and all but one of these are broken. Nor is a
part optional of which so few show more than it has in all others, where it is there: neighbours
lie over it (0.1% showed 2.4 times a part of a ribosome that is always there)."""

CONFIDENCE = 1.96
"""Standard errors to either side of a 95% interval of a normal estimate."""

_STARTS = ((0.1, 0.9), (0.02, 0.6), (0.4, 0.98), (0.005, 0.5), (0.5, 0.995))
"""Quantiles between whose values the two levels are first parted: rare absence, rare presence,
and even."""

_TRIAL, _ITERATIONS = 8, 200
_TOLERANCE = 1e-6
"""Gain of the log-likelihood a particle below which the fit rests."""


@dataclass(frozen=True)
class Presence:
    """What was found of one part in P particles.

    Parameters
    ----------
    change : str
        "present or absent", "always there", "never there" or "not a present/absent part".
    probability : array, shape (P,)
        Of presence, calibrated; NaN where the part is not of that kind.
    occupancy, low, high : float
        Share of the particles with the part, and its 95% interval, which has the
        sampling of the particles and the doubt in each of them; NaN likewise.
    level_absent, level_present : float
        Amplitudes l0 and l1 (equal where there is one level).
    spread_absent, spread_present : float
        Spreads t0 and t1 beyond the noise.
    separation : float
        (l1 - l0) over the root mean square of t0 and t1, less what is not known of the
        errors; 0 for a single level.
    bic_gain : float
        Drop in the Bayesian information criterion from one level to two.
    """

    change: Change
    probability: FloatArray
    occupancy: float
    low: float
    high: float
    level_absent: float
    level_present: float
    spread_absent: float
    spread_present: float
    separation: float
    bic_gain: float

    @property
    def is_optional(self) -> bool:
        """Whether the part is there in some particles and absent in others."""
        return self.change == "present or absent"

    @property
    def levels(self) -> tuple[float, float]:
        """Amplitudes where it is absent and where it is there."""
        return self.level_absent, self.level_present

    @property
    def spreads(self) -> tuple[float, float]:
        """Spreads of the two levels beyond the noise."""
        return self.spread_absent, self.spread_present

    @property
    def is_rarely_absent(self) -> bool:
        """Whether so few particles lack the part that these may be broken ones."""
        return _is_rare(self.change, self.occupancy)


@dataclass(frozen=True)
class _Mixture:
    share: float
    levels: tuple[float, float]
    spreads: tuple[float, float]
    likelihood: float


def change_words(change: str, occupancy: float) -> str:
    """How a part changes, for a reader: absences as rare as broken particles are called so."""
    return "rarely absent (broken particles?)" if _is_rare(change, occupancy) else change


def _is_rare(change: str, occupancy: float) -> bool:
    return change == "present or absent" and occupancy > 1.0 - RARELY


def fit_presence(
    amplitude: ArrayLike,
    variance: ArrayLike,
    image: IntArray | None = None,
    counted: NDArray[np.bool_] | None = None,
) -> Presence:
    """Fit one and two levels to a part's amplitudes and choose between them.

    Parameters
    ----------
    amplitude, variance : array, shape (P,)
        Measured amplitudes and the variances of their errors (0 if exact).
    image : int array, shape (P,), optional
        Number of each row's image: only different images count as independent.
        Default: an image a row.
    counted : bool array, shape (P,), optional
        Particles that levels, spreads and occupancy are found from; all are given a
        probability. Default: all.

    Raises
    ------
    ValueError
        If the shapes disagree, or there are fewer than 2 particles.
    """
    if counted is not None and not counted.all():
        every = np.asarray(amplitude, dtype=np.float64), np.asarray(variance, dtype=np.float64)
        shown = None if image is None else image[counted]
        found = fit_presence(every[0][counted], every[1][counted], shown)
        return replace(found, probability=_presence_of_all(found, *every))
    x, v = np.asarray(amplitude, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    if x.shape != v.shape or x.ndim != 1 or len(x) < 2:
        raise ValueError(f"amplitudes {x.shape} and variances {v.shape} must be (P,), P >= 2")
    v = np.maximum(v, SMALLEST_VARIANCE)
    single = _fit(x, v, np.zeros(len(x)), _ITERATIONS)
    starts = [(x > np.quantile(x, q).mean()).astype(np.float64) for q in _STARTS]
    starts.append((x > 0.5 * (x.min() + x.max())).astype(np.float64))
    # a few steps from every start tell which one to follow to its end
    tried = [(_fit(x, v, s, _TRIAL), s) for s in starts if 0 < s.mean() < 1]
    pair = single
    if tried:
        trial, _ = max(tried, key=lambda one: one[0].likelihood)
        pair = _fit(x, v, _posterior(x, v, trial), _ITERATIONS)
    # three parameters more: a level, its spread, the share
    images = image_count(image, len(x))
    gain = 2.0 * (images / len(x)) * (pair.likelihood - single.likelihood) - 3.0 * np.log(images)
    (low_level, high_level), spreads = pair.levels, pair.spreads
    spread = max(_own_spread(0.5 * (spreads[0] ** 2 + spreads[1] ** 2), v), 1e-3)
    separation = (high_level - low_level) / spread
    if (
        gain > 0
        and separation > SMALLEST_SEPARATION
        and high_level - low_level > SMALLEST_STEP * abs(high_level)
        and not (pair.share < RARELY and low_level > THERE)
    ):
        occupancy, low, high = _interval(x, v, pair, image)
        return Presence(
            "present or absent",
            _posterior(x, v, pair),
            occupancy,
            low,
            high,
            low_level,
            high_level,
            spreads[0],
            spreads[1],
            separation,
            gain,
        )
    return _one_level(single, v, images, gain)


def _presence_of_all(found: Presence, x: FloatArray, v: FloatArray) -> FloatArray:
    """Probability of presence (P,) of particles that need not have been fitted."""
    if not found.is_optional:
        return np.full(len(x), found.probability[0])
    fit = _Mixture(found.occupancy, found.levels, found.spreads, 0.0)
    return _posterior(x, np.maximum(v, SMALLEST_VARIANCE), fit)


def _own_spread(variance: float, errors: FloatArray) -> float:
    """Deviation beyond errors of these variances (P,), as far as they are known."""
    return float(np.sqrt(max(variance - UNKNOWN * float(errors.mean()), 0.0)))


def _one_level(single: _Mixture, errors: FloatArray, images: int, gain: float) -> Presence:
    count = len(errors)
    level, spread = single.levels[0], single.spreads[0]
    there = level > THERE
    change: Change = "always there" if there else "never there"
    value, low, high = float(there), float(there), float(there)
    # none of n seen: at most 3 / n of all, at 95% (the rule of three)
    if there:
        low = max(1.0 - 3.0 / images, 0.0)
    else:
        high = min(3.0 / images, 1.0)
    if _own_spread(spread**2, errors) > LARGEST_SPREAD:
        change, value, low, high = GRADUAL, np.nan, np.nan, np.nan
    return Presence(
        change, np.full(count, value), value, low, high, level, level, spread, spread, 0.0, gain
    )


def level_densities(
    amplitude: FloatArray, variance: FloatArray, levels: ArrayLike, spreads: ArrayLike
) -> FloatArray:
    """Log densities under the lower and the upper level.

    Parameters
    ----------
    amplitude, variance : arrays, shape (P,) or (P, K)
    levels, spreads : arrays, shape (2,) or (2, K)

    Returns
    -------
    array, shape (2, P) or (2, P, K)
    """
    total = variance + np.asarray(spreads)[:, None] ** 2
    density: FloatArray = -0.5 * (
        (amplitude - np.asarray(levels)[:, None]) ** 2 / total + np.log(2.0 * np.pi * total)
    )
    return density


def _posterior(x: FloatArray, v: FloatArray, fit: _Mixture) -> FloatArray:
    logs = level_densities(x, v, fit.levels, fit.spreads)
    odds: FloatArray = expit(logs[1] - logs[0] + logit(np.clip(fit.share, 1e-12, 1 - 1e-12)))
    return held_to_levels(odds, x, fit.levels)


def held_to_levels(probability: FloatArray, x: FloatArray, levels: ArrayLike) -> FloatArray:
    """Probabilities of presence (P,) or (P, K), none below one half at the upper level or above.

    Nor above one half at the lower level or below: two normal curves of unlike width cross twice,
    but no part is absent because there is much of it.

    Parameters
    ----------
    probability, x : arrays, shape (P,) or (P, K)
    levels : array, shape (2,) or (2, K)
    """
    low, high = np.asarray(levels)
    held = np.where(x >= high, np.maximum(probability, 0.5), probability)
    return np.where(x <= low, np.minimum(held, 0.5), held)


def _fit(x: FloatArray, v: FloatArray, upper: FloatArray, iterations: int) -> _Mixture:
    """Expectation maximisation from first memberships (P,) of the upper level.

    All zero: a single level.
    """
    single = not upper.any()
    # a row for each level: sums over the particles run along the memory
    weights = np.stack([1.0 - upper, upper])
    variances = np.full(2, max(0.25 * float(np.var(x)), 1e-6))
    levels = np.zeros(2)
    usual = np.ones(len(x), dtype=bool)
    before = -np.inf
    for _ in range(iterations):
        used = weights * usual
        precision = used / (v + variances[:, None])
        levels = (precision @ x) / np.maximum(precision.sum(axis=1), 1e-300)
        # the molecule's own deviation in each image, given what was measured
        gain = variances[:, None] / (variances[:, None] + v)
        own = (gain * (x - levels[:, None])) ** 2 + gain * v
        total = np.maximum(used.sum(axis=1), 1e-300)
        variances = np.maximum((used * own).sum(axis=1) / total, SMALLEST_VARIANCE)
        share = total / total.sum()
        # a particle unlike both levels (ice, a neighbour) must not stretch them
        unlike = (x - levels[:, None]) ** 2 / (v + variances[:, None])
        usual = np.minimum(*unlike) < OUTLIER**2
        logs = level_densities(x, v, levels, np.sqrt(variances))
        logs = np.maximum(logs, -0.5 * OUTLIER**2 - 3.0)
        joint = logs + np.log(np.maximum(share, 1e-300))[:, None]
        likelihood = float(np.logaddexp(*joint).sum())
        if not single:
            weights = np.stack([expit(joint[0] - joint[1]), expit(joint[1] - joint[0])])
        if likelihood - before < _TOLERANCE * len(x):
            break
        before = likelihood
    if single:
        levels, variances = np.repeat(levels[:1], 2), np.repeat(variances[:1], 2)
    order = np.argsort(levels, kind="stable")
    share = np.maximum(share, 1e-300)
    spreads = np.sqrt(variances)[order]
    return _Mixture(
        share=float(share[order[1]]),
        levels=(float(levels[order[0]]), float(levels[order[1]])),
        spreads=(float(spreads[0]), float(spreads[1])),
        likelihood=likelihood,
    )


def _interval(
    x: FloatArray, v: FloatArray, fit: _Mixture, image: IntArray | None
) -> tuple[float, float, float]:
    """Occupancy and its interval, from the outer product of the particles' scores.

    The levels and spreads are estimated from the same particles, so their
    uncertainty is in it.
    """
    share = float(np.clip(fit.share, 1e-9, 1 - 1e-9))
    logs = level_densities(x, v, fit.levels, fit.spreads)
    upper = expit(logs[1] - logs[0] + logit(share))
    scores = [upper - share]
    for level, spread, weight in zip(fit.levels, fit.spreads, (1.0 - upper, upper), strict=True):
        total = v + spread**2
        scores.append(weight * (x - level) / total)
        scores.append(weight * spread * ((x - level) ** 2 / total - 1.0) / total)
    error = float(np.sqrt(covariance_from_scores(np.stack(scores, axis=1), image)[0, 0]))
    reach = CONFIDENCE * error
    return share, float(expit(logit(share) - reach)), float(expit(logit(share) + reach))
