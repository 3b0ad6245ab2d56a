"""What is at rest for whoever is told the true regions and motions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.evaluation.maps.rest_accuracy import STILL
from cryoparts.simulation.rigid_motion import Hinges, placements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.simulation.ground_truth import MotionTruth


def true_regions(model: GaussianModel, truth: MotionTruth) -> NDArray[np.int64]:
    """The region (N,) of each Gaussian: that of the nearest atom; 0 stays."""
    _, nearest = cKDTree(truth.atom_positions).query(model.positions)
    return np.asarray(truth.atom_region[nearest], dtype=np.int64)


def true_bodies(model: GaussianModel, truth: MotionTruth) -> tuple[Body, ...]:
    """Every region that moves, with its true motion in each of the truth's P particles.

    Parameters
    ----------
    model : GaussianModel
        At rest.
    truth : MotionTruth
        Of the particles wanted, in their order (`align_truth`).
    """
    region = true_regions(model, truth)
    turns, moves = placements(Hinges(truth.axes, truth.pivots), truth.angles_degrees)
    centre = np.zeros(3)
    return tuple(
        Body(
            f"part_{number}",
            str(name),
            np.flatnonzero(region == number),
            # about the box centre: x' = Q x + s
            BodyMotion(centre, turns[:, number], moves[:, number]),
            np.ones(len(turns)),
        )
        for number, name in enumerate(truth.region_names, start=1)
        if (region == number).any()
    )


def true_core(model: GaussianModel, truth: MotionTruth) -> tuple[str, str, NDArray[np.int64]]:
    """Name, label and Gaussians of what stays."""
    return "core", STILL, np.flatnonzero(true_regions(model, truth) == 0)
