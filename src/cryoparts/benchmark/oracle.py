"""What the told solvers reach on a simulated data set; found once and kept beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.evaluation.maps_oracle import maps_oracle
from cryoparts.evaluation.motion_oracle import motion_oracle
from cryoparts.evaluation.oracle import oracle_accuracy
from cryoparts.evaluation.pose_oracle import pose_oracle
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.simulation.ground_truth import BothTruth, CompositionTruth, MapsTruth, MotionTruth
from cryoparts.simulation.particles import TABLE_FILE
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.simulation.options import Progress

ORACLE_FILE = "oracle.json"
POSES = "poses"
"""Key of the errors of the poses that the solver finds."""


def oracle_of_data(
    data: Path,
    particles: int,
    maps: Sequence[Path] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Solve evenly spaced good particles of a data set with the truth's segments told.

    Poses and CTFs are those that are given; where segments both turn and come and go,
    amplitudes are solved with the angles told, and angles with the presence told. Where the
    given poses are wrong, poses are solved with all of that told.

    Parameters
    ----------
    data : Path
        Folder of the data set.
    particles : int
        How many to solve at most.
    maps : sequence of Path
        The maps that the particles were drawn from, where they were.
    progress : callable, optional
        Called with particles done and all particles.

    Returns
    -------
    dict
        `OracleAccuracy`, `MotionOracle` (or both) or `MapsOracle` as plain numbers, with
        "particles", the number solved, and "poses": `PoseErrors`. Read back if it was found before.
    """
    kept = data / ORACLE_FILE
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        if found["asked"] == particles:
            return found
    table = read_particles(data / TABLE_FILE)
    images = ParticleSet(table)
    box, pixel = int(table.box_size[0]), float(table.pixel_size_angstrom[0])
    truth = align_truth(load_truth(data), table.names, str(data))
    good = np.flatnonzero(truth.good)
    rows = evenly_spaced(good, particles)
    solved: dict[str, Any] = {}
    if isinstance(truth, CompositionTruth):

        def images_of(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
            return images.images(rows[chosen])

        solved = oracle_accuracy(
            images_of,
            align_truth(truth, table.names[rows]),
            table.poses.take(rows),
            table.ctf.take(rows),
            box,
            pixel,
            progress,
        ).as_dict()
    if isinstance(truth, MotionTruth | BothTruth):
        solved |= motion_oracle(
            images.images, truth, table.poses, table.ctf, box, pixel, rows, progress
        ).as_dict()
    if isinstance(truth, MapsTruth):
        solved = maps_oracle(
            images.images, maps, truth, table.poses, table.ctf, box, pixel, rows, progress
        ).as_dict()
    elif isinstance(truth, CompositionTruth | MotionTruth):
        told = pose_oracle(images.images, truth, table.poses, table.ctf, box, pixel, rows, progress)
        solved |= {} if told is None else {POSES: told.as_dict()}
    return solved | {"asked": particles, "particles": len(rows)}
