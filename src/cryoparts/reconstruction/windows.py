"""Soft windows along a coordinate: which particles make which frame of a trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

FEWEST_FRAMES = 3
"""With two, the windows of first and last overlap and their noise is shared."""


def soft_windows(coordinate: ArrayLike, frames: int) -> FloatArray:
    """Weight of each particle in each frame along a coordinate.

    Frames are spaced evenly in the particles' ranks, so all count equally many
    particles; between the middles of two frames a particle's weight passes
    linearly from one to the next, and before the first and after the last
    middle it is 1. Every particle's weights sum to 1, and frames that are not
    neighbours share no particle.

    Parameters
    ----------
    coordinate : array, shape (P,)
        Particles of equal coordinate are taken in their own order.
    frames : int
        At least 3.

    Returns
    -------
    array, shape (frames, P)

    Raises
    ------
    InputError
        If there are fewer than 3 frames, or fewer particles than frames.
    """
    values = np.asarray(coordinate, dtype=np.float64)
    if not FEWEST_FRAMES <= frames <= len(values):
        raise InputError(
            "--frames",
            f"must be between {FEWEST_FRAMES} and the number of particles, {len(values)}, "
            f"got {frames}",
            "5 to 10 frames with at least a few hundred particles each are usual.",
        )
    rank = rankdata(values, method="ordinal")
    place = np.clip((rank - 0.5) / len(values) * frames - 0.5, 0.0, frames - 1.0)
    weights: FloatArray = np.clip(1 - np.abs(place - np.arange(frames)[:, None]), 0.0, 1.0)
    return weights


def effective_count(weights: ArrayLike) -> float:
    """Particles of equal weight that would give as much noise: (sum w)² / sum w²."""
    w = np.asarray(weights, dtype=np.float64)
    return float(w.sum() ** 2 / np.maximum((w**2).sum(), 1e-300))
