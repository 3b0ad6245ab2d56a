"""The folder reconstruction/at_rest: maps, masks, FSC curves and the table of regions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.run_directory import write_csv
from cryoparts.reconstruction.fsc import shell_frequencies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.at_rest.composite import JudgedRegion
    from cryoparts.at_rest.regions import Quality
    from cryoparts.io.map_frame import MapFrame

    Map = NDArray[np.float32]

SUMMARY = "summary.json"
TABLE = "regions.csv"
CURVES = "fsc.csv"

OWN_FILES = re.compile(
    r"(composite|consensus|part_\d+)(_half[12]|_sharpened|_centred)?\.mrc"
    r"|mask(_core|_part_\d+)?(_centred)?\.mrc|local_resolution_\w+\.mrc|part_\d+\.(star|cs)"
)
"""What a folder may hold of an earlier time; the user's own files stay."""


def start_folder(folder: Path) -> None:
    """Make the folder, and take away what an earlier time has left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    for path in folder.iterdir():
        if OWN_FILES.fullmatch(path.name):
            path.unlink()


def write_maps(folder: Path, maps: Mapping[str, Map], pixel: float, frame: MapFrame) -> None:
    """Write maps by their names, in the coordinates of `frame`."""
    for name, density in maps.items():
        frame.write(folder / f"{name}.mrc", density, pixel)


def write_curves(path: Path, qualities: Mapping[str, Quality], box_size: int, pixel: float) -> None:
    """Write one row a shell: of each map and region the corrected FSC and what it is made of.

    Parameters
    ----------
    path : Path
    qualities : mapping
        By the name of the column, "part_1_consensus" for example.
    box_size : int
    pixel : float
        Å.
    """
    columns: dict[str, Any] = {}
    for name, quality in qualities.items():
        columns[name] = quality.curves.corrected
        columns[f"{name}_masked"] = quality.curves.masked
        columns[f"{name}_randomised"] = quality.curves.randomised
    rows = (
        [shell, f"{s:.7g}"]
        + [f"{v[shell]:.5f}" if np.isfinite(v[shell]) else "" for v in columns.values()]
        for shell, s in enumerate(shell_frequencies(box_size, pixel))
    )
    write_csv(path, ["shell", "frequency_per_angstrom", *columns], rows)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one row a region; None is left empty."""
    header = list(rows[0])
    write_csv(path, header, ([_cell(row[name]) for name in header] for row in rows))


def region_row(judged: JudgedRegion, local: tuple[float, float]) -> dict[str, Any]:
    """A region's row: resolution before and after, what is kept, B-factors.

    Parameters
    ----------
    judged : JudgedRegion
    local : (float, float)
        Median local resolution within the region, before and after, Å.
    """
    found = {
        f"{kind}_angstrom": None if kind not in judged.qualities
        else judged.qualities[kind].resolution_angstrom
        for kind in ("rigid", "deformable")
    }  # fmt: skip
    return {
        "region": judged.name,
        "name": judged.label,
        "consensus_angstrom": judged.before.resolution_angstrom,
        **found,
        "kept": judged.kept,
        "resolution_angstrom": judged.after.resolution_angstrom,
        "gained_shells": judged.gained_shells,
        "times_particles": judged.times_particles,
        "local_before_angstrom": local[0],
        "local_after_angstrom": local[1],
        "b_factor_before": judged.before.b_factor,
        "b_factor_after": judged.after.b_factor,
        "effective_particles": judged.effective_particles,
    }


def write_summary(folder: Path, content: Mapping[str, Any]) -> None:
    """Write summary.json, last: its presence means that the folder is whole."""
    write_text(folder / SUMMARY, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
