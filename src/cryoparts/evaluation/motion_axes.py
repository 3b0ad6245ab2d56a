"""How well the axes and angles of the parts' motions are recovered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.evaluation.truth import rows_of
from cryoparts.motion.motion_files import read_motion_summary, read_part_motion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.simulation.ground_truth import MotionTruth


@dataclass(frozen=True)
class AxisAccuracy:
    """One true region against the part that recovers it.

    Parameters
    ----------
    part : int
    axis_error_degrees : float
        Angle between the true axis and the part's mean axis, 0 to 90.
    pivot_distance_angstrom : float
        Distance of the true pivot from the part's axis.
    axis_distance_angstrom : float
        Distance of the two axes at the part: of the point of the true axis nearest
        to the part's own pivot, from that pivot.
    angle_correlation : float
        Pearson correlation of the signed angles with the true ones; the part's axis
        is turned to the side of the true one first. 0 where either is constant.
    angle_rmse_degrees : float
        Of the signed angles about their mean, against the true ones about theirs.
    angle_slope : float
        Of the regression of the found angles on the true ones; 1 is right.
    """

    part: int
    axis_error_degrees: float
    pivot_distance_angstrom: float
    axis_distance_angstrom: float
    angle_correlation: float
    angle_rmse_degrees: float
    angle_slope: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def axis_accuracy(
    part: int,
    axis: ArrayLike,
    pivot: ArrayLike,
    angles_degrees: ArrayLike,
    true_axis: ArrayLike,
    true_pivot: ArrayLike,
    true_angles_degrees: ArrayLike,
) -> AxisAccuracy:
    """Compare one part's mean axis, pivot and signed angles (P,) with the truth.

    Raises
    ------
    ValueError
        If the angles are not of the same particles.
    """
    found, true = np.asarray(axis, dtype=np.float64), np.asarray(true_axis, dtype=np.float64)
    place, right = np.asarray(pivot, dtype=np.float64), np.asarray(true_pivot, dtype=np.float64)
    angles = np.asarray(angles_degrees, dtype=np.float64)
    truth = np.asarray(true_angles_degrees, dtype=np.float64)
    if angles.shape != truth.shape or angles.ndim != 1:
        raise ValueError(f"angles {angles.shape} and true angles {truth.shape} must agree")
    cosine = float(found @ true)
    side = 1.0 if cosine >= 0 else -1.0
    own = side * (angles - angles.mean())
    about_mean = truth - truth.mean()
    spread = float(np.sqrt((own @ own) * (about_mean @ about_mean)))
    variance = float(about_mean @ about_mean)
    return AxisAccuracy(
        part=part,
        axis_error_degrees=float(np.rad2deg(np.arccos(np.clip(abs(cosine), 0.0, 1.0)))),
        pivot_distance_angstrom=_off_axis(right - place, found),
        axis_distance_angstrom=_off_axis(place - right, true),
        angle_correlation=float(own @ about_mean) / spread if spread > 0 else 0.0,
        angle_rmse_degrees=float(np.sqrt(np.mean((own - about_mean) ** 2))),
        angle_slope=float(own @ about_mean) / variance if variance > 0 else 0.0,
    )


def run_axis_accuracy(
    folder: Path,
    truth: MotionTruth,
    part_of_region: Mapping[str, int | None],
    where: str,
    there: NDArray[np.bool_] | None = None,
) -> dict[str, AxisAccuracy]:
    """Every true region that a part recovers, against the motion/ folder of a run.

    Parameters
    ----------
    folder : Path
        motion/ of the run.
    truth : MotionTruth
    part_of_region : mapping of region name to part
        None for a region that no part recovers.
    where : str
        The run, for messages.
    there : bool array, shape (P, R), optional
        Particles of the truth whose angle of each region counts. Default: all.

    Returns
    -------
    dict of region name to AxisAccuracy
        Empty where motions have not been measured.

    Raises
    ------
    InputError
        If a file is damaged, or holds particles that the truth does not know.
    """
    summary = read_motion_summary(folder)
    if summary is None:
        return {}
    found = {}
    for number, region in enumerate(str(name) for name in truth.region_names):
        part = part_of_region.get(region)
        content = None if part is None else summary["parts"].get(f"part_{part}")
        if part is None or content is None:
            continue
        names, columns = read_part_motion(folder, part)
        rows = rows_of(truth.names, names, where)
        seen = np.ones(len(rows), dtype=bool) if there is None else there[rows, number]
        found[region] = axis_accuracy(
            part,
            content["screw"]["axis"],
            content["screw"]["pivot_angstrom"],
            columns["signed_angle_degrees"][seen],
            truth.axes[number],
            truth.pivots[number],
            truth.angles_degrees[rows[seen], number],
        )
    return found


def _off_axis(offset: np.ndarray[Any, np.dtype[np.float64]], axis: ArrayLike) -> float:
    return float(np.linalg.norm(np.cross(offset, np.asarray(axis, dtype=np.float64))))
