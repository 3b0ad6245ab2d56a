"""How far poses are from the true ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.simulation.ground_truth import NuisanceTruth


ROUNDING = 1e-3
"""Degrees and Å: what a particle file's decimals leave."""


@dataclass(frozen=True)
class PoseErrors:
    """Errors of the poses of a set of particles.

    Parameters
    ----------
    turn_rms_degrees, turn_median_degrees : float
        Of the angle between the pose and the true one.
    shift_rms_angstrom, shift_median_angstrom : float
        Of the distance between the shift and the true one.
    """

    turn_rms_degrees: float
    turn_median_degrees: float
    shift_rms_angstrom: float
    shift_median_angstrom: float

    @classmethod
    def of(cls, poses: Poses, true: NuisanceTruth) -> Self:
        """Of particles in their order."""
        between = Rotation.from_matrix(true.rotation.swapaxes(1, 2) @ poses.rotation)
        turn = np.rad2deg(between.magnitude())
        shift = np.linalg.norm(poses.shift_angstrom - true.shift_angstrom, axis=1)
        return cls(_rms(turn), float(np.median(turn)), _rms(shift), float(np.median(shift)))

    @property
    def are_wrong(self) -> bool:
        """By more than rounding."""
        return max(self.turn_rms_degrees, self.shift_rms_angstrom) > ROUNDING

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, for a JSON file."""
        return asdict(self)

    def __str__(self) -> str:
        """The root mean squares in words."""
        return f"{self.turn_rms_degrees:.2f}°, {self.shift_rms_angstrom:.2f} Å"


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
