"""Which parts change together, and the order of assembly: a section of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from cryoparts.figures.coordination import (
    assembly_map,
    coordination_graph,
    coordination_matrix,
)
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import read_json, read_table
from cryoparts.palette import part_words
from cryoparts.report.environment import render
from cryoparts.report.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from cryoparts.figures.pictures import Picture

COLUMNS = (
    "part_a", "part_b", "name_a", "name_b", "kind_a", "kind_b", "correlation", "low", "high",
    "mutual_information_bits", "p_permutation", "p_value", "p_adjusted", "smallest_effect",
    "verdict",
)  # fmt: skip
MOST_ROWS = 30
"""Pairs listed on the page; all are in coordination/pairs.csv."""

MOST_PATTERNS = 8
"""Combinations of parts listed on the page."""


@dataclass(frozen=True)
class CoordinationSection:
    """The section: HTML, empty where coordination has not been tested, and its figures."""

    html: Markup
    pictures: tuple[Picture, ...] = ()


def coordination_section(folder: Path) -> CoordinationSection:
    """The pairs, drawn as a matrix and as a graph, and the order of assembly.

    Raises
    ------
    InputError
        If a file of the folder cannot be read.
    """
    place = RunDirectory(folder).coordination_path
    if not (place / "pairs.csv").is_file():
        return CoordinationSection(Markup())
    pairs = read_table(place / "pairs.csv", COLUMNS)
    if not len(pairs):
        return CoordinationSection(Markup())
    pairs = pairs.assign(a=_numbers(pairs["part_a"]), b=_numbers(pairs["part_b"]))
    names = dict(zip(pairs["a"], pairs["name_a"], strict=True))
    names |= dict(zip(pairs["b"], pairs["name_b"], strict=True))
    matrix, graph = coordination_matrix(pairs, names), coordination_graph(pairs, names)
    assembly = read_json(place / "assembly.json")
    order = assembly_map(assembly) if assembly and assembly["nodes"] else None
    shown = pairs.reindex(pairs["p_adjusted"].sort_values(kind="stable").index)[:MOST_ROWS]
    compositions = (assembly or {}).get("compositions", [])[:MOST_PATTERNS]
    html = render(
        "section_coordination.html.j2",
        summary=_summary(pairs),
        rows=[_row(row) for _, row in shown.iterrows()],
        left_out=len(pairs) - len(shown),
        matrix=matrix,
        graph=graph,
        order=order,
        compositions=[
            (
                ", ".join(part_words(name) for name in one["present"]) or "none",
                f"{one['particles']:,}",
            )
            for one in compositions
        ],
    )
    return CoordinationSection(html, tuple(p for p in (matrix, graph, order) if p is not None))


def _numbers(column: pd.Series) -> list[int]:
    return [int(str(label).removeprefix("part_")) for label in column]


def _summary(pairs: pd.DataFrame) -> str:
    found = int((pairs["verdict"] == "coordinated").sum())
    weak = int((pairs["verdict"] == "too weak to tell").sum())
    text = f"{found} of {counted(len(pairs), 'pair')} of parts are coordinated."
    if weak:
        text += (
            f" {weak} more depend on each other by so little that it may have leaked from one "
            "part's measurement into the other's."
        )
    return text


def _row(row: pd.Series) -> tuple[str, ...]:
    kinds = row["kind_a"] if row["kind_a"] == row["kind_b"] else f"{row['kind_a']}, {row['kind_b']}"
    return (
        f"{part_words(str(row['name_a']))} and {part_words(str(row['name_b']))}",
        str(kinds),
        f"{row['correlation']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})",
        f"{row['mutual_information_bits']:.3f}",
        f"{row['p_permutation']:.2g}",
        f"{row['p_adjusted']:.2g}",
        str(row["verdict"]),
    )
