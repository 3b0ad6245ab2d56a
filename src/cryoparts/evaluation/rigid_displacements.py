"""What the motion/ folder of a run says of every Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.coordination.part_signals import rows_of_run
from cryoparts.motion.motion_files import read_motion_summary, read_part_motion
from cryoparts.rigid.rigid_motion import displaced_by

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.parts.part_labels import PartLabels


def rigid_displacements(
    folder: Path, labels: PartLabels, positions: ArrayLike, names: NDArray[np.str_]
) -> NDArray[np.float32] | None:
    """Displacements (P, N, 3) in Å if every part is a rigid body and the core stands still.

    Parameters
    ----------
    folder : Path
        motion/ of the run.
    labels : PartLabels
        Of its parts.
    positions : array, shape (N, 3)
        Of the neutral model, Å.
    names : str array, shape (P,)
        The particles, in the order wanted.

    Returns
    -------
    array or None
        None where motions have not been measured.

    Raises
    ------
    InputError
        If a file is damaged, or a particle is missing from one.
    """
    summary = read_motion_summary(folder)
    if summary is None:
        return None
    points = np.asarray(positions, dtype=np.float64)
    moved = np.zeros((len(names), len(points), 3), dtype=np.float32)
    for part in range(1, labels.n_parts + 1):
        content = summary["parts"].get(f"part_{part}")
        if content is None:
            continue
        found, columns = read_part_motion(folder, part)
        rows = rows_of_run(found, names, folder / f"part_{part}.csv")
        axis, shift = (
            np.stack([columns[name][rows] for name in triple], axis=1)
            for triple in (
                ("axis_x", "axis_y", "axis_z"),
                ("shift_x_angstrom", "shift_y_angstrom", "shift_z_angstrom"),
            )
        )
        angles = np.deg2rad(columns["angle_degrees"][rows])
        members = np.flatnonzero(labels.members(part))
        rotation = Rotation.from_rotvec(angles[:, None] * axis).as_matrix()
        centre = content["centre_angstrom"]
        moved[:, members] = displaced_by(points[members], centre, rotation, shift)
    return moved
