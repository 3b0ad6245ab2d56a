"""Each part moved along its mean motion, the others at rest: models for a viewer to play."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.export.motion_arrows import moving_parts
from cryoparts.export.trajectory import write_trajectory_cif
from cryoparts.io.run_directory import RunDirectory
from cryoparts.motion.motion_paths import places_along
from cryoparts.states.trajectory import Trajectory

if TYPE_CHECKING:
    from pathlib import Path

POINTS = 11
"""Models from the 5% to the 95% quantile of the angles."""


def write_motion_models(run: Path) -> list[Path]:
    """Write ``motion/part_1.cif`` ...: the Gaussians at points along each part's mean screw.

    ``open part_1.cif coordsets true`` in ChimeraX makes a movie of it.

    Returns
    -------
    list of Path
        Empty where motion/ has not been made.

    Raises
    ------
    InputError
        If a file of the run is missing or damaged.
    """
    moving = moving_parts(run)
    if moving is None:
        return []
    model, labels = moving.model, moving.labels
    written = []
    for part, content in moving.parts.items():
        members = labels.members(part)
        rest = model.positions.astype(np.float64)
        displacements = np.zeros((POINTS, len(model), 3))
        places = places_along(rest[members], content, POINTS)
        displacements[:, members] = places - rest[members]
        share = np.linspace(0.0, 1.0, POINTS)
        moved = Trajectory(share, np.zeros(POINTS, dtype=np.int64), None, displacements)
        path = RunDirectory.open(run).motion_path / f"part_{part}.cif"
        write_trajectory_cif(path, model, moved, labels.labels)
        written.append(path)
    return written
