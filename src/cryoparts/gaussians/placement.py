"""Where a model's coordinates have their origin: the corner or the centre of the box."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.conventions import box_centre
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

logger = logging.getLogger(__name__)

Origin = Literal["auto", "corner", "centre"]

LARGEST_FRACTION_OUTSIDE = 0.01
"""Share of the mass that may stick out of the box: a loose tail, not a shifted molecule."""


@dataclass(frozen=True)
class Placement:
    """Coordinates about the box centre and where they were taken from.

    Parameters
    ----------
    positions : float64 array, shape (A, 3)
        (x, y, z) about the box centre, Å.
    origin : "corner" or "centre"
        What the coordinates of the file were found to be relative to.
    fraction_inside : float
        Share of the mass inside the box.
    """

    positions: FloatArray
    origin: Literal["corner", "centre"]
    fraction_inside: float


def place_in_box(
    positions: NDArray[np.floating],
    masses: NDArray[np.floating],
    box_size: int,
    pixel_size: float,
    *,
    origin: Origin = "auto",
    where: str = "the model",
) -> Placement:
    """Refer a model's coordinates to the box centre.

    Models fitted into maps mostly have the corner of the box at 0 ("corner":
    ``(D // 2) * pixel_size`` is subtracted), models prepared for simulation
    often the centre ("centre": nothing is). "auto" takes the one that leaves
    more of the mass inside the box; if both leave it all inside, the one whose
    centre of mass is nearer the box centre.

    Parameters
    ----------
    positions : array, shape (A, 3)
        (x, y, z) in the file's frame, Å.
    masses : array, shape (A,)
    box_size : int
        Side of the box, pixels.
    pixel_size : float
        Å.
    origin : {"auto", "corner", "centre"}
    where : str
        The file's name, for the message.

    Raises
    ------
    InputError
        If more than 1% of the mass lies outside the box under every origin allowed.
    """
    if origin not in ("auto", "corner", "centre"):
        raise InputError(
            "--model-origin",
            f"must be auto, corner or centre, got {origin!r}",
            "Use corner where the box corner is at 0, centre where the box centre is.",
        )
    raw = np.asarray(positions, dtype=np.float64)
    mass = np.asarray(masses, dtype=np.float64)
    shifts = {"corner": box_centre(box_size) * pixel_size, "centre": 0.0}
    candidates: list[Placement] = []
    for name in ("corner", "centre"):
        if origin in ("auto", name):
            placed = raw - shifts[name]
            inside = fraction_inside_box(placed, mass, box_size, pixel_size)
            candidates.append(Placement(placed, name, inside))

    def badness(candidate: Placement) -> tuple[float, float]:
        centroid = np.average(candidate.positions, axis=0, weights=mass)
        return -round(candidate.fraction_inside, 3), float(np.linalg.norm(centroid))

    best = min(candidates, key=badness)
    if best.fraction_inside < 1.0 - LARGEST_FRACTION_OUTSIDE:
        raise _outside_box(raw, best, box_size, pixel_size, origin, where)
    logger.info(
        "%s: coordinates taken from the box %s; %.2f%% of the mass is inside the box",
        where,
        best.origin,
        100.0 * best.fraction_inside,
    )
    return best


def fraction_inside_box(
    positions: NDArray[np.floating],
    masses: NDArray[np.floating],
    box_size: int,
    pixel_size: float,
) -> float:
    """Share of the mass whose position about the box centre falls on a voxel of the box."""
    lowest, highest = _box_limits(box_size, pixel_size)
    inside = ((positions >= lowest) & (positions <= highest)).all(axis=1)
    return float(masses[inside].sum() / masses.sum())


def require_inside_box(
    positions: NDArray[np.floating],
    masses: NDArray[np.floating],
    box_size: int,
    pixel_size: float,
    where: str,
) -> None:
    """Refuse a model (about the box centre) of which over 1% lies outside the particles' box.

    Raises
    ------
    InputError
    """
    inside = fraction_inside_box(positions, masses, box_size, pixel_size)
    if inside < 1.0 - LARGEST_FRACTION_OUTSIDE:
        placed = Placement(np.asarray(positions, dtype=np.float64), "centre", inside)
        raise _outside_box(placed.positions, placed, box_size, pixel_size, "centre", where)


def _box_limits(box_size: int, pixel_size: float) -> tuple[float, float]:
    """Outer faces of the first and last voxels about the box centre, Å."""
    first = -float(box_centre(box_size))
    return (first - 0.5) * pixel_size, (first + box_size - 0.5) * pixel_size


def _outside_box(
    raw: FloatArray,
    best: Placement,
    box_size: int,
    pixel_size: float,
    origin: str,
    where: str,
) -> InputError:
    extent = ", ".join(
        f"{axis} {low:.1f} to {high:.1f}"
        for axis, low, high in zip("xyz", raw.min(axis=0), raw.max(axis=0), strict=True)
    )
    lowest, highest = _box_limits(box_size, pixel_size)
    corner = box_centre(box_size) * pixel_size
    tried = (
        "with the origin at its corner or its centre"
        if origin == "auto"
        else f"with --model-origin {origin}"
    )
    return InputError(
        where,
        f"model outside the box: {100 * (1 - best.fraction_inside):.1f}% of its mass sticks out "
        f"{tried}, at most {100 * LARGEST_FRACTION_OUTSIDE:g}% may. The coordinates reach "
        f"{extent} Å; the box of {box_size} pixels of {pixel_size:g} Å reaches from "
        f"{lowest + corner:.1f} to {highest + corner:.1f} Å about its corner, from "
        f"{lowest:.1f} to {highest:.1f} Å about its centre",
        "Move the model into the frame of the map, set --model-origin to corner or centre, "
        "or correct --pixel-size.",
    )
