"""What one part does, as a model fitted to its Gaussians, and how well it fits others.

A part is a set of Gaussians that fade together and move as one body. Its model
is, for each mode of change, one amplitude change for all of them and one affine
displacement field (which contains every rigid motion). From the sums kept for
each part (normal equations) the misfit of a union of parts follows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.parts.changes import Changes

    FloatArray = NDArray[np.float64]

_DAMPING = 0.02
"""Ridge on the displacement's gradient, as a part of one Gaussian's leverage: it
decides only where a handful of Gaussians leaves the gradient undetermined."""


@dataclass(frozen=True)
class Observations:
    """Changes as a linear regression.

    Parameters
    ----------
    amplitudes : array, shape (N, M)
        Empty (N, 0) where the amplitude was not observed.
    moves : array, shape (N, 3 M)
        Empty (N, 0) where displacements were not observed.
    design : array, shape (N, 4)
        (1, x, y, z) with positions centred and in units of the model's radius.
    """

    amplitudes: FloatArray
    moves: FloatArray
    design: FloatArray

    @classmethod
    def of(cls, changes: Changes) -> Self:
        """The regression problem of measured changes."""
        count = len(changes.positions)
        centred = changes.positions - changes.positions.mean(axis=0)
        radius = max(float(np.sqrt(np.mean(np.sum(centred**2, axis=1)))), 1e-6)
        none = np.zeros((count, 0))
        return cls(
            changes.amplitude_modes.reshape(count, -1) if changes.has_amplitude else none,
            changes.displacement_modes.reshape(count, -1) if changes.has_displacement else none,
            np.concatenate([np.ones((count, 1)), centred / radius], axis=1),
        )

    def squared_change(self) -> FloatArray:
        """Mean square change of each Gaussian, shape (N,)."""
        total: FloatArray = (self.amplitudes**2).sum(axis=1) + (self.moves**2).sum(axis=1)
        return total


@dataclass(frozen=True)
class PartModel:
    """Sums over a part's Gaussians, enough to fit it and to join it with others."""

    count: int
    square: float
    amplitude_sum: FloatArray
    gram: FloatArray
    moment: FloatArray

    @classmethod
    def of(cls, observed: Observations, members: NDArray[np.bool_]) -> Self:
        """The sums of the chosen Gaussians."""
        design, moves = observed.design[members], observed.moves[members]
        amplitudes = observed.amplitudes[members]
        return cls(
            int(members.sum()),
            float((amplitudes**2).sum() + (moves**2).sum()),
            amplitudes.sum(axis=0),
            design.T @ design,
            design.T @ moves,
        )

    def joined(self, other: PartModel) -> PartModel:
        """The model of the union of two parts without common Gaussians."""
        return PartModel(
            self.count + other.count,
            self.square + other.square,
            self.amplitude_sum + other.amplitude_sum,
            self.gram + other.gram,
            self.moment + other.moment,
        )

    @property
    def motion(self) -> FloatArray:
        """Coefficients (4, 3 M) of the affine displacement field."""
        mean = self.gram[0] / max(self.count, 1)
        spread = np.trace(self.gram[1:, 1:]) - self.count * float(mean[1:] @ mean[1:])
        damping = np.diag([0.0, *[_DAMPING * max(spread, 1e-9) / max(self.count, 1)] * 3])
        return np.asarray(np.linalg.solve(self.gram + damping, self.moment))

    @property
    def misfit(self) -> float:
        """Sum of squares that the model leaves unexplained in its own Gaussians."""
        amplitude = float((self.amplitude_sum**2).sum()) / max(self.count, 1)
        motion = self.motion if self.moment.shape[1] else np.zeros((4, 0))
        explained = float(2 * (motion * self.moment).sum() - (motion * (self.gram @ motion)).sum())
        return max(self.square - amplitude - explained, 0.0)

    def predict(self, observed: Observations) -> FloatArray:
        """What the model says every Gaussian does, shape (N, M + 3 M)."""
        amplitudes = np.broadcast_to(
            self.amplitude_sum / max(self.count, 1), observed.amplitudes.shape
        )
        if not self.moment.shape[1]:
            return np.asarray(amplitudes)
        return np.concatenate([amplitudes, observed.design @ self.motion], axis=1)

    def squared_residual(self, observed: Observations) -> FloatArray:
        """Squared misfit of each Gaussian of the whole set, shape (N,)."""
        data = np.concatenate([observed.amplitudes, observed.moves], axis=1)
        return np.asarray(((data - self.predict(observed)) ** 2).sum(axis=1))


def separation(one: PartModel, other: PartModel) -> float:
    """Mean square extra misfit, for each Gaussian of the smaller part, of joining two.

    For amplitudes alone it lies between half and all of the squared distance of
    the two mean profiles.
    """
    extra = one.joined(other).misfit - one.misfit - other.misfit
    return max(extra, 0.0) / min(one.count, other.count)
