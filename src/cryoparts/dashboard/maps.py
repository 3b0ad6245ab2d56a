"""The maps of a run, as small as the page needs them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryoparts.dashboard.curve import frame
from cryoparts.dashboard.particle import placed_gaussians, require_particle
from cryoparts.errors import InputError
from cryoparts.figures.compact_volumes import coded, grid_around
from cryoparts.figures.state_maps import contour_level, difference_level
from cryoparts.gaussians.density import render
from cryoparts.io.mrc import read_map
from cryoparts.io.tables import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.dashboard.run_folders import OpenRun
    from cryoparts.dashboard.run_view import RunView
    from cryoparts.gaussians.model import GaussianModel

MOST_VOXELS = 400_000
"""Of a map on its way to the page: a byte each, before it is packed."""

SEEN_SHARE = 0.3
"""Of the contour level: the least that the slider reaches."""

MOST_LEVELS = 4.0
"""Contour levels that the slider reaches: densities beyond are told apart no more."""

SELECTION_MAPS = {"selected": "chosen particles", "rest": "all others"}

AT_REST_MAPS = {"composite": "every part in its own poses", "consensus": "all in one pose"}

DIFFERENCE = re.compile(r"difference_(\d+)_minus_(\d+)")

MODEL_VOXELS = 64
"""Side of the grid that Gaussians are drawn on."""


class RunMap(NamedTuple):
    """A map file of a run: what the page calls it, and what it is."""

    key: str
    group: str
    title: str
    path: Path


def run_maps(view: RunView) -> list[RunMap]:
    """The maps that have been reconstructed so far."""
    folder, found = view.run.root / "reconstruction", []
    for path in sorted(folder.rglob("*.mrc"), key=_by_number):
        where, name = path.relative_to(folder).parent.as_posix(), path.stem
        if re.fullmatch(r"part_\d+", where) and re.fullmatch(r"state_\d+", name):
            found.append((view.title(where), name.replace("_", " "), path))
        elif re.fullmatch(r"part_\d+/trajectory", where) and re.fullmatch(r"frame_\d+", name):
            part = view.title(path.parents[1].name)
            found.append((f"{part} along its coordinate", name.replace("_", " "), path))
        elif re.fullmatch(r"part_\d+", where) and (pair := DIFFERENCE.fullmatch(name)):
            found.append((view.title(where), f"state {pair[1]} − state {pair[2]}", path))
        elif where == "at_rest" and name in AT_REST_MAPS:
            found.append(("at rest", AT_REST_MAPS[name], path))
        elif where.startswith("selection_") and name in SELECTION_MAPS:
            group = f"selection {where.removeprefix('selection_')}"
            found.append((group, SELECTION_MAPS[name], path))
    return [
        RunMap(path.relative_to(folder).as_posix(), group, title, path)
        for group, title, path in found
    ]


def listed_maps(view: RunView) -> list[dict[str, str]]:
    """The same as plain values."""
    return [{"key": m.key, "group": m.group, "title": m.title} for m in run_maps(view)]


def volume(run: OpenRun, key: str) -> dict[str, Any]:
    """A map of the run by its key.

    Raises
    ------
    InputError
        If there is no such map, or it cannot be read.
    """
    if key == "model":
        return _of_model(run, run.view.model)
    known = {entry.key: entry.path for entry in run_maps(run.view)}
    if key not in known:
        raise InputError(f"map {key}", "there is none of this name", "Reload the page.")
    found = read_map(known[key])
    if pair := DIFFERENCE.fullmatch(known[key].stem):
        other = read_map(known[key].with_name(f"state_{pair[2]}.mrc"))
        return _compact_difference(found.density, found.voxel_size, contour_level(other.density))
    return _compact(found.density, found.voxel_size, contour_level(found.density))


def volume_along(run: OpenRun, part: int, point: int, *, reconstructed: bool) -> dict[str, Any]:
    """The map at a place of the slider: reconstructed there, or the density of the model.

    Raises
    ------
    InputError
        If the part has no curve, or the maps are wanted and have not been made.
    """
    placed = frame(run, part, point)
    if not reconstructed:
        return _of_placed(run, placed)
    folder = run.directory.trajectory_maps_path(part)
    run.directory.require(
        folder / "summary.json",
        f"cryoparts reconstruct {run.directory.root} --part part_{part} --along trajectory",
    )
    frames = (read_json(folder / "summary.json") or {}).get("frames", [])
    coordinate = run.curves[part][0].coordinate[point]
    nearest = min(frames, key=lambda f: abs(float(f["mean_coordinate"]) - coordinate))
    return volume(run, f"part_{part}/trajectory/frame_{int(nearest['frame'])}.mrc")


def volume_of_particle(run: OpenRun, row: int) -> dict[str, Any]:
    """The density of a particle's decoded model.

    Raises
    ------
    InputError
        If there is no such particle, or nothing has been trained.
    """
    require_particle(run, row)
    with run.computing:
        placed = placed_gaussians(run, np.array([row]))[0]
    return _of_placed(run, placed)


def _of_placed(run: OpenRun, placed: NDArray[np.float32]) -> dict[str, Any]:
    neutral = run.view.model
    moved = replace(
        neutral,
        positions=placed[:, :3].astype(neutral.positions.dtype),
        amplitudes=(neutral.amplitudes * placed[:, 3]).astype(neutral.amplitudes.dtype),
    )
    return _of_model(run, moved)


def _of_model(run: OpenRun, model: GaussianModel) -> dict[str, Any]:
    """The density of Gaussians, drawn at one level whatever they do."""
    voxel, size = _model_grid(run.view.model)
    return _compact(
        render(model, size, voxel), voxel, contour_level(render(run.view.model, size, voxel))
    )


def _model_grid(neutral: GaussianModel) -> tuple[float, int]:
    """Voxel (Å) and side of a grid that holds the model and what it may move to."""
    reach = 1.25 * float(np.abs(neutral.positions).max()) + 3 * float(neutral.widths.max())
    return 2 * reach / MODEL_VOXELS, MODEL_VOXELS


def _compact(density: NDArray[np.float32], voxel_size: float, level: float) -> dict[str, Any]:
    least = SEEN_SHARE * level if level > 0 else float(np.median(density))
    most = max(min(MOST_LEVELS * level, float(density.max())), least + 1e-12)
    grid = grid_around(density > least, MOST_VOXELS)
    centre = density.shape[0] // 2
    return {
        "frame": grid.frame(voxel_size, centre),
        "level": level,
        **coded(grid.sampled(density), least, most),
    }


def _compact_difference(
    density: NDArray[np.float32], voxel_size: float, map_level: float
) -> dict[str, Any]:
    """More density and less, each beyond a level that noise does not reach."""
    level = difference_level(density, map_level, None)
    grid = grid_around(np.abs(density) > SEEN_SHARE * level, MOST_VOXELS)
    return {
        "frame": grid.frame(voxel_size, density.shape[0] // 2),
        "level": level,
        "signed": True,
        **coded(grid.sampled(density), -MOST_LEVELS * level, MOST_LEVELS * level),
    }


def _by_number(path: Path) -> tuple[object, ...]:
    """Parts and states in the order of their numbers."""
    return tuple(
        int(word) if word.isdecimal() else word
        for name in (path.parent.as_posix(), path.stem)
        for word in name.replace("/", "_").split("_")
    )
