"""ChimeraX scripts: a run beside what is open, coloured as in the report, and a movie of it."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.motion_arrows import ARROWS
from cryoparts.export.motion_models import POINTS as MOTION_MODELS
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic import write_text
from cryoparts.io.mrc import read_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.palette import CORE_COLOUR, GAINED_COLOUR, LOST_COLOUR, part_colour
from cryoparts.parts.part_labels import PartLabels

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "chimerax.cxc"
MOVIE_SCRIPT = "chimerax_movie.cxc"

MAP_SIGMAS = 3.0
"""Contour level of the maps: this many standard deviations above the mean."""

FIRST_NUMBER, NUMBERS = 1000, 8000
"""Numbers of models that are far from those of a session; a run has one of them."""

MOVIE_FRAMES, MOVIE_RATE = 60, 25
"""Frames that each change takes, and frames a second."""


@dataclass(frozen=True)
class OpenedMap:
    """A map that the script opens.

    Parameters
    ----------
    name : str
    path : Path
    levels : tuple of (level, colour)
        One surface each.
    corner : float
        Å, of the first voxel, along each axis.
    """

    name: str
    path: Path
    levels: tuple[tuple[float, str], ...]
    corner: float


def write_session_script(run: Path) -> Path:
    """Write ``chimerax.cxc`` and ``chimerax_movie.cxc``; ``open chimerax.cxc`` shows the result.

    What is open in ChimeraX stays: all models of the run lie below one number of
    their own, which only an earlier opening of the same run gives up. Model .1 is the
    Gaussian model, each part a chain in its colour; then come the maps of the states and
    their differences, the motions, and the axes. Paths are relative: ChimeraX runs a
    script in the script's own folder, so the run folder may be moved.

    Parameters
    ----------
    run : Path
        The run folder; parts, maps and motions are taken as far as they exist.

    Returns
    -------
    Path
        The script; the one that records a movie lies beside it.

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
    number = _number(run)
    lines = [
        f"# Written by cryoparts. In ChimeraX: open {SCRIPT}; what is open there stays.",
        f"# To record a movie: open {MOVIE_SCRIPT}",
        f"close #{number}",
        *_model_commands(folder, f"#{number}.1"),
    ]
    maps, motions = _maps(folder), _motions(folder)
    for place, one in enumerate(maps, start=2):
        lines += _map_commands(one, f"#{number}.{place}", run, shown=place == 2)
    first_motion = 2 + len(maps)
    for place, path in enumerate(motions, start=first_motion):
        lines += _motion_commands(folder, path, f"#{number}.{place}")
    arrows = folder.motion_path / ARROWS
    if arrows.is_file():
        lines.append(f"open {arrows.relative_to(run).as_posix()} id {number}.{_end(maps, motions)}")
    lines += [f'rename #{number} "cryoparts {_title(run)}"', "lighting soft", f"view #{number}"]
    write_text(run / SCRIPT, "\n".join(lines) + "\n")
    write_text(run / MOVIE_SCRIPT, "\n".join(_movie(run, number, maps, motions)) + "\n")
    return run / SCRIPT


def _end(maps: list[OpenedMap], motions: list[Path]) -> int:
    return 2 + len(maps) + len(motions)


def _title(run: Path) -> str:
    return re.sub(r"[^\w .+-]", "_", run.resolve().name)


def _number(run: Path) -> int:
    """The same for a run whenever it is asked for, and hardly that of another run."""
    return FIRST_NUMBER + zlib.crc32(_title(run).encode()) % NUMBERS


def _model_commands(folder: RunDirectory, model: str) -> list[str]:
    """Balls of about the Gaussians' spacing; parts are the chains of the file."""
    run = re.sub(r"\W", "_", _title(folder.root))  # names of selections have no other characters
    return [
        f"open {folder.gaussians_cif_path.name} id {model[1:]}",
        *_ball_commands(folder, model),
        *(
            f"name cryoparts_{run}_part_{part} {model}/part_{part}"
            for part in range(1, _part_count(folder) + 1)
        ),
    ]


def _ball_commands(folder: RunDirectory, model: str) -> list[str]:
    """How Gaussians are drawn, each part in its colour."""
    return [
        f"hide {model} cartoons",
        f"show {model} atoms",
        f"style {model} sphere",
        f"size {model} atomRadius {_ball_radius(folder):.2f}",
        f"color {model} {CORE_COLOUR}",
        *(
            f"color {model}/part_{part} {part_colour(part)}"
            for part in range(1, _part_count(folder) + 1)
        ),
    ]


def _part_count(folder: RunDirectory) -> int:
    if not (folder.parts_path / "labels.npy").is_file():
        return 0
    return PartLabels.load(folder.parts_path).n_parts


