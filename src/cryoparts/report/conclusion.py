"""What a run came to, in five sentences: the end of a run in a terminal, the head of its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.run_results import read_run
from cryoparts.report.verdict import findings, frc_line, headline, judge
from cryoparts.report.wording import counted, percent
from cryoparts.validation.trust_record import TrustRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.figures.run_results import RunResults
    from cryoparts.report.verdict import Finding, Trust, Verdict

NAMED = 3
"""Parts that are described; more would not fit a line."""

SURE: dict[Trust, str] = {"none": "not at all", "caution": "with care", "good": "well supported"}


@dataclass(frozen=True)
class Conclusion:
    """What was found, how sure that is, and what comes next.

    Parameters
    ----------
    found : str
        How many parts, and what the largest of them do.
    sure : str
        How far it may be believed, and by what numbers.
    report : Path
        The page.
    models : Path
        The ChimeraX script.
    next : str
        The command that is worth most now.
    """

    found: str
    sure: str
    report: Path
    models: Path
    next: str

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(what, sentence), five of them."""
        return (
            ("found", self.found),
            ("how sure", self.sure),
            ("report", f"{self.report} (any browser)"),
            ("ChimeraX", f"open {self.models}"),
            ("next", self.next),
        )


def conclude(folder: Path, results: RunResults | None = None) -> Conclusion:
    """What the steps that have run say together; nothing is computed.

    Parameters
    ----------
    folder : Path
    results : RunResults, optional
        What the folder holds, where it has been read.

    Raises
    ------
    InputError
        If it is no run folder, or a file in it is damaged.
    """
    results = results or read_run(folder)
    record = TrustRecord.load(folder / "trust")
    particles = None if results.latent is None else len(results.latent.z)
    verdict = judge(results, particles, [])
    return Conclusion(
        _found(results, verdict),
        _sure(results, verdict, record),
        folder / "report.html",
        folder / "chimerax.cxc",
        _next(folder, results, verdict, record),
    )


def _found(results: RunResults, verdict: Verdict) -> str:
    said = headline(results, verdict)
    if verdict.trust == "none" or results.parts is None or results.parts.n_parts < 2:
        return said  # of one part the headline says all
    parts = sorted(findings(results), key=lambda one: -one.mass_share)
    alike = len({one.kind for one in parts}) == 1
    told = [_named(one, alike=alike) for one in parts[:NAMED]]
    if len(parts) > NAMED:
        told.append(f"{len(parts) - NAMED} more")
    return f"{said.removesuffix('.')}: {', '.join(told)}."


def _named(one: Finding, *, alike: bool) -> str:
    """A part with its share of the mass and, unless all do the same, what it does."""
    does = "" if alike else f"{one.kind}, "
    return f"{one.title[:1].lower()}{one.title[1:]} ({does}{percent(one.mass_share)})"


def _sure(results: RunResults, verdict: Verdict, record: TrustRecord | None) -> str:
    said = [SURE[verdict.trust], frc_line(results.training).removesuffix(".")]
    parts = () if record is None else record.parts
    tested = [part for part in parts if part.tested]
    if parts and not tested:
        said.append("too few particles to test the parts by null particles")
    elif parts:
        good = sum(part.verdict == "holds" for part in tested)
        said.append(f"{good} of {counted(len(parts), 'part')} held against null particles")
    leaks = [] if record is None else record.summary.get("worrying_leaks", [])
    if leaks:
        said.append("the latent space also tells how the particles were imaged")
    return f"{said[0]}. {'; '.join(said[1:])}"


def _next(folder: Path, results: RunResults, verdict: Verdict, record: TrustRecord | None) -> str:
    if verdict.trust == "none":
        return "read in the report why nothing can be concluded; `cryoparts check` tests the input"
    if results.parts is None or not results.parts.n_parts:
        return f"more particles, or a finer --max-resolution; cryoparts dashboard {folder}"
    measured = () if record is None else record.parts
    again = any(np.isfinite(part.stability_halves) for part in measured)
    if not again:
        return f"train on each half as well: cryoparts trust {folder} --halves"
    return f"look at particles and parts: cryoparts dashboard {folder}"
