"""How well presence and absence of the segments are recovered, Gaussian by Gaussian."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from cryoparts.inference.calibration import PRESENT_ABOVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class SegmentAccuracy:
    """One segment's share of the result.

    Parameters
    ----------
    name : str
    gaussians : int
        How many stand for it.
    fraction_present : float
        Of the particles, in truth.
    accuracy : float or None
        Share of (particle, Gaussian) pairs judged rightly; None without Gaussians.
    mean_accuracy : float or None
        Share of particles judged rightly by the mean amplitude of its Gaussians.
    amplitude_present, amplitude_absent : float or None
        Mean relative amplitude where it is there and where it is not.
    area_under_curve : float or None
        Probability that the mean amplitude is higher in a particle that has the segment
        than in one that has not; None where all have it or none.
    """

    name: str
    gaussians: int
    fraction_present: float
    accuracy: float | None
    mean_accuracy: float | None
    amplitude_present: float | None
    amplitude_absent: float | None
    area_under_curve: float | None


@dataclass(frozen=True)
class CompositionAccuracy:
    """Amplitude accuracy of a run; all accuracies are shares, 0 to 1.

    Parameters
    ----------
    optional_accuracy : float or None
        Over the Gaussians of segments that may be absent: the figure to compare.
    all_accuracy : float
        Over all Gaussians, the core's included.
    all_present_accuracy : float or None
        What calling everything present would give, over the optional segments.
    interior_accuracy, border_accuracy : float or None
        Over the optional segments' Gaussians away from and next to another segment.
    border_gaussians : int
        How many optional Gaussians are next to another segment.
    clear_accuracy, straddling_accuracy : float or None
        Over the optional segments' Gaussians that lie in one segment, and over
        those whose atoms belong to two.
    straddling_gaussians : int
        How many optional Gaussians straddle.
    segments : tuple of SegmentAccuracy
    """

    optional_accuracy: float | None
    all_accuracy: float
    all_present_accuracy: float | None
    interior_accuracy: float | None
    border_accuracy: float | None
    border_gaussians: int
    clear_accuracy: float | None
    straddling_accuracy: float | None
    straddling_gaussians: int
    segments: tuple[SegmentAccuracy, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def composition_accuracy(
    relative_amplitudes: ArrayLike,
    segment_of_gaussian: ArrayLike,
    presence: ArrayLike,
    core: int,
    *,
    border: ArrayLike | None = None,
    straddling: ArrayLike | None = None,
    segment_names: Sequence[str] | None = None,
    threshold: float = PRESENT_ABOVE,
) -> CompositionAccuracy:
    """Compare relative amplitudes with the true presence of the segments.

    Parameters
    ----------
    relative_amplitudes : array, shape (P, N)
        Each Gaussian's amplitude in each particle relative to the neutral model.
    segment_of_gaussian : int array, shape (N,)
        See `assign_gaussians`.
    presence : bool array, shape (P, S)
        In the particles' order (see `align_truth`).
    core : int
        The segment that is always present.
    border : bool array, shape (N,), optional
        Gaussians next to another segment.
    straddling : bool array, shape (N,), optional
        Gaussians whose atoms belong to two segments.
    segment_names : sequence of str, length S, optional
    threshold : float
        A Gaussian is present if its relative amplitude exceeds it.
    """
    amplitudes = np.asarray(relative_amplitudes)
    segment = np.asarray(segment_of_gaussian, dtype=np.int64)
    there = np.asarray(presence, dtype=bool)
    count, n_segments = there.shape
    if amplitudes.shape != (count, len(segment)):
        raise ValueError(
            f"amplitudes have shape {amplitudes.shape}, "
            f"{count} particles and {len(segment)} Gaussians need {(count, len(segment))}"
        )
    names = (
        [f"segment_{s + 1}" for s in range(n_segments)] if segment_names is None else segment_names
    )
    right = np.zeros(len(segment), dtype=np.int64)  # particles judged rightly, per Gaussian
    segments = []
    for number in range(n_segments):
        own = np.flatnonzero(segment == number)
        values = amplitudes[:, own]
        right[own] = ((values > threshold) == there[:, number, None]).sum(axis=0)
        segments.append(
            _segment_accuracy(str(names[number]), values, there[:, number], right[own], threshold)
        )
    optional = segment != core
    none = np.zeros(len(segment), dtype=bool)
    edge = none if border is None else np.asarray(border, dtype=bool)
    shared = none if straddling is None else np.asarray(straddling, dtype=bool)
    truly = there.mean(axis=0)[segment[optional]]
    return CompositionAccuracy(
        optional_accuracy=_share(right[optional], count),
        all_accuracy=float(right.mean() / count),
        all_present_accuracy=float(truly.mean()) if truly.size else None,
        interior_accuracy=_share(right[optional & ~edge], count),
        border_accuracy=_share(right[optional & edge], count),
        border_gaussians=int((optional & edge).sum()),
        clear_accuracy=_share(right[optional & ~shared], count),
        straddling_accuracy=_share(right[optional & shared], count),
        straddling_gaussians=int((optional & shared).sum()),
        segments=tuple(segments),
    )


def _segment_accuracy(
    name: str,
    values: NDArray[Any],
    there: NDArray[np.bool_],
    right: NDArray[np.int64],
    threshold: float,
) -> SegmentAccuracy:
    fraction = float(there.mean())
    if values.shape[1] == 0:
        return SegmentAccuracy(name, 0, fraction, None, None, None, None, None)
    mean = values.mean(axis=1, dtype=np.float64)
    return SegmentAccuracy(
        name=name,
        gaussians=values.shape[1],
        fraction_present=fraction,
        accuracy=_share(right, len(there)),
        mean_accuracy=float(((mean > threshold) == there).mean()),
        amplitude_present=float(mean[there].mean()) if there.any() else None,
        amplitude_absent=float(mean[~there].mean()) if not there.all() else None,
        area_under_curve=area_under_curve(mean, there),
    )


def area_under_curve(values: ArrayLike, positive: ArrayLike) -> float | None:
    """Area under the receiver operating curve; None where all (P,) are positive, or none is."""
    truly = np.asarray(positive, dtype=bool)
    if truly.all() or not truly.any():
        return None
    return float(roc_auc_score(truly, np.asarray(values)))


def _share(right: NDArray[np.int64], count: int) -> float | None:
    return float(right.mean() / count) if right.size else None