def _ball_radius(folder: RunDirectory) -> float:
    if not folder.gaussians_path.is_file():
        return 3.0
    widths = GaussianModel.load(folder.gaussians_path).widths
    return float(np.clip(np.median(widths), 1.5, 12.0)) if len(widths) else 3.0


def _maps(folder: RunDirectory) -> list[OpenedMap]:
    """Maps of the states of every part, and of what differs between them beyond the noise."""
    found: list[tuple[int, int, OpenedMap]] = []
    for path in sorted(folder.root.glob("reconstruction/part_*/*.mrc")):
        part = re.fullmatch(r"part_(\d+)", path.parent.name)
        state = re.fullmatch(r"state_(\d+)", path.stem)
        difference = re.fullmatch(r"difference_(\d+)_minus_(\d+)_significant", path.stem)
        if part is None or (state is None and difference is None):
            continue
        density, voxel_size, _ = read_map(path)
        corner = -(len(density) // 2) * voxel_size  # coordinates are about voxel D // 2
        number = int(part[1])
        if state is not None:
            level = float(density.mean() + MAP_SIGMAS * density.std())
            levels: tuple[tuple[float, str], ...] = ((level, part_colour(number)),)
            name, rank = f"part_{number}_state_{state[1]}", int(state[1])
        elif difference is not None and density.any():
            level = 0.5 * float(np.quantile(np.abs(density[density != 0]), 0.5))
            levels = ((level, GAINED_COLOUR), (-level, LOST_COLOUR))
            name = f"part_{number}_state_{difference[1]}_minus_{difference[2]}"
            rank = 100 * int(difference[1]) + int(difference[2])
        else:
            continue
        found.append((number, rank, OpenedMap(name, path, levels, corner)))
    return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]


def _motions(folder: RunDirectory) -> list[Path]:
    """Models of several coordinate sets: parts moved along their motion, and trajectories."""
    moved = sorted(folder.motion_path.glob("part_*.cif"))
    return [*moved, *sorted(folder.root.glob("focus/part_*/trajectory/trajectory.cif"))]


def _map_commands(one: OpenedMap, model: str, run: Path, *, shown: bool) -> list[str]:
    """Open one map over the model, hidden unless it is the first."""
    surfaces = " ".join(f"level {level:.6g} color {colour}" for level, colour in one.levels)
    lines = [
        f"open {one.path.relative_to(run).as_posix()} id {model[1:]}",
        f"rename {model} {one.name}",
        f"volume {model} origin {one.corner:.4f},{one.corner:.4f},{one.corner:.4f} step 1 "
        f"style surface {surfaces} transparency 0.6",
    ]
    return lines if shown else [*lines, f"hide {model} models"]


def _motion_commands(folder: RunDirectory, path: Path, model: str) -> list[str]:
    """Open coordinate sets, hidden; ``coordset`` plays them."""
    name = path.stem if path.parent == folder.motion_path else path.parent.parent.name
    return [
        f"open {path.relative_to(folder.root).as_posix()} id {model[1:]} coordsets true",
        f"rename {model} {name}_motion",
        *_ball_commands(folder, model),
        f"hide {model} models",
        f"# play it: show {model} models; coordset {model} 1,",
    ]


def _movie(run: Path, number: int, maps: list[OpenedMap], motions: list[Path]) -> list[str]:
    """Turn the first map, pass from state to state, then play the motions."""
    states = [
        f"#{number}.{place}"
        for place, one in enumerate(maps, start=2)
        if re.fullmatch(r"part_\d+_state_\d+", one.name)
    ]
    first_motion = 2 + len(maps)
    played = [f"#{number}.{place}" for place in range(first_motion, first_motion + len(motions))]
    turn = [f"turn y {360 / (2 * MOVIE_FRAMES):g} {2 * MOVIE_FRAMES}", f"wait {2 * MOVIE_FRAMES}"]
    lines = [f"open {SCRIPT}", "movie record", *turn]
    for before, after in zip([f"#{number}.2", *states], states, strict=False):
        hide = [f"hide {before} models"] if before != after else []
        lines += [*hide, f"show {after} models", f"wait {MOVIE_FRAMES}"]
    if states:
        lines.append(f"hide {states[-1]} models")
    for model in played:
        lines += [
            f"hide #{number}.1 models",
            f"show {model} models",
            f"coordset {model} 1, pauseFrames {MOVIE_FRAMES // MOTION_MODELS}",
            f"wait {MOVIE_FRAMES}",
            f"hide {model} models",
        ]
    lines.append(f"show #{number}.1 models")
    return [*lines, f"movie encode {_title(run).replace(' ', '_')}.mp4 framerate {MOVIE_RATE}"]
