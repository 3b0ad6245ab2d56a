"""The displacement error of every single particle, for histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.evaluation.motion_rmsd import BATCH, true_displacements

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cryoparts.conventions import FloatArray
    from cryoparts.simulation.rigid_motion import Hinges


def particle_rmsd(
    displacements: ArrayLike | None,
    gaussian_positions: ArrayLike,
    region_of_gaussian: ArrayLike,
    hinges: Hinges,
    angles_degrees: ArrayLike,
) -> FloatArray:
    """Root mean square over the Gaussians of predicted minus true displacement, Å.

    Parameters
    ----------
    displacements : array, shape (P, N, 3), or None
        Predicted, Å; None for no motion at all.
    gaussian_positions, region_of_gaussian, hinges, angles_degrees
        See `true_displacements`; the particles in the same order.

    Returns
    -------
    float64 array, shape (P,)
    """
    angles = np.asarray(angles_degrees, dtype=np.float64)
    predicted = None if displacements is None else np.asarray(displacements)
    if predicted is not None and len(predicted) != len(angles):
        raise ValueError(f"{len(predicted)} particles moved, angles of {len(angles)}")
    result = np.zeros(len(angles))
    for start in range(0, len(angles), BATCH):
        rows = slice(start, start + BATCH)
        error = true_displacements(gaussian_positions, region_of_gaussian, hinges, angles[rows])
        if predicted is not None:
            error = predicted[rows] - error
        result[rows] = np.sqrt((error**2).sum(axis=2).mean(axis=1))
    return result
