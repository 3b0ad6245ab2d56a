"""`cryoparts parts`: group the Gaussians that change together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import progress_bars, say, table
from cryoparts.cli.options import Parting, RunFolder
from cryoparts.config import PartsConfig

if TYPE_CHECKING:
    from cryoparts.parts.edit_history import Downstream
    from cryoparts.pipeline.parts import PartsFound


def parts(run: RunFolder, *, options: Parting = PartsConfig()) -> None:
    """Find the parts of the molecule: Gaussians that come, go or move together.

    Label 0 is the core, which changes least; parts are numbered by size. Writes
    what each part is (size, chains, kind of change) to parts/description.csv.
    Edits that were made by hand are forgotten.
    """
    from cryoparts.pipeline.parts import find_parts
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        with progress_bars() as progress:
            found = find_parts(opened, options, progress)
        show_parts(found)


def show_parts(found: PartsFound) -> None:
    """Say what was found, and a table of the parts."""
    from cryoparts.parts.part_chains import in_brief
    from cryoparts.report.wording import counted

    if found.unconfirmed:
        say(
            f"{sum(found.unconfirmed):,} Gaussians fade by the networks, but not in the images "
            f"({counted(len(found.unconfirmed), 'small group')}): in no part "
            "(--keep-flagged keeps them)"
        )
    if found.null_test is not None and found.null_test.dropped:
        say(
            f"{len(found.null_test.dropped)} of {found.groups} groups of Gaussians do what null "
            "particles, in which nothing changes, show as well: put back into the core "
            "(--keep-flagged keeps them)"
        )
    if found.forgotten:
        say(f"forgotten, as parts are found anew: {'; '.join(found.forgotten)}")
    if found.downstream is not None:
        tell_downstream(found.downstream)
    if found.labels.n_parts == 0:
        say("no part changes beyond the noise")
        return
    rows = []
    for one in found.described:
        share = f"{100 * one.mass_share:.1f}%"
        change = one.change
        kind = "" if change is None else change.in_words()
        name = one.label if one.name == one.label else f"{one.label} {one.name}"
        rows.append([name, one.gaussians, share, kind, in_brief(one.chains, most=3)])
    count = found.labels.n_parts
    title = f"{count} parts" if count > 1 else "1 part"
    table(title, ["", "Gaussians", "mass", "change, as decoded", "chains"], rows)


def tell_downstream(told: Downstream) -> None:
    """Say which results went out of date with an edit, and which were kept."""
    if told.removed:
        say(f"out of date and removed: {', '.join(told.removed)}")
    if told.moved:
        say(f"renumbered: {', '.join(told.moved)}")
