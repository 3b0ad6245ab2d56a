"""`cryoparts composition`: which parts each particle has, how often, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import progress_bars, say, table
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.occupancy.composition import Composition
    from cryoparts.occupancy.presence import Presence


def composition(run: RunFolder) -> None:
    """Measure each part's amplitude in every image, and from it presence and occupancy.

    Writes composition/occupancies.csv (a row a part, with 95% intervals),
    presence.csv (the probability that each particle has each part),
    amplitudes.csv (what was measured, with its error) and populations.csv (particles
    in each state of focus/, counted and by probability).
    """
    from cryoparts.pipeline.composition import judge_composition
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        with progress_bars() as progress:
            found = judge_composition(opened, progress)
        show_composition(found)


def show_composition(found: Composition | None) -> None:
    """A table of the parts' occupancies."""
    if found is None:
        say("no part changes, so there is no composition to judge")
        return
    from cryoparts.occupancy.presence import change_words

    rows = [
        [name, change_words(part.change, part.occupancy), *_occupancy(part), _doubt(found, number)]
        for number, (name, part) in enumerate(
            zip(found.part_names, found.parts, strict=True), start=1
        )
    ]
    table("Composition", ["", "change", "occupancy", "95% interval", "in doubt"], rows)


def _occupancy(part: Presence) -> list[str]:
    if part.occupancy != part.occupancy:
        return ["-", "-"]
    return [f"{100 * part.occupancy:.1f}%", f"{100 * part.low:.1f} to {100 * part.high:.1f}%"]


def _doubt(found: Composition, part: int) -> str:
    return str(found.doubtful(part)) if found.parts[part - 1].is_optional else "-"
