"""A ChimeraX script that opens a run's model and maps, coloured as in the report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.motion_arrows import ARROWS
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic import write_text
from cryoparts.io.mrc import read_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.palette import CORE_COLOUR, part_colour
from cryoparts.parts.part_labels import PartLabels

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "chimerax.cxc"

MAP_SIGMAS = 3.0
"""Contour level of the maps: this many standard deviations above the mean."""


@dataclass(frozen=True)
class StateMap:
    """A map to be opened."""

    part: int
    state: int
    path: Path
    level: float
    box_size: int
    voxel_size: float


def write_session_script(run: Path) -> Path:
    """Write ``chimerax.cxc`` into a run folder; ``open chimerax.cxc`` shows the result.

    Model 1 is the Gaussian model coloured by part, the others are the maps of
    the states, the first one shown. Paths are relative: ChimeraX runs a script
    in the script's own folder, so the run folder may be moved.

    Parameters
    ----------
    run : Path
        The run folder; parts and maps are taken as far as they exist.

    Returns
    -------
    Path
        The script.

    Raises
    ------
    InputError
        If `run` is no run folder or lacks gaussians.cif.
    """
    folder = RunDirectory.open(run)
    if not folder.gaussians_cif_path.is_file():
        raise InputError(
            str(folder.gaussians_cif_path),
            "is missing",
            "Run `cryoparts run` or `cryoparts model`.",
        )
    lines = ["# Written by cryoparts. In ChimeraX: open chimerax.cxc", "close", "set bgColor white"]
    lines += _model_commands(folder)
    for number, state_map in enumerate(_state_maps(folder), start=2):
        lines += _map_commands(state_map, number, run)
    arrows = folder.motion_path / ARROWS
    if arrows.is_file():
        lines.append(f"open {arrows.relative_to(run).as_posix()}")
    lines += ["lighting soft", "view"]
    script = run / SCRIPT
    write_text(script, "\n".join(lines) + "\n")
    return script


def _model_commands(folder: RunDirectory) -> list[str]:
    """Balls of about the Gaussians' spacing; the B-factor of the file is the part's number."""
    lines = [
        f"open {folder.gaussians_cif_path.name} id 1",
        "hide #1 cartoons",
        "show #1 atoms",
        "style #1 sphere",
        f"size #1 atomRadius {_ball_radius(folder):.2f}",
        f"color #1 {CORE_COLOUR}",
    ]
    if not (folder.parts_path / "labels.npy").is_file():
        return lines
    parts = PartLabels.load(folder.parts_path)
    for part in range(1, parts.n_parts + 1):
        lines += [
            f"color #1@@bfactor={part} {part_colour(part)}",
            f"name part_{part} #1@@bfactor={part}",
        ]
    return lines


def _ball_radius(folder: RunDirectory) -> float:
    if not folder.gaussians_path.is_file():
        return 3.0
    widths = GaussianModel.load(folder.gaussians_path).widths
    return float(np.clip(np.median(widths), 1.5, 12.0)) if len(widths) else 3.0


def _state_maps(folder: RunDirectory) -> list[StateMap]:
    """Maps of all states, by part and state."""
    found = []
    for path in sorted(folder.root.glob("reconstruction/part_*/state_*.mrc")):
        part = re.fullmatch(r"part_(\d+)", path.parent.name)
        state = re.fullmatch(r"state_(\d+)", path.stem)
        if part is None or state is None:
            continue
        density, voxel_size, _ = read_map(path)
        level = float(density.mean() + MAP_SIGMAS * density.std())
        found.append(StateMap(int(part[1]), int(state[1]), path, level, len(density), voxel_size))
    return sorted(found, key=lambda entry: (entry.part, entry.state))


def _map_commands(state_map: StateMap, number: int, run: Path) -> list[str]:
    """Open one map over the model, hidden unless it is the first."""
    colour = part_colour(state_map.part)
    # the model's coordinates are about the box centre, voxel D // 2
    corner = -(state_map.box_size // 2) * state_map.voxel_size
    shown = number == 2
    lines = [
        f"open {state_map.path.relative_to(run).as_posix()} id {number}",
        f"rename #{number} part_{state_map.part}_state_{state_map.state}",
        f"volume #{number} origin {corner:.4f},{corner:.4f},{corner:.4f} step 1 style surface "
        f"level {state_map.level:.6g} color {colour} transparency 0.6",
    ]
    return lines if shown else [*lines, f"hide #{number} models"]
