"""Which parts do things together: every pair tested, its strength measured and judged.

Three guards stand against false coordination. Presence is judged in the images
themselves and pairs of it by their joint likelihood (`image_amplitudes`,
`joint_presence`), so that one part's error is not taken for another's state.
Permutations stay among particles seen alike (`permutation`). And a pair is
called coordinated only if it exceeds, beyond the error of measurement, what leaks
between parts that are truly independent: a test of the least effect that matters
(Murphy & Myors 1999, J. Appl. Psychol. 84, 234), as with many particles the
smallest leak differs from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import false_discovery_control, norm, rankdata
from threadpoolctl import threadpool_limits

from cryoparts.occupancy.joint_presence import JointPresence, joint_presence
from cryoparts.statistics.by_image import image_count
from cryoparts.statistics.permutation import (
    Permutations,
    binned,
    mutual_information_bits,
    two_sided,
    upper_tail,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoparts.coordination.part_signals import PartSignal
    from cryoparts.occupancy.composition import Composition

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Verdict = Literal["coordinated", "too weak to tell", "no sign"]

LEAK_OF_PRESENCE = 0.05
"""Correlation (phi) below which two presences measured in the images may be independent:
the largest seen among 28 truly independent pairs is 0.01 from the true value."""

LEAK_OF_DECODED = 0.1
"""The same for angles and coordinates, which the networks give: 0.06 is seen."""

LEAK_OF_SHAPE = 0.5
"""The same for what is not a correlation, as that of the normal pair with as much mutual
information: where an image says little, all parts are drawn to their middle together, and
truly independent angles of a poorly trained run had 0.05 bits (0.26) in common."""

LEVEL = 0.05
"""Adjusted p-value (Benjamini and Hochberg) below which a pair is called dependent."""

CONFIDENCE = 1.96
"""Standard errors to either side of a 95% interval of a normal estimate."""

_MOST_PERMUTED = 20_000_000
"""Numbers permuted for one pair: permutations times particles; bounds the time, and at least 99
permutations are made."""


@dataclass(frozen=True)
class Pair:
    """Dependence of two parts.

    Parameters
    ----------
    a, b : int
        Numbers of the parts, a < b.
    kinds : tuple of str
        What each was told by: presence, angle, state or coordinate.
    correlation, low, high : float
        Phi (two presences) or Pearson, and its 95% interval. The sign of an
        angle or coordinate is the part's own convention.
    spearman : float
        Of the signals.
    mutual_information_bits : float
        Corrected for what chance gives; 0 at least.
    p_permutation : float
        Of no dependence at all, by permutation.
    p_value, p_adjusted : float
        Of no more dependence than leaks, `p_permutation` at least; corrected for
        the number of pairs.
    smallest_effect : float
        Correlation that leaks at most between independent parts.
    verdict : str
        "coordinated", "too weak to tell" or "no sign".
    joint : JointPresence or None
        For two presences.
    """

    a: int
    b: int
    kinds: tuple[str, str]
    correlation: float
    low: float
    high: float
    spearman: float
    mutual_information_bits: float
    p_permutation: float
    p_value: float
    p_adjusted: float
    smallest_effect: float
    verdict: Verdict
    joint: JointPresence | None

    @property
    def is_coordinated(self) -> bool:
        """Whether the pair deserves to be believed."""
        return self.verdict == "coordinated"


@dataclass(frozen=True)
class _Measured:
    """A pair before its p-value is corrected."""

    correlation: float
    interval: tuple[float, float]
    spearman: float
    information: float
    p_permutation: float
    p_value: float
    joint: JointPresence | None


def find_coordination(
    signals: Sequence[PartSignal],
    strata: IntArray,
    composition: Composition | None = None,
    *,
    image: IntArray | None = None,
    permutations: int = 999,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """Test every pair of parts.

    Parameters
    ----------
    signals : sequence of PartSignal
        Of the same P particles.
    strata : int array, shape (P,)
        Particles that may be exchanged (see `imaging_strata`).
    composition : Composition or None
        What the presences were judged by; needed where a signal is a presence.
    image : int array, shape (P,), optional
        Number of each row's image: images are permuted with all their rows, and
        errors count images. Default: an image a row.
    permutations : int
        Fewer are drawn for many particles; the tails are extrapolated.
    seed : int
    progress : callable or None
        Told the pairs done, and their total.

    Raises
    ------
    ValueError
        If signals and strata differ in length, or presences come without a composition.
    """
    count = len(strata)
    if any(len(signal.values) != count for signal in signals):
        raise ValueError("signals and strata must be of the same particles")
    number = int(np.clip(_MOST_PERMUTED // max(count, 1), 99, permutations))
    drawn = Permutations.draw(strata, number, seed, image)
    pairs = [(x, y) for i, x in enumerate(signals) for y in signals[i + 1 :]]
    measured = []
    # to share out thousands of short sums takes longer than to do them, by far on a busy machine
    with threadpool_limits(limits=1):
        for done, (x, y) in enumerate(pairs, start=1):
            both_presence = x.kind == y.kind == "presence"
            if both_presence and composition is None:
                raise ValueError("presences need the composition that they come from")
            measured.append(
                _presences(x, y, composition, drawn, image)
                if both_presence and composition is not None
                else _values(x, y, drawn, image_count(image, count))
            )
            if progress is not None:
                progress(done, len(pairs))
    corrected = false_discovery_control([found.p_value for found in measured])
    by_permutation = false_discovery_control([found.p_permutation for found in measured])
    return [
        _pair(x, y, found, float(p), dependent=bool(q < LEVEL))
        for (x, y), found, p, q in zip(pairs, measured, corrected, by_permutation, strict=True)
    ]


def _presences(
    x: PartSignal,
    y: PartSignal,
    composition: Composition,
    drawn: Permutations,
    image: IntArray | None,
) -> _Measured:
    parts = composition.parts
    joint = joint_presence(
        composition.measured, x.part - 1, y.part - 1, parts[x.part - 1], parts[y.part - 1], image
    )
    a = x.values - joint.shares[1].sum()
    b = y.values - joint.shares[:, 1].sum()
    null = drawn.null(lambda rows: float(a @ b[rows]))
    information = joint.mutual_information_bits
    low, high = joint.correlation_interval()
    p = two_sided(float(joint.score.sum()), null)
    beyond = _beyond(abs(joint.correlation), LEAK_OF_PRESENCE, joint.correlation_error)
    return _Measured(
        correlation=joint.correlation,
        interval=(low, high),
        spearman=_correlation(rankdata(x.values), rankdata(y.values)),
        information=max(information - joint.rows_an_image / (2.0 * np.log(2.0) * len(a)), 0.0),
        p_permutation=p,
        p_value=max(p, beyond),
        joint=joint,
    )


def _values(x: PartSignal, y: PartSignal, drawn: Permutations, images: int) -> _Measured:
    """Two signals of any kind: correlation for what rises together, information for the rest.

    The p-value is the smaller of the two, doubled for having two chances. Ranks
    are not tested: they magnify the small differences within a state.
    """
    count = len(x.values)
    scaled_x, scaled_y = _standard(x.values), _standard(y.values)
    correlation = float(scaled_x @ scaled_y) / count
    null = drawn.null(lambda rows: float(scaled_x @ scaled_y[rows]) / count)
    bins_x, bins_y = _classes(x, images), _classes(y, images)
    information = mutual_information_bits(bins_x, bins_y)
    by_chance = drawn.null(lambda rows: mutual_information_bits(bins_x, bins_y[rows]))
    by_line, by_shape = two_sided(correlation, null), upper_tail(information, by_chance)
    centre = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
    error = 1.0 / np.sqrt(max(images - 3, 1))
    reach = CONFIDENCE * error
    beyond_chance = max(information - float(by_chance.mean()), 0.0)
    leaked = -0.5 * float(np.log2(1.0 - LEAK_OF_SHAPE**2))
    beyond_leak = min(
        max(by_line, _beyond(abs(centre), np.arctanh(LEAK_OF_DECODED), error)),
        max(by_shape, _beyond(beyond_chance, leaked, _information_error(bins_x, bins_y, images))),
    )
    return _Measured(
        correlation=correlation,
        interval=(float(np.tanh(centre - reach)), float(np.tanh(centre + reach))),
        spearman=_correlation(rankdata(x.values), rankdata(y.values)),
        information=beyond_chance,
        p_permutation=min(2.0 * min(by_line, by_shape), 1.0),
        p_value=min(2.0 * beyond_leak, 1.0),
        joint=None,
    )


def _beyond(value: float, leak: float, error: float) -> float:
    """P-value of a normal estimate if the truth is no more than `leak`."""
    return float(norm.sf((value - leak) / max(error, 1e-12)))


def _pair(
    x: PartSignal, y: PartSignal, found: _Measured, p_adjusted: float, *, dependent: bool
) -> Pair:
    verdict: Verdict = "no sign"
    if p_adjusted < LEVEL:
        verdict = "coordinated"
    elif dependent:
        verdict = "too weak to tell"
    low, high = found.interval
    return Pair(
        a=x.part,
        b=y.part,
        kinds=(x.kind, y.kind),
        correlation=found.correlation,
        low=low,
        high=high,
        spearman=found.spearman,
        mutual_information_bits=found.information,
        p_permutation=found.p_permutation,
        p_value=found.p_value,
        p_adjusted=p_adjusted,
        smallest_effect=LEAK_OF_DECODED if found.joint is None else LEAK_OF_PRESENCE,
        verdict=verdict,
        joint=found.joint,
    )


def _classes(signal: PartSignal, images: int) -> IntArray:
    """States as they are, presence by the more likely, all else in bins of equal width."""
    if signal.kind == "state":
        return np.unique(signal.values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if signal.kind == "presence":
        return (signal.values > 0.5).astype(np.int64)
    return binned(signal.values, images=images)


def _information_error(a: IntArray, b: IntArray, images: int) -> float:
    """Standard error of the mutual information, bits: of a mean of log ratios."""
    n_a, n_b = int(a.max()) + 1, int(b.max()) + 1
    table = np.bincount(a * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b) / len(a)
    product = np.outer(table.sum(axis=1), table.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(table > 0, np.log2(table / product), 0.0)
    return float(np.std(ratios[a, b]) / np.sqrt(images))


def _standard(values: FloatArray) -> FloatArray:
    centred = values - values.mean()
    deviation = float(centred.std())
    scaled: FloatArray = centred / deviation if deviation > 0 else centred
    return scaled


def _correlation(a: FloatArray, b: FloatArray) -> float:
    return float(_standard(a) @ _standard(b)) / len(a)
