"""The table of the benchmark of maps at rest."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.run_directory import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAPS = ("consensus", "at_rest", "oracle")
HEADER = (
    "case", "region", "seeds", "consensus", "at rest", "oracle", "share of the way",
    "consensus, area", "at rest, area", "oracle, area", "share by area",
)  # fmt: skip


def rows_of(records: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a case and region: means over the seeds.

    Frequencies at which the FSC with the truth falls below 0.5, 1/Å; areas under that FSC,
    shells; shares are from consensus to oracle.
    """
    rows = []
    for case in dict.fromkeys(record["case"] for record in records):
        own = [record for record in records if record["case"] == case]
        for number, first in enumerate(own[0]["against_the_truth"]):
            several = [record["against_the_truth"][number] for record in own]
            crossing = [_mean(several, "frequency_per_angstrom", name) for name in MAPS]
            area = [_mean(several, "area_shells", name) for name in MAPS]
            rows.append(
                (
                    case,
                    first["region"],
                    str(len(own)),
                    *(f"{value:.4f}" for value in crossing),
                    _share(crossing, least=5e-4),
                    *(f"{value:.1f}" for value in area),
                    _share(area, least=0.5),
                )
            )
    return rows


def half_map_rows(records: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a case, seed and region of the run: what the half maps say, and what was kept."""
    rows = []
    for record in records:
        for one in record["half_maps"]:
            kinds = one["kinds"]
            rows.append(
                (
                    record["case"],
                    str(record["seed"]),
                    one["region"],
                    *(_angstrom(kinds.get(k)) for k in ("consensus", "rigid", "deformable")),
                    one["kept"],
                    f"{one['gained_shells']:+.1f}",
                )
            )
    return rows


def write_tables(output: Path, records: Sequence[dict[str, Any]], about: dict[str, Any]) -> Path:
    """Write maps.json, maps.csv and maps.md; return the last.

    Parameters
    ----------
    output : Path
    records : sequence of dict
    about : dict
        Machine, versions and options, kept in maps.json.
    """
    write_json(output / "maps.json", about | {"records": list(records)})
    rows = rows_of(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    write_text(output / "maps.csv", text.getvalue())
    halves = ("case", "seed", "region", "consensus", "rigid", "deformable", "kept", "gained")
    told = ", ".join(f"{name} {value}" for name, value in about.get("versions", {}).items())
    lines = [
        "# Maps at rest",
        "",
        "Map-model FSC within each true region: the frequency (1/Å) at which it falls below 0.5, "
        "and the area under it (shells). The oracle is told regions and motions.",
        "",
        *_markdown(HEADER, rows),
        "",
        "Resolution by the half maps' FSC (0.143, corrected for the mask), and what the composite "
        "takes; gained: shells of agreement.",
        "",
        *_markdown(halves, half_map_rows(records)),
        "",
        f"{about.get('processor', '')}, {about.get('cores', '?')} cores; {told}.",
        "",
    ]
    write_text(output / "maps.md", "\n".join(lines))
    return output / "maps.md"


def _mean(several: Sequence[dict[str, Any]], what: str, name: str) -> float:
    return float(np.mean([one[what][name] for one in several]))


def _share(values: Sequence[float], least: float) -> str:
    """How far the second is from the first to the third; nothing where these hardly differ."""
    start, found, end = values
    return f"{(found - start) / (end - start):.0%}" if end - start > least else ""


def _angstrom(kind: dict[str, Any] | None) -> str:
    if kind is None:
        return ""
    resolution = kind["resolution_angstrom"]
    return "none" if resolution is None else f"{resolution:.2f} Å"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
