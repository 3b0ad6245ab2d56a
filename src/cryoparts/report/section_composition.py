"""Presence and occupancy of the parts: a section of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cryoparts.figures.coordination import occupancies
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import read_table
from cryoparts.occupancy.presence import change_words
from cryoparts.palette import part_words
from cryoparts.report.environment import render

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from cryoparts.figures.pictures import Picture

COLUMNS = (
    "part", "name", "change", "occupancy", "low", "high", "soft", "hard", "doubtful",
    "level_absent", "level_present", "spread_absent", "spread_present",
)  # fmt: skip
DASH = "–"


@dataclass(frozen=True)
class CompositionSection:
    """The section: HTML, empty where composition has not been judged, and its figures."""

    html: Markup
    pictures: tuple[Picture, ...] = ()


def composition_section(folder: Path) -> CompositionSection:
    """Occupancies with intervals, and particles in each state counted and by probability.

    Raises
    ------
    InputError
        If a file of the folder cannot be read.
    """
    place = RunDirectory(folder).composition_path
    if not (place / "occupancies.csv").is_file():
        return CompositionSection(Markup())
    table = read_table(place / "occupancies.csv", COLUMNS)
    picture = occupancies(table)
    html = render(
        "section_composition.html.j2",
        rows=[_row(row) for _, row in table.iterrows()],
        states=_states(place / "populations.csv"),
        picture=picture,
    )
    return CompositionSection(html, (picture,))


def _row(row: pd.Series) -> tuple[str, ...]:
    known = np.isfinite(row["occupancy"])
    optional = row["change"] == "present or absent"
    return (
        part_words(str(row["name"])),
        change_words(str(row["change"]), float(row["occupancy"])),
        f"{100 * row['occupancy']:.1f}%" if known else DASH,
        f"{100 * row['low']:.1f} to {100 * row['high']:.1f}%" if known else DASH,
        f"{row['soft']:,.0f}" if known else DASH,
        f"{row['hard']:,.0f}" if known else DASH,
        f"{row['doubtful']:.0f}" if optional else DASH,
        f"{max(row['level_absent'], 0.0):.2f} / {row['level_present']:.2f}"
        if optional
        else f"{row['level_present']:.2f} ± {row['spread_present']:.2f}",
    )


def _states(path: Path) -> list[tuple[str, str, str, str]]:
    if not path.is_file():
        return []
    table = read_table(path, ("part", "state", "hard", "soft"))
    return [
        (
            part_words(str(row["part"])),
            f"state {row['state']}",
            f"{row['hard']}",
            f"{row['soft']:.0f}" if np.isfinite(row["soft"]) else DASH,
        )
        for _, row in table.iterrows()
    ]
