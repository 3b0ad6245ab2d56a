"""Each part's motion as arrows on the model, for ChimeraX (BILD format)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic import write_text
from cryoparts.io.run_directory import RunDirectory
from cryoparts.motion.motion_files import read_motion_summary
from cryoparts.motion.motion_paths import axis_ends, displacement_along
from cryoparts.palette import part_colour
from cryoparts.parts.part_labels import PartLabels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

ARROWS = "arrows.bild"

MOST_ARROWS = 40
"""Arrows of one part: more hide each other."""

SHORTEST_ANGSTROM = 0.5
"""Arrows shorter than this are not drawn."""


@dataclass(frozen=True)
class MovingParts:
    """The parts of a run whose motion is known.

    Parameters
    ----------
    model : GaussianModel
    labels : PartLabels
    parts : dict
        Entry of motions.json of each part.
    """

    model: GaussianModel
    labels: PartLabels
    parts: dict[int, dict[str, Any]]


def moving_parts(run: Path) -> MovingParts | None:
    """What motion/ says of each part; None where it has not been made.

    Raises
    ------
    InputError
        If a file of the run is missing or damaged.
    """
    folder = RunDirectory.open(run)
    summary = read_motion_summary(folder.motion_path)
    if summary is None:
        return None
    labels = PartLabels.load(folder.parts_path)
    known = {part: summary["parts"].get(f"part_{part}") for part in range(1, labels.n_parts + 1)}
    return MovingParts(
        GaussianModel.load(folder.gaussians_path),
        labels,
        {part: content for part, content in known.items() if content is not None},
    )


def write_motion_arrows(run: Path) -> Path | None:
    """Write ``motion/arrows.bild``: each part's axis, and where its Gaussians go.

    The long arrow is the mean axis, right-handed: seen against it, positive angles
    turn counter-clockwise. Short arrows lead from the 5% to the 95% quantile of
    the angles over the particles, along the part's mean screw.

    Parameters
    ----------
    run : Path
        The run folder.

    Returns
    -------
    Path or None
        None where motion/ has not been made.

    Raises
    ------
    InputError
        If a file of the run is missing or damaged.
    """
    moving = moving_parts(run)
    if moving is None:
        return None
    lines = [".comment motion of the parts, written by cryoparts; Angstrom about the box centre"]
    for part, content in moving.parts.items():
        positions = moving.model.positions[moving.labels.members(part)]
        lines += _part_lines(part, content, positions)
    path = RunDirectory.open(run).motion_path / ARROWS
    write_text(path, "\n".join(lines) + "\n")
    return path


def _part_lines(part: int, content: dict[str, Any], positions: NDArray[np.floating]) -> list[str]:
    colour = part_colour(part)
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    lines = [f".comment part_{part}", f".color {red:.3f} {green:.3f} {blue:.3f}"]
    points = np.asarray(positions, dtype=np.float64)
    start, end = axis_ends(points, content["screw"])
    if content["screw"]["turns"]:
        lines.append(_arrow(start, end, 0.8))
    chosen = points[np.unique(np.linspace(0, len(points) - 1, MOST_ARROWS).astype(int))]
    first, last = displacement_along(chosen, content)
    long_enough = np.linalg.norm(last - first, axis=1) >= SHORTEST_ANGSTROM
    return lines + [
        _arrow(a, b, 0.4) for a, b in zip(first[long_enough], last[long_enough], strict=True)
    ]


def _arrow(start: FloatArray, end: FloatArray, radius: float) -> str:
    """An arrow whose head takes its last quarter, at most eight radii."""
    length = float(np.linalg.norm(end - start))
    shaft = max(0.75, 1 - 8 * radius / max(length, 1e-9))
    numbers = " ".join(f"{value:.3f}" for value in (*start, *end))
    return f".arrow {numbers} {radius:.2f} {2.5 * radius:.2f} {shaft:.3f}"
