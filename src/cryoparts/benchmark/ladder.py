"""A ladder of nuisances as one table: a line a rung, segments by their mass."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Record = Mapping[str, Any]

HEADER = (
    "rung",
    "accuracy by segment, as decoded, %",
    "presence by the images, %",
    "oracle, %",
    "area under the curve by segment",
    "displacement error, Å",
    "parts as rigid bodies, Å",
    "oracle, Å",
    "no motion, Å",
    "correlation with the angle",
    "segments found",
    "parts",
    "ARI",
    "junk, area",
    "good thrown away, %",
    "turns, °",
    "shifts, Å",
)
"""Of poses: errors of the given ones, of refined ones, and of those that a solver finds who is told
what each particle looks like."""


def ladder_markdown(records: Sequence[Record]) -> str:
    """The table, means over the seeds; what no rung has is left out.

    Parameters
    ----------
    records : sequence of dict
        Of complete runs of one kind of benchmark, with their rungs.
    """
    lines = []
    for decoder in dict.fromkeys(record["decoder"] for record in records):
        own = [record for record in records if record["decoder"] == decoder]
        rungs = dict.fromkeys((r["data"].get("rung", ""), r["data"]["snr"]) for r in own)
        rows = [_row(rung, [r for r in own if _rung(r) == rung]) for rung in rungs]
        kept = [place for place in range(len(HEADER)) if any(row[place] != "–" for row in rows)]
        lines += [
            f"**{decoder}**, a rung a line; segments from the heaviest to the lightest"
            f"{_masses(own[0])}. Scores are over good particles in poses that are not lost. "
            "Of turns and shifts, root mean square errors of the given poses, of the refined ones, "
            "and (in brackets) of a solver's that is told what each particle looks like.",
            "",
            "| " + " | ".join(HEADER[place] for place in kept) + " |",
            "|---" * len(kept) + "|",
            *("| " + " | ".join(row[place] for place in kept) + " |" for row in rows),
            "",
        ]
    return "\n".join(lines)


def _rung(record: Record) -> tuple[str, float]:
    return record["data"].get("rung", ""), record["data"]["snr"]


def _masses(record: Record) -> str:
    shares = record["details"]["evaluation"].get("mass_share", {})
    found = ", ".join(f"{100 * shares[name]:.1f}" for name in _segments(record))
    return f" ({found}% of the mass)" if found else ""


def _segments(record: Record) -> list[str]:
    """Names of the segments that come and go, the heaviest first."""
    shares = record["details"]["evaluation"].get("mass_share", {})
    segments = record["details"]["evaluation"].get("composition", {}).get("segments", [])
    optional = [s["name"] for s in segments if s["area_under_curve"] is not None]
    return sorted(optional, key=lambda name: -shares[name])


def _row(rung: tuple[str, float], records: Sequence[Record]) -> list[str]:
    name, snr = rung
    details = [record["details"] for record in records]
    found = [
        {s["name"]: s for s in d["evaluation"].get("composition", {}).get("segments", [])}
        for d in details
    ]
    # each seed has segments of its own: the first of each is its heaviest
    ranked = [_segments(record) for record in records]

    def by_segment(value: Callable[[int, str], float | None], form: str) -> str:
        columns = zip(
            *([value(n, s) for s in names] for n, names in enumerate(ranked)), strict=True
        )
        known = [
            fmean(v for v in column if v is not None) if None not in column else None
            for column in columns
        ]
        if all(v is None for v in known):
            return "–"
        return ", ".join("–" if v is None else form.format(v) for v in known)

    def mean_of(key: str, form: str, method: str | None = None, times: float = 1.0) -> str:
        values = [
            r["values"] if method is None else r["references"].get(method, {}) for r in records
        ]
        known = [times * v[key] for v in values if key in v]
        return form.format(fmean(known)) if known else "–"

    def told(number: int, segment: str) -> float | None:
        share = ((details[number].get("oracle") or {}).get("by_segment") or {}).get(segment)
        return None if share is None else 100.0 * share

    def accuracy(number: int, segment: str) -> float | None:
        share = found[number][segment]["mean_accuracy"]
        return None if share is None else 100.0 * share

    def in_images(number: int, segment: str) -> float | None:
        judged = details[number]["evaluation"].get("occupancies", {}).get(segment)
        return None if judged is None else 100.0 * judged["accuracy"]

    return [
        f"{name or 'ideal'}, SNR {snr:g}",
        by_segment(accuracy, "{:.1f}"),
        by_segment(in_images, "{:.1f}"),
        by_segment(told, "{:.1f}"),
        by_segment(lambda n, s: found[n][s]["area_under_curve"], "{:.3f}"),
        mean_of("rmsd_angstrom", "{:.2f}"),
        mean_of("rigid_rmsd_angstrom", "{:.2f}"),
        mean_of("rmsd_angstrom", "{:.2f}", "oracle"),
        mean_of("rmsd_angstrom", "{:.2f}", "no motion"),
        mean_of("angle_correlation", "{:.3f}"),
        mean_of("recovered", "{:.1f}"),
        mean_of("parts", "{:.1f}"),
        mean_of("adjusted_rand_index", "{:.3f}"),
        mean_of("junk_area", "{:.3f}"),
        mean_of("good_thrown_away", "{:.1f}", times=100.0),
        _pose_errors(details, "turn_rms_degrees"),
        _pose_errors(details, "shift_rms_angstrom"),
    ]


def _pose_errors(details: Sequence[Mapping[str, Any]], key: str) -> str:
    """Root mean squares: given → refined (told)."""
    judged = [own["evaluation"].get("poses") for own in details]
    told = [(own.get("oracle") or {}).get("poses") for own in details]

    def mean(errors: Sequence[Mapping[str, float] | None]) -> str | None:
        known = [of[key] for of in errors if of is not None]
        return f"{fmean(known):.2f}" if known else None

    given, used = (mean([of and of[which] for of in judged]) for which in ("given", "used"))
    if given is None or used is None:
        return "–"
    oracle = mean(told)
    return f"{given} → {used}" + (f" ({oracle})" if oracle is not None else "")
