"""Maps in which every part is at rest: a section of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from cryoparts.at_rest.at_rest_files import CURVES, SUMMARY
from cryoparts.figures.at_rest import BeforeAfter, rest_fsc, rest_slices, rest_surfaces
from cryoparts.figures.compact_volumes import VOXELS_ON_PAGE
from cryoparts.figures.map_scene import map_scene
from cryoparts.figures.maps import SURFACE_COLOUR
from cryoparts.figures.state_maps import StateMaps, contour_levels
from cryoparts.figures.viewpoints import viewpoint_of
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.mrc import read_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import numbers, read_json, read_table
from cryoparts.palette import part_words
from cryoparts.parts.part_labels import PartLabels
from cryoparts.report.environment import render

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture, Scene

SHARE_OF_PAGE = 8
"""Each of the two maps has one of so many shares of all voxels on the page."""

CURE = "Run `cryoparts reconstruct --at-rest` again."
DASH = "–"


@dataclass(frozen=True)
class AtRestSection:
    """The section: HTML, empty where the maps have not been made, and its figures."""

    html: Markup
    pictures: tuple[Picture, ...] = ()


def at_rest_section(folder: Path) -> AtRestSection:
    """Before and after of every region: table, FSC curves, surfaces and slices.

    Raises
    ------
    InputError
        If a file of the folder cannot be read.
    """
    run = RunDirectory(folder)
    place = run.at_rest_path
    summary = read_json(place / SUMMARY)
    if not summary:
        return AtRestSection(Markup())
    rows = list(summary["regions"])
    curves = read_table(place / CURVES, ["frequency_per_angstrom"], cure=CURE)
    frequency = numbers(curves, "frequency_per_angstrom", place / CURVES, cure=CURE)
    drawn = rest_fsc(
        frequency,
        {
            row["region"]: (
                _curve(curves, f"{row['region']}_consensus"),
                _curve(curves, f"{row['region']}_{row['kept']}"),
            )
            for row in rows
        },
    )
    still, scene = _maps(run, place, rows)
    pictures = [drawn, *still]
    html = render(
        "section_at_rest.html.j2",
        rows=[_row(row) for row in rows],
        whole=_row_of_whole(summary),
        better=[part_words(str(row["name"])) for row in rows if row["kept"] != "consensus"],
        apart=bool(summary["halves_trained_apart"]),
        pictures=pictures,
        scene=scene,
    )
    return AtRestSection(html, tuple(pictures))


def _maps(
    run: RunDirectory, place: Path, rows: list[dict[str, Any]]
) -> tuple[list[Picture], Scene | None]:
    """Surfaces and slices, seen from the region that has gained most; and a scene to turn."""
    names = ("consensus", "composite", "local_resolution_consensus", "local_resolution_composite")
    if not all((place / f"{name}.mrc").is_file() for name in (*names, "mask")):
        return [], None
    read = [read_map(place / f"{name}.mrc") for name in names]
    shown = BeforeAfter(
        (read[0].density, read[1].density),
        (read[2].density, read[3].density),
        read_map(place / "mask.mrc").density,
        read[0].voxel_size,
    )
    best = max(rows, key=lambda row: float(row["gained_shells"]))
    members = _members(run, str(best["region"]))
    positions = GaussianModel.load(run.gaussians_path).positions.astype(np.float64)
    seen = viewpoint_of(positions[members], positions[~members])
    surfaces = rest_surfaces(shown, seen)
    still = [
        surfaces,
        rest_slices(shown, positions[members].mean(axis=0), str(best["region"])),
    ]
    return still, _scene(shown, surfaces, seen.oblique)


def _scene(shown: BeforeAfter, poster: Picture, towards: NDArray[np.float64]) -> Scene | None:
    """Before and after, to be turned, contoured and sliced alike."""
    volumes = dict(enumerate(shown.maps, start=1))
    pair = StateMaps(0, shown.voxel_size, volumes, {}, contour_levels(volumes))
    nowhere = np.zeros(shown.maps[0].shape)
    titles = {1: "consensus", 2: "every part at rest"}
    return map_scene(
        pair, nowhere, SURFACE_COLOUR, poster, VOXELS_ON_PAGE // SHARE_OF_PAGE, towards, titles
    )


def _members(run: RunDirectory, region: str) -> NDArray[np.bool_]:
    """Gaussians of "core" or "part_k"; all where there is none."""
    labels = PartLabels.load(run.parts_path)
    number = int(region.removeprefix("part_")) if region.startswith("part_") else 0
    members = labels.members(number)
    return members if members.any() else np.ones(len(members), dtype=bool)


def _curve(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in table:
        return np.full(len(table), np.nan)
    return np.asarray(table[name].to_numpy(dtype=np.float64))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    own = {kind: row[f"{kind}_angstrom"] for kind in ("rigid", "deformable")}
    found = [value for value in own.values() if value is not None]
    return (
        part_words(str(row["name"])),
        _angstrom(row["consensus_angstrom"]),
        _angstrom(min(found) if found else None),
        "as in the consensus" if row["kept"] == "consensus" else f"{row['kept']}, at rest",
        _gained(row) if row["kept"] != "consensus" else DASH,
        f"{row['local_before_angstrom']:.1f} → {row['local_after_angstrom']:.1f} Å",
        f"{_number(row['b_factor_before'])} → {_number(row['b_factor_after'])}",
    )


def _gained(row: dict[str, Any]) -> str:
    """Shells, and as by how many times more particles; earlier versions did not say the latter."""
    times = row.get("times_particles")
    return f"{row['gained_shells']:+.1f}" + ("" if times is None else f", × {times:.1f}")


def _row_of_whole(summary: dict[str, Any]) -> tuple[str, ...]:
    b_factor = summary["b_factor_of_guinier_plot"]
    return (
        "whole molecule",
        _angstrom(summary["consensus_angstrom"]),
        _angstrom(summary["composite_angstrom"]),
        "composite",
        DASH,
        f"{summary['local_consensus_angstrom']:.1f} → {summary['local_composite_angstrom']:.1f} Å",
        f"{_number(b_factor['consensus'])} → {_number(b_factor['composite'])}",
    )


def _angstrom(value: float | None) -> str:
    return DASH if value is None else f"{value:.1f} Å"


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}"
