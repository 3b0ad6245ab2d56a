"""Where a part's mean motion leads its Gaussians, for drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_AXIS_OVERHANG = 1.3
"""Length of a drawn axis over its part's own extent along it."""

_AXIS_MARGIN_ANGSTROM = 5.0
"""Å that a drawn axis stands out at either end, so that small parts have one too."""


def displacement_along(
    positions: FloatArray, content: dict[str, Any]
) -> tuple[FloatArray, FloatArray]:
    """Places (n, 3) of points at the 5% and the 95% quantile of a part's motion, Å.

    Parameters
    ----------
    positions : array, shape (n, 3)
        In the neutral model.
    content : dict
        The part's entry in motions.json.
    """
    screw, angles = content["screw"], content["signed_angle_degrees"]
    first, last = (_moved(positions, screw, angles[f"quantile_{q}"]) for q in ("05", "95"))
    return first, last


def places_along(positions: FloatArray, content: dict[str, Any], points: int) -> FloatArray:
    """Places (T, n, 3) of points evenly from the 5% to the 95% quantile of a motion, Å."""
    screw, angles = content["screw"], content["signed_angle_degrees"]
    way = np.linspace(angles["quantile_05"], angles["quantile_95"], points)
    return np.stack([_moved(positions, screw, float(angle)) for angle in way])


def _moved(positions: FloatArray, screw: dict[str, Any], angle: float) -> FloatArray:
    axis, pivot = np.array(screw["axis"]), np.array(screw["pivot_angstrom"])
    turn = Rotation.from_rotvec(np.deg2rad(angle) * axis)
    slide = angle * screw["slide_angstrom_per_degree"] * axis
    return np.asarray(turn.apply(positions - pivot) + pivot + slide)


def axis_ends(positions: FloatArray, screw: dict[str, Any]) -> tuple[FloatArray, FloatArray]:
    """Ends of the piece of a mean axis that runs past the part, with some overhang, Å."""
    axis, pivot = np.array(screw["axis"]), np.array(screw["pivot_angstrom"])
    along = (positions - pivot) @ axis
    middle, half = 0.5 * (along.max() + along.min()), 0.5 * float(np.ptp(along))
    reach = _AXIS_OVERHANG * half + _AXIS_MARGIN_ANGSTROM
    return pivot + (middle - reach) * axis, pivot + (middle + reach) * axis
