"""The bodies of a run: its parts, as `motion` and `composition` know them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.errors import InputError
from cryoparts.inference.decode import particle_probability
from cryoparts.io.names import rows_of_names
from cryoparts.motion.motion_files import CORE, is_told, read_rigid_motion
from cryoparts.statistics.trusted import is_trusted

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from cryoparts.run.run import Run

    FloatArray = NDArray[np.float64]

LOG = logging.getLogger(__name__)

LEAST_WEIGHT = 0.05
"""A particle in which the part is there with a smaller probability shows nothing of it."""


def particle_weight(run: Run) -> FloatArray:
    """How much each particle (P,) counts: its probability, and 0 where it is not trusted."""
    probability = particle_probability(run.directory, len(run.particles))
    return np.where(is_trusted(probability), np.maximum(probability, LEAST_WEIGHT), 0.0)


def moving_parts(run: Run) -> tuple[int, ...]:
    """Numbers of the parts whose motion is known.

    Raises
    ------
    InputError
        If `motion` has not run.
    """
    summary = _summary(run)
    parts = run.parts
    return tuple(k for k in range(1, parts.n_parts + 1) if f"part_{k}" in summary["parts"])


def run_bodies(run: Run) -> tuple[Body, ...]:
    """Every part of a run as a body, moved in the frame of the poses.

    Raises
    ------
    InputError
        If `motion` has not run since the parts were found, or a file is damaged.
    """
    summary = _summary(run)
    core = core_motion(run, summary)
    weight, presence = particle_weight(run), _presence(run)
    labels = run.parts
    bodies = []
    for part in moving_parts(run):
        name = f"part_{part}"
        entry = summary["parts"][name]
        motion = _motion(run, name, entry)
        # where images tell nothing of a part, a model that moves it shapes their noise
        moved = motion.followed_by(core) if core is not None and is_told(entry) else motion
        there = presence.get(part, np.ones(len(weight)))
        bodies.append(
            Body(
                name,
                labels.name(part),
                np.flatnonzero(labels.members(part)),
                moved,
                np.where(there < LEAST_WEIGHT, 0.0, weight * there),
            )
        )
    return tuple(bodies)


def core_motion(run: Run, summary: dict[str, Any] | None = None) -> BodyMotion | None:
    """The core's own motion, which the parts' are relative to; None where they are not.

    Raises
    ------
    InputError
        If an earlier version has not kept it.
    """
    summary = _summary(run) if summary is None else summary
    if summary["frame"] != "core" or summary["core"] is None:
        return None
    folder = run.directory.motion_path
    if not (folder / f"{CORE}.csv").is_file() or "centre_angstrom" not in summary["core"]:
        raise InputError(
            str(folder),
            "an earlier version has not kept the core's own motion here",
            f"Run `cryoparts motion {run.root}` again.",
        )
    return _motion(run, CORE, summary["core"])


def _motion(run: Run, stem: str, entry: dict[str, Any]) -> BodyMotion:
    """One table of motion/, in the order of the run's particles."""
    folder = run.directory.motion_path
    names, rotation, shift = read_rigid_motion(folder, stem)
    rows = rows_of_names(
        names,
        run.particles.names,
        str(folder / f"{stem}.csv"),
        cure=f"Run `cryoparts motion {run.root}` again.",
    )
    centre = np.asarray(entry["centre_angstrom"], dtype=np.float64)
    return BodyMotion(centre, rotation[rows], shift[rows])


def _presence(run: Run) -> dict[int, FloatArray]:
    """Probability (P,) of each optional part in each particle; none where not judged."""
    if not run.directory.presence_path.is_file():
        return {}
    composition = run.composition
    if len(composition.parts) != run.parts.n_parts:
        LOG.warning("composition/ is of other parts: every part is taken to be there")
        return {}
    rows = rows_of_names(
        composition.names,
        run.particles.names,
        str(run.directory.presence_path),
        cure=f"Run `cryoparts composition {run.root}` again.",
    )
    return {k: composition.parts[k - 1].probability[rows] for k in composition.optional}


def _summary(run: Run) -> dict[str, Any]:
    summary = run.motions
    if summary is None:
        raise InputError(
            str(run.directory.motion_path),
            "the motion of the parts in each particle is not known",
            f"Run `cryoparts motion {run.root}` first; the run must vary positions.",
        )
    return summary
