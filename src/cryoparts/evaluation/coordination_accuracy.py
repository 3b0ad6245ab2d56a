"""Coordination that was found against what the simulation put in."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.simulation.coupling import read_couplings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LEVEL = 0.05
"""Adjusted p-value below which the program calls a pair dependent."""


@dataclass(frozen=True)
class CoordinationAccuracy:
    """Pairs of parts that stand for true segments or regions.

    Parameters
    ----------
    pairs : int
        Compared.
    coupled, found_coupled : int
        Truly coupled (in one way or through others), and called so.
    independent, false_positives : int
        Truly independent, and called coordinated nevertheless.
    below_level_by_permutation : int
        Independent pairs whose permutation p-value is below 5%.
    correlation_error : float
        Root mean square difference of the correlation from that of the truth's
        values; of absolute values where the sign is a convention.
    requirements, found_requirements, wrong_requirements : int
        True requirements (implied ones too), those found in the right direction,
        and those found that are not true.
    """

    pairs: int
    coupled: int
    found_coupled: int
    independent: int
    false_positives: int
    below_level_by_permutation: int
    correlation_error: float
    requirements: int
    found_requirements: int
    wrong_requirements: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def coordination_accuracy(
    folder: Path,
    part_of: Mapping[str, int | None],
    values: NDArray[Any],
    names: Sequence[str],
    couplings: Sequence[str],
) -> CoordinationAccuracy | None:
    """Compare a coordination/ folder with the truth; None where no pair can be.

    Parameters
    ----------
    folder : Path
        With pairs.csv and, for composition, assembly.json.
    part_of : mapping
        The part that stands for each segment or region; None where none does.
    values : array, shape (P, S)
        True presence or angle of each.
    names : sequence of str, length S
    couplings : sequence of str
        As given to the simulation.
    """
    told = read_couplings(couplings, names)
    segment = {f"part_{part}": number for number, name in enumerate(names)
               if (part := part_of.get(name))}  # fmt: skip
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if {r["part_a"], r["part_b"]} <= set(segment)]
    if not rows:
        return None
    together = _together(len(names), told.requires, told.correlations)
    coupled, found, independent, false, below = 0, 0, 0, 0, 0
    errors = []
    for row in rows:
        a, b = segment[row["part_a"]], segment[row["part_b"]]
        called = row["verdict"] == "coordinated"
        if together[a, b]:
            coupled, found = coupled + 1, found + called
        else:
            independent, false = independent + 1, false + called
            below += float(row["p_permutation"]) < LEVEL
        true, measured = _correlation(values[:, a], values[:, b]), float(row["correlation"])
        signed = row["kind_a"] == row["kind_b"] == "presence"
        errors.append(measured - true if signed else abs(measured) - abs(true))
    true_order = _closure(told.requires)
    claimed = _claimed(folder / "assembly.json", segment)
    return CoordinationAccuracy(
        pairs=len(rows),
        coupled=coupled,
        found_coupled=found,
        independent=independent,
        false_positives=false,
        below_level_by_permutation=below,
        correlation_error=float(np.sqrt(np.mean(np.square(errors)))),
        requirements=len(true_order),
        found_requirements=len(true_order & claimed),
        wrong_requirements=len(claimed - true_order),
    )


def _together(
    count: int,
    requires: Sequence[tuple[int, int]],
    correlations: Sequence[tuple[int, int, float]],
) -> NDArray[np.bool_]:
    """Pairs (S, S) that depend on each other, directly or through others."""
    linked = np.eye(count, dtype=bool)
    for a, b in [*requires, *((a, b) for a, b, share in correlations if share != 0.0)]:
        linked[a, b] = linked[b, a] = True
    for _ in range(count):
        linked = linked @ linked
    return linked


def _closure(requires: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """All (later, earlier) that follow."""
    known = set(requires)
    while True:
        more = {(a, d) for a, b in known for c, d in known if b == c} - known
        if not more:
            return known
        known |= more


def _claimed(path: Path, segment: Mapping[str, int]) -> set[tuple[int, int]]:
    if not path.is_file():
        return set()
    found = json.loads(path.read_text(encoding="utf-8"))["requirements"]
    return {
        (segment[r["later"]], segment[r["earlier"]])
        for r in found
        if r["later"] in segment and r["earlier"] in segment
    }


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not np.ptp(x) or not np.ptp(y):
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
