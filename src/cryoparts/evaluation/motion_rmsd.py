"""How well the true motion is recovered, in Å."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.simulation.rigid_motion import Hinges, placements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import FloatArray

BATCH = 256
"""Particles compared together: bounds the memory, changes no number."""


@dataclass(frozen=True)
class RegionRmsd:
    """One region's share of the result; region "still" is the rest.

    Parameters
    ----------
    name : str
    gaussians : int
    rmsd_angstrom, no_motion_rmsd_angstrom : float or None
        As in `MotionAccuracy`, over the region's Gaussians; None without any.
    """

    name: str
    gaussians: int
    rmsd_angstrom: float | None
    no_motion_rmsd_angstrom: float | None


@dataclass(frozen=True)
class MotionAccuracy:
    """Displacement errors of a run.

    An RMSD here is the root mean square over Gaussians of the length of the
    difference between predicted and true displacement, for one particle; then
    the mean over the particles. Nothing is superposed or subtracted: the poses
    fix the frame, and the truth is relative to the neutral model.

    Parameters
    ----------
    rmsd_angstrom : float
    no_motion_rmsd_angstrom : float
        What predicting no motion would give: the size of the true motion.
    moving_rmsd_angstrom, moving_no_motion_rmsd_angstrom : float or None
        The same over the Gaussians of moving regions only.
    explained_fraction : float
        1 - (squared error) / (squared true displacement), over everything; 0
        for no motion, 1 for perfection, negative if worse than no motion.
    regions : tuple of RegionRmsd
        The still rest first.
    """

    rmsd_angstrom: float
    no_motion_rmsd_angstrom: float
    moving_rmsd_angstrom: float | None
    moving_no_motion_rmsd_angstrom: float | None
    explained_fraction: float
    regions: tuple[RegionRmsd, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def true_displacements(
    gaussian_positions: ArrayLike,
    region_of_gaussian: ArrayLike,
    hinges: Hinges,
    angles_degrees: ArrayLike,
) -> FloatArray:
    """Displacement of each Gaussian if it moves rigidly with its region.

    Parameters
    ----------
    gaussian_positions : array, shape (N, 3)
        Of the neutral model, about the box centre, Å.
    region_of_gaussian : int array, shape (N,)
        0 still, 1..R moving: the region of most of its atoms.
    hinges : Hinges
    angles_degrees : array, shape (P, R)

    Returns
    -------
    float64 array, shape (P, N, 3)
        Å.
    """
    points = np.asarray(gaussian_positions, dtype=np.float64)
    region = np.asarray(region_of_gaussian, dtype=np.int64)
    turns, moves = placements(hinges, angles_degrees)
    result = np.zeros((len(turns), len(points), 3))
    for number in range(1, turns.shape[1]):
        own = np.flatnonzero(region == number)
        moved = points[own] @ np.swapaxes(turns[:, number], 1, 2) + moves[:, number, None, :]
        result[:, own] = moved - points[own]
    return result


def squared_errors(
    displacements: ArrayLike | None,
    gaussian_positions: ArrayLike,
    region_of_gaussian: ArrayLike,
    hinges: Hinges,
    angles_degrees: ArrayLike,
) -> FloatArray:
    """Squared difference of predicted and true displacement, summed over each region's Gaussians.

    Parameters
    ----------
    displacements : array, shape (P, N, 3), or None
        Predicted, relative to the neutral model, Å; None for no motion at all.
    gaussian_positions, region_of_gaussian, hinges, angles_degrees
        See `true_displacements`; the particles in the same order.

    Returns
    -------
    float64 array, shape (P, R + 1)
        Å², the still rest first.
    """
    region = np.asarray(region_of_gaussian, dtype=np.int64)
    angles = np.asarray(angles_degrees, dtype=np.float64)
    predicted = None if displacements is None else np.asarray(displacements)
    count, n_regions = angles.shape
    if predicted is not None and predicted.shape != (count, len(region), 3):
        raise ValueError(
            f"displacements have shape {predicted.shape}, they need {(count, len(region), 3)}"
        )
    member = (region[:, None] == np.arange(n_regions + 1)).astype(np.float64)
    sums = np.zeros((count, n_regions + 1))
    for start in range(0, count, BATCH):
        rows = slice(start, start + BATCH)
        error = true_displacements(gaussian_positions, region, hinges, angles[rows])
        if predicted is not None:
            error = predicted[rows] - error
        sums[rows] = (error**2).sum(axis=2) @ member
    return sums


def particle_rmsd(
    displacements: ArrayLike | None,
    gaussian_positions: ArrayLike,
    region_of_gaussian: ArrayLike,
    hinges: Hinges,
    angles_degrees: ArrayLike,
) -> FloatArray:
    """Root mean square over the Gaussians of predicted minus true displacement (P,), Å.

    The parameters are those of `squared_errors`.
    """
    sums = squared_errors(
        displacements, gaussian_positions, region_of_gaussian, hinges, angles_degrees
    )
    rmsd: FloatArray = np.sqrt(sums.sum(axis=1) / len(np.asarray(region_of_gaussian)))
    return rmsd


def motion_rmsd(
    displacements: ArrayLike,
    gaussian_positions: ArrayLike,
    region_of_gaussian: ArrayLike,
    hinges: Hinges,
    angles_degrees: ArrayLike,
    region_names: Sequence[str] | None = None,
    there: ArrayLike | None = None,
) -> MotionAccuracy:
    """Compare predicted displacements with the true motion.

    Parameters
    ----------
    displacements : array, shape (P, N, 3)
        Predicted, relative to the neutral model, Å.
    gaussian_positions, region_of_gaussian, hinges, angles_degrees
        See `true_displacements`; the particles in the same order.
    region_names : sequence of str, length R, optional
    there : bool array, shape (P, R), optional
        Whether each moving region is in each particle; where it is not it does not count.
        Default: always.
    """
    region = np.asarray(region_of_gaussian, dtype=np.int64)
    where = (gaussian_positions, region, hinges, angles_degrees)
    error, size = squared_errors(displacements, *where), squared_errors(None, *where)
    count, n_regions = len(error), error.shape[1] - 1
    counts = np.tile(np.bincount(region, minlength=n_regions + 1), (count, 1))
    if there is not None:
        seen = np.concatenate([np.ones((count, 1), dtype=bool), np.asarray(there, bool)], axis=1)
        error, size, counts = error * seen, size * seen, counts * seen
    names = [f"region_{r + 1}" for r in range(n_regions)] if region_names is None else region_names
    moving, every = np.arange(1, n_regions + 1), np.arange(n_regions + 1)
    total = float(size.sum())
    return MotionAccuracy(
        rmsd_angstrom=_mean_rmsd(error, counts, every) or 0.0,
        no_motion_rmsd_angstrom=_mean_rmsd(size, counts, every) or 0.0,
        moving_rmsd_angstrom=_mean_rmsd(error, counts, moving),
        moving_no_motion_rmsd_angstrom=_mean_rmsd(size, counts, moving),
        explained_fraction=1.0 - float(error.sum()) / total if total > 0.0 else 0.0,
        regions=tuple(
            RegionRmsd(
                name=str(name),
                gaussians=int((region == number).sum()),
                rmsd_angstrom=_mean_rmsd(error, counts, np.array([number])),
                no_motion_rmsd_angstrom=_mean_rmsd(size, counts, np.array([number])),
            )
            for number, name in enumerate(["still", *names])
        ),
    )


def _mean_rmsd(
    squares: FloatArray, counts: NDArray[np.int64], regions: NDArray[np.int64]
) -> float | None:
    """Mean over the particles that have a Gaussian in the regions; None where none has."""
    held = counts[:, regions].sum(axis=1)
    seen = held > 0
    if not seen.any():
        return None
    return float(np.sqrt(squares[seen][:, regions].sum(axis=1) / held[seen]).mean())
