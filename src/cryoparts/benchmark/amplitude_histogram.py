"""How amplitudes of present and of absent Gaussians are distributed, and how they part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoparts.inference.calibration import PRESENT_ABOVE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import FloatArray

BINS = 100
HIGHEST = 2.0
"""The decoder's relative amplitudes lie between 0 and 2; a rescaled one beyond counts as 2."""

BATCH = 1024
"""Particles decoded together: bounds the memory, changes no number."""


@dataclass(frozen=True)
class AmplitudeHistogram:
    """Counts of (particle, Gaussian) pairs by relative amplitude.

    Parameters
    ----------
    edges : float array, shape (BINS + 1,)
        From 0 to 2.
    present, absent : int arrays, shape (BINS,)
        Pairs in which the Gaussian's segment is there, and in which it is not.
    accuracy : float
        Share of the pairs judged rightly at `PRESENT_ABOVE`.
    """

    edges: FloatArray
    present: NDArray[np.int64]
    absent: NDArray[np.int64]
    accuracy: float

    @property
    def best(self) -> tuple[float, float]:
        """The threshold (a bin's edge) that judges most pairs rightly, and their share.

        No user could choose it so; it tells a wrong scale from a lack of information.
        """
        total = self.present.sum() + self.absent.sum()
        above = np.concatenate([np.cumsum(self.present[::-1])[::-1], [0]])
        below = np.concatenate([[0], np.cumsum(self.absent)])
        right = (above + below) / max(int(total), 1)
        chosen = int(np.argmax(right))
        return float(self.edges[chosen]), float(right[chosen])

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        threshold, best = self.best
        return {
            "highest": HIGHEST,
            "present": self.present.tolist(),
            "absent": self.absent.tolist(),
            "accuracy": self.accuracy,
            "best_threshold": threshold,
            "best_accuracy": best,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Inverse of `as_dict`."""
        present = np.array(plain["present"], dtype=np.int64)
        return cls(
            np.linspace(0.0, float(plain["highest"]), len(present) + 1),
            present,
            np.array(plain["absent"], dtype=np.int64),
            float(plain["accuracy"]),
        )


def amplitude_histogram(
    relative_amplitudes: ArrayLike,
    segment_of_gaussian: ArrayLike,
    presence: ArrayLike,
    chosen: ArrayLike,
    threshold: float = PRESENT_ABOVE,
) -> AmplitudeHistogram:
    """Count the chosen Gaussians' amplitudes over all particles.

    Parameters
    ----------
    relative_amplitudes : array, shape (P, N)
    segment_of_gaussian : int array, shape (N,)
    presence : bool array, shape (P, S)
        In the particles' order.
    chosen : bool array, shape (N,)
        Those of optional segments, for example.
    threshold : float
    """
    amplitudes = np.asarray(relative_amplitudes)
    columns = np.flatnonzero(np.asarray(chosen, dtype=bool))
    segment = np.asarray(segment_of_gaussian, dtype=np.int64)[columns]
    there = np.asarray(presence, dtype=bool)
    if len(amplitudes) != len(there):
        raise ValueError(f"{len(amplitudes)} rows of amplitudes, {len(there)} of presence")
    edges = np.linspace(0.0, HIGHEST, BINS + 1)
    counts = np.zeros((2, BINS), dtype=np.int64)
    right = 0
    for start in range(0, len(there), BATCH):
        values = amplitudes[start : start + BATCH, columns]
        truly = there[start : start + BATCH][:, segment]
        right += int(((values > threshold) == truly).sum())
        bins = np.clip((values * (BINS / HIGHEST)).astype(np.int64), 0, BINS - 1)
        for row, inside in enumerate((truly, ~truly)):
            counts[row] += np.bincount(bins[inside], minlength=BINS)
    total = len(there) * len(columns)
    return AmplitudeHistogram(edges, counts[0], counts[1], right / total if total else 0.0)
