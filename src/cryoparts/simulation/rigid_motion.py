"""Rigid rotations of regions about axes through pivots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import brentq

from cryoparts.errors import InputError
from cryoparts.imaging.rotations import rotation_about_axis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import FloatArray

LARGEST_ANGLE_DEGREES = 90.0
"""Beyond it a region would hardly be the same molecule's."""


@dataclass(frozen=True)
class Hinges:
    """Axes of the R moving regions.

    Parameters
    ----------
    axes : float64 array, shape (R, 3)
        Unit vectors; a positive angle turns right-handed about them.
    pivots : float64 array, shape (R, 3)
        A point on each axis, Å about the box centre.
    """

    axes: FloatArray
    pivots: FloatArray


def placements(hinges: Hinges, angles_degrees: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Rotations and translations that put the still region and R moving ones in place.

    A point x of region r goes to ``turns[:, r] x + moves[:, r]``, which is
    ``Q (x - pivot) + pivot``; region 0 stays.

    Parameters
    ----------
    hinges : Hinges
    angles_degrees : array, shape (B, R)

    Returns
    -------
    turns : float64 array, shape (B, R + 1, 3, 3)
    moves : float64 array, shape (B, R + 1, 3)
        Å.
    """
    angles = torch.from_numpy(np.array(angles_degrees, dtype=np.float64))
    turned = rotation_about_axis(torch.from_numpy(hinges.axes), angles).numpy()
    still = np.broadcast_to(np.eye(3), (len(turned), 1, 3, 3))
    turns = np.concatenate([still, turned], axis=1)
    pivots = np.concatenate([np.zeros((1, 3)), hinges.pivots])
    moves = pivots - (turns @ pivots[..., None])[..., 0]
    return turns, moves


def move_atoms(
    positions: ArrayLike, region: NDArray[np.int64], hinges: Hinges, angles_degrees: ArrayLike
) -> FloatArray:
    """Positions after the regions' rotations.

    Parameters
    ----------
    positions : array, shape (A, 3)
        Å.
    region : int array, shape (A,)
        0 still, 1..R moving.
    hinges : Hinges
    angles_degrees : array, shape (R,) or scalar
        Of one particle.

    Returns
    -------
    float64 array, shape (A, 3)
    """
    angles = np.broadcast_to(np.asarray(angles_degrees, dtype=np.float64), (1, len(hinges.axes)))
    turns, moves = placements(hinges, angles)
    points = np.asarray(positions, dtype=np.float64)
    moved: FloatArray = (turns[0, region] @ points[..., None])[..., 0] + moves[0, region]
    return moved


def mean_rmsd(squared_levers: FloatArray, n_atoms: int, angles_degrees: FloatArray) -> float:
    """Mean over the particles of the root mean square displacement of all atoms, Å.

    A rotation by t moves an atom at distance l from the axis by 2 l sin(t / 2).

    Parameters
    ----------
    squared_levers : array, shape (R,)
        Sum over each region's atoms of the squared distance to the axis, Å².
    n_atoms : int
        All atoms, still ones included.
    angles_degrees : array, shape (P, R)
    """
    half = np.deg2rad(0.5 * angles_degrees)
    squared = 4.0 * np.sin(half) ** 2 @ squared_levers / n_atoms
    return float(np.sqrt(squared).mean())


def largest_angle(
    positions: ArrayLike,
    region: NDArray[np.int64],
    hinges: Hinges,
    shares: FloatArray,
    rmsd_angstrom: float,
) -> float:
    """The largest angle, degrees, for which the mean displacement is the one asked for.

    Parameters
    ----------
    positions : array, shape (A, 3)
    region : int array, shape (A,)
    hinges : Hinges
    shares : array, shape (P, R)
        Each particle's angles as shares, -1 to 1, of the largest.
    rmsd_angstrom : float
        See `mean_rmsd`.

    Raises
    ------
    InputError
        If the displacement would take angles beyond 90 degrees.
    """
    points = np.asarray(positions, dtype=np.float64)
    squared = np.zeros(len(hinges.axes))
    for number, (axis, pivot) in enumerate(zip(hinges.axes, hinges.pivots, strict=True)):
        arms = points[region == number + 1] - pivot
        squared[number] = (np.cross(arms, axis) ** 2).sum()

    def excess(angle: float) -> float:
        return mean_rmsd(squared, len(points), angle * shares) - rmsd_angstrom

    if excess(LARGEST_ANGLE_DEGREES) < 0.0:
        reach = excess(LARGEST_ANGLE_DEGREES) + rmsd_angstrom
        raise InputError(
            "--rmsd",
            f"must be at most {reach:.2f} Å, which rotations by up to "
            f"{LARGEST_ANGLE_DEGREES:g} degrees reach with these regions, got {rmsd_angstrom:g}",
            "Ask for less, or give larger regions or other axes.",
        )
    return float(brentq(excess, 0.0, LARGEST_ANGLE_DEGREES, xtol=1e-9))
