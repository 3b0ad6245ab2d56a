"""Agreement of the parts and states that were found with the true ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import adjusted_rand_score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

RECOVERED_ABOVE = 0.5
"""A segment is recovered if a part overlaps it with a larger Jaccard index."""


@dataclass(frozen=True)
class SegmentMatch:
    """The part that fits one true segment best.

    Parameters
    ----------
    segment : str
    gaussians : int
        That truly belong to it.
    part : int or None
        Label of the best part (0 for the core only); None if no part touches it.
    jaccard : float
        Gaussians in both over Gaussians in either.
    recovered : bool
        Whether the index exceeds 0.5 (then the part fits no other segment so well).
    """

    segment: str
    gaussians: int
    part: int | None
    jaccard: float
    recovered: bool


@dataclass(frozen=True)
class PartAgreement:
    """Parts against true segments.

    Parameters
    ----------
    adjusted_rand_index : float
        Over all Gaussians; those in no part count as a part of their own.
    assigned_adjusted_rand_index : float or None
        Over the Gaussians that are in a part or in the core.
    unassigned_fraction : float
        Share of the Gaussians in no part.
    parts : int
        How many were found.
    segments : int
        How many optional (or moving) segments have Gaussians.
    recovered : int
        How many of them are recovered.
    matches : tuple of SegmentMatch
        One for each segment with Gaussians, the core included.
    """

    adjusted_rand_index: float
    assigned_adjusted_rand_index: float | None
    unassigned_fraction: float
    parts: int
    segments: int
    recovered: int
    matches: tuple[SegmentMatch, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)

    def part_of(self, segment: str) -> int | None:
        """Label of the part that recovers `segment`, None if none does."""
        for match in self.matches:
            if match.segment == segment and match.recovered:
                return match.part
        return None


def part_agreement(
    labels: ArrayLike,
    true_segment: ArrayLike,
    core: int,
    segment_names: Sequence[str] | None = None,
) -> PartAgreement:
    """Compare part labels with true segments, Gaussian by Gaussian.

    Parameters
    ----------
    labels : int array, shape (N,)
        -1 in no part, 0 the core, 1..K the parts.
    true_segment : int array, shape (N,)
        0..S-1.
    core : int
        The segment that is always present, or the region that stays still; only
        label 0 can match it, and no other segment can match label 0.
    segment_names : sequence of str, length S, optional
    """
    found, true = np.asarray(labels, dtype=np.int64), np.asarray(true_segment, dtype=np.int64)
    if found.shape != true.shape:
        raise ValueError(f"labels {found.shape} and segments {true.shape} must agree")
    assigned = found >= 0
    matches = []
    for number in np.unique(true):
        name = f"segment_{number + 1}" if segment_names is None else str(segment_names[number])
        candidates = np.array([0]) if number == core else np.unique(found[found > 0])
        matches.append((number, _best_match(name, true == number, found, candidates)))
    optional = [match for number, match in matches if number != core]
    return PartAgreement(
        adjusted_rand_index=float(adjusted_rand_score(true, found)),
        assigned_adjusted_rand_index=(
            float(adjusted_rand_score(true[assigned], found[assigned])) if assigned.any() else None
        ),
        unassigned_fraction=float(1.0 - assigned.mean()),
        parts=len(np.unique(found[found > 0])),
        segments=len(optional),
        recovered=sum(match.recovered for match in optional),
        matches=tuple(match for _, match in matches),
    )


def _best_match(
    name: str,
    inside: NDArray[np.bool_],
    found: NDArray[np.int64],
    candidates: NDArray[np.int64],
) -> SegmentMatch:
    best, part = 0.0, None
    for label in candidates:
        chosen = found == label
        index = float((chosen & inside).sum() / (chosen | inside).sum())
        if index > best:
            best, part = index, int(label)
    return SegmentMatch(name, int(inside.sum()), part, best, best > RECOVERED_ABOVE)


@dataclass(frozen=True)
class StateAgreement:
    """States of the particles against the presence of a segment.

    Parameters
    ----------
    adjusted_rand_index : float
    accuracy : float
        Share of particles judged rightly if each state is called by the majority
        of its particles.
    majority_accuracy : float
        What calling all particles alike would give.
    fraction_present : dict of int to float
        Of each state's particles.
    """

    adjusted_rand_index: float
    accuracy: float
    majority_accuracy: float
    fraction_present: dict[int, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def state_agreement(states: ArrayLike, present: ArrayLike) -> StateAgreement:
    """Compare states (P,) with the true presence (P,) of a segment."""
    state, there = np.asarray(states, dtype=np.int64), np.asarray(present, dtype=bool)
    if state.shape != there.shape or not len(state):
        raise ValueError(f"states {state.shape} and presence {there.shape} must agree")
    fraction = {int(s): float(there[state == s].mean()) for s in np.unique(state)}
    called = np.array([fraction[int(s)] > 0.5 for s in state])
    mean = float(there.mean())
    return StateAgreement(
        adjusted_rand_index=float(adjusted_rand_score(there, state)),
        accuracy=float((called == there).mean()),
        majority_accuracy=max(mean, 1.0 - mean),
        fraction_present=fraction,
    )


@dataclass(frozen=True)
class CoordinateAgreement:
    """A coordinate of the particles against a region's true angle.

    Parameters
    ----------
    pearson, spearman : float
        Correlation, absolute (a coordinate may run either way); 0 where one of
        the two is constant.
    """

    pearson: float
    spearman: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def coordinate_agreement(coordinate: ArrayLike, angles_degrees: ArrayLike) -> CoordinateAgreement:
    """Compare a coordinate (P,) with the true angles (P,) of a region."""
    found, true = np.asarray(coordinate, dtype=np.float64), np.asarray(angles_degrees)
    if found.shape != true.shape or found.ndim != 1:
        raise ValueError(f"coordinate {found.shape} and angles {true.shape} must agree")
    if len(found) < 2 or not np.ptp(found) or not np.ptp(true):
        return CoordinateAgreement(0.0, 0.0)
    return CoordinateAgreement(
        pearson=float(abs(pearsonr(found, true).statistic)),
        spearman=float(abs(spearmanr(found, true).statistic)),
    )
