"""Occupancies and probabilities of presence against the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINS = (0.0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1.0)
"""Edges of the bins of predicted probability, finer where most particles are."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Particles whose probability of presence lies between two edges.

    Parameters
    ----------
    low, high : float
    particles : int
    predicted, observed : float
        Mean probability, and the share that truly has the part.
    """

    low: float
    high: float
    particles: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class OccupancyAccuracy:
    """One part's presence against that of a true segment.

    Parameters
    ----------
    occupancy, true_occupancy : float
        Shares of the particles, 0 to 1.
    error_points : float
        Their difference, percentage points.
    covered : bool
        Whether the truth lies in the 95% interval.
    accuracy : float
        Particles judged rightly by a probability above one half.
    brier_score : float
        Mean square of probability minus truth; 0 is perfect.
    calibration_error : float
        Mean over the particles of |predicted - observed| in their bin.
    reliability : tuple of ReliabilityBin
    """

    occupancy: float
    true_occupancy: float
    error_points: float
    covered: bool
    accuracy: float
    brier_score: float
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def occupancy_accuracy(
    probability: ArrayLike, present: ArrayLike, occupancy: float, low: float, high: float
) -> OccupancyAccuracy:
    """Compare probabilities (P,) and an occupancy with true presence (P,).

    The true occupancy is that of these very particles; the interval is for the
    sample that they are, so it should cover it more often than not at 95%.

    Raises
    ------
    ValueError
        If the shapes disagree.
    """
    p, there = np.asarray(probability, dtype=np.float64), np.asarray(present, dtype=bool)
    if p.shape != there.shape or p.ndim != 1 or not len(p):
        raise ValueError(f"probabilities {p.shape} and presence {there.shape} must agree")
    true = float(there.mean())
    bins = reliability(p, there)
    gap = sum(b.particles * abs(b.predicted - b.observed) for b in bins)
    return OccupancyAccuracy(
        occupancy=occupancy,
        true_occupancy=true,
        error_points=100.0 * abs(occupancy - true),
        covered=low <= true <= high,
        accuracy=float(((p > 0.5) == there).mean()),
        brier_score=float(((p - there) ** 2).mean()),
        calibration_error=gap / len(p),
        reliability=bins,
    )


def reliability(probability: ArrayLike, present: ArrayLike) -> tuple[ReliabilityBin, ...]:
    """Predicted against observed presence in bins of probability; empty bins are left out."""
    p, there = np.asarray(probability, dtype=np.float64), np.asarray(present, dtype=bool)
    place = np.clip(np.searchsorted(BINS, p, side="right") - 1, 0, len(BINS) - 2)
    return tuple(
        ReliabilityBin(
            low=BINS[number],
            high=BINS[number + 1],
            particles=int((place == number).sum()),
            predicted=float(p[place == number].mean()),
            observed=float(there[place == number].mean()),
        )
        for number in range(len(BINS) - 1)
        if (place == number).any()
    )
