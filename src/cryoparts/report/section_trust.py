"""Whether the parts deserve belief: a section of the report, and its say in the verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cryoparts.figures.trust import found_again, half_set_errors, null_against_data
from cryoparts.io.run_directory import RunDirectory
from cryoparts.palette import part_colour, part_words
from cryoparts.report.environment import render
from cryoparts.report.wording import counted, listed, percent, readable
from cryoparts.validation.limits import Limits
from cryoparts.validation.null_amplitude import RULE
from cryoparts.validation.null_judgement import NullTest
from cryoparts.validation.trust_record import PartTrust, TrustRecord

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from cryoparts.figures.pictures import Picture
    from cryoparts.report.verdict import Verdict


@dataclass(frozen=True)
class TrustSection:
    """The section: HTML, empty where nothing was judged, its figures and reasons.

    Parameters
    ----------
    html : Markup
    pictures : tuple of Picture
    reasons : tuple of str
        What the verdict on the whole run has to say of it.
    serious : bool
        Whether they are warnings.
    headline : str
        In place of the page's, where no part was left; else empty.
    """

    html: Markup
    pictures: tuple[Picture, ...] = ()
    reasons: tuple[str, ...] = ()
    serious: bool = False
    headline: str = ""

    def added_to(self, verdict: Verdict) -> Verdict:
        """The verdict with what is known of the parts."""
        if not self.reasons:
            return verdict
        reasons = (*verdict.reasons, *self.reasons)
        if self.serious and verdict.trust == "good":
            return replace(
                verdict, trust="caution", title="Read the result with care.", reasons=reasons
            )
        if self.headline and verdict.trust == "good":
            return replace(verdict, title="No part stands the null test.", reasons=reasons)
        return replace(verdict, reasons=reasons)


def trust_section(folder: Path) -> TrustSection:
    """Tables and figures of everything in trust/; empty before `cryoparts parts` has run.

    Raises
    ------
    InputError
        If a file of the run is damaged.
    """
    record, tested = TrustRecord.load(folder / "trust"), NullTest.load(folder / "trust")
    if record is None and tested is None:
        return TrustSection(Markup())
    parts = () if record is None else record.parts
    again = {} if record is None else dict(record.summary.get("trained_again") or {})
    pictures = _pictures(parts, tested)
    html = render(
        "section_trust.html.j2",
        rows=[_row(part, number) for number, part in enumerate(parts, start=1)],
        trained_null=any(np.isfinite(part.trained_null_ratio) for part in parts),
        dropped=_dropped(tested),
        threshold=RULE,
        leaks=[] if record is None else record.summary.get("worrying_leaks", []),
        percent=percent,
        trainings=_trainings(again),
        pictures=pictures,
        folder=str(folder),
        limits=Limits.load(RunDirectory(folder).limits_path),
    )
    reasons, serious = _reasons(parts, tested)
    nothing_left = not parts and tested is not None and bool(tested.dropped)
    headline = (
        "No part changes: what the networks make of these particles, they make of particles "
        "in which nothing changes as well."
        if nothing_left
        else ""
    )
    return TrustSection(html, pictures, reasons, serious, headline)


def _pictures(parts: tuple[PartTrust, ...], tested: NullTest | None) -> tuple[Picture, ...]:
    drawn: list[Picture | None] = []
    judged = [] if tested is None else list(tested.parts)
    titles = [
        part_words(parts[one.part - 1].name) if one.part <= len(parts) else f"part {one.part}"
        for one in judged
    ]
    if tested is not None and not judged:
        judged, titles = list(tested.dropped), [f"group {one.part}" for one in tested.dropped]
    if judged:
        drawn.append(null_against_data(judged, titles))
    drawn += [found_again(parts), half_set_errors(parts)]
    return tuple(picture for picture in drawn if picture is not None)


@dataclass(frozen=True)
class _Row:
    """One part as text."""

    title: str
    colour: str
    null_ratio: str
    trained_null_ratio: str
    amplitude: str
    displacement: str
    found_again: str
    leakage: str
    verdict: str


def _row(part: PartTrust, number: int) -> _Row:
    leak = "–"
    if np.isfinite(part.leakage):
        leak = f"{percent(part.leakage)} of the {part.leakage_quantity}"
    return _Row(
        title=part_words(part.name),
        colour=part_colour(number),
        null_ratio="–" if np.isnan(part.null_ratio) else f"{part.null_ratio:.2f}",
        trained_null_ratio=_number(part.trained_null_ratio),
        amplitude=_pair(part.amplitude_change, part.null_amplitude_change, ""),
        displacement=_pair(
            part.displacement_rms_angstrom, part.null_displacement_rms_angstrom, " Å"
        ),
        found_again="–" if np.isnan(part.least_stable) else percent(part.least_stable),
        leakage=leak,
        verdict=part.verdict,
    )


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _pair(data: float, null: float, unit: str) -> str:
    if np.isnan(data) or (data == 0 and null == 0):
        return "–"
    return f"{data:.2f}{unit}, null {null:.2f}{unit}"


def _dropped(tested: NullTest | None) -> str:
    if tested is None or not tested.dropped:
        return ""
    ratios = [one.null_ratio for one in tested.dropped]
    low, high = min(ratios), max(ratios)
    between = f"{low:.2f}" if len(ratios) == 1 else f"{low:.2f} to {high:.2f}"
    return (
        f"{counted(len(ratios), 'group')} of Gaussians "
        f"({sum(tested.dropped_gaussians):,} Gaussians) "
        "did what null particles show as well and went back into the core "
        f"(null ratio {between}; `--keep-flagged` keeps such groups as parts)."
    )


def _trainings(again: dict[str, Any]) -> list[tuple[str, str]]:
    """(training, what it says) lines."""
    lines = []
    if halves := again.get("halves"):
        found = " and ".join(str(number) for number in halves["parts"])
        lines.append(("two half sets", f"{found} parts; {_in_words(halves)}"))
    for name, seed in (again.get("seeds") or {}).items():
        lines.append((name.replace("_", " "), f"{seed['parts']} parts; {_in_words(seed)}"))
    if null := again.get("null_training"):
        lines.append(
            (
                "trained on null particles",
                f"{null['parts_before_the_null_test']} groups before the null test; held-out FRC "
                f"{readable(null['held_out_frc_best'])}, neutral model "
                f"{readable(null['held_out_frc_neutral'])}",
            )
        )
    return lines


def _in_words(agreed: dict[str, Any]) -> str:
    said = [f"correlation {agreed['correlation']:.2f} over all Gaussians"]
    if agreed["amplitude_size"] > 0:
        error, size = agreed["amplitude_error"], agreed["amplitude_size"]
        said.append(f"amplitudes differ by {error:.2f} of a change of {size:.2f}")
    if agreed["displacement_size_angstrom"] > 0:
        error, size = agreed["displacement_error_angstrom"], agreed["displacement_size_angstrom"]
        said.append(f"positions differ by {error:.1f} Å of a change of {size:.1f} Å")
    return ", ".join(said)


def _reasons(parts: tuple[PartTrust, ...], tested: NullTest | None) -> tuple[tuple[str, ...], bool]:
    said, serious = [], False
    flagged = [part_words(part.name) for part in parts if part.flagged]
    unstable = [part_words(part.name) for part in parts if part.unstable]
    if flagged:
        serious = True
        said.append(
            f"Null particles, in which nothing changes, show {listed(flagged)} as well: "
            "take it for noise."
        )
    if unstable:
        serious = True
        said.append(
            f"Of {listed(unstable)} less than half is found again when the search is repeated."
        )
    if not parts and tested is not None and tested.dropped:
        said.append(
            f"{counted(len(tested.dropped), 'group')} of Gaussians seemed to change, but null "
            "particles showed the same, so there is no part."
        )
    elif parts and not serious and all(np.isfinite(part.null_ratio) for part in parts):
        worst = max(part.null_ratio for part in parts)
        said.append(
            "Every part changes more than in null particles, in which nothing does: null ratio "
            f"{worst:.2f} at most (0: noise shows nothing of it, 1: as much)."
        )
    return tuple(said), serious
