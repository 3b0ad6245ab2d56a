"""The few ways in which a part moves as a rigid body, over the particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.rigid.motion_statistics import ScrewError, displacement_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]

LEAST_SHARE = 0.02
"""Of a part's mean square motion, what a mode explains at least. What a hinge leaves over
beside its one mode is the decoder's noise: 0.2% on a simulated transporter."""

LEAST_MOTION_ANGSTROM = 0.01
"""Root mean square displacement that a mode causes at least."""

MOST_MODES = 3
"""Of one part."""


@dataclass(frozen=True)
class RigidModes:
    """m modes of one part's motion and each particle's place along them.

    Parameters
    ----------
    modes : array, shape (m, 6)
        Rotation vector (radians) about the part's centre and shift (Å) of a unit
        coordinate, which is a standard deviation over the particles.
    coordinates : array, shape (P, m)
    rms_angstrom : array, shape (m,)
        Root mean square displacement that each mode causes, the strongest first.
    error : ScrewError
        Of the strongest, where it was found from fewer particles than have coordinates.
    """

    modes: FloatArray
    coordinates: FloatArray
    rms_angstrom: FloatArray
    error: ScrewError = field(default_factory=ScrewError)

    def along(self, axes: FloatArray, rms_angstrom: FloatArray) -> RigidModes:
        """Modes along orthonormal combinations of these, of unit coordinates of other size.

        Parameters
        ----------
        axes : array, shape (m, k)
            A column a mode; these must displace by 1 Å each.
        rms_angstrom : array, shape (k,)
        """
        return RigidModes(
            rms_angstrom[:, None] * (axes.T @ self.modes),
            self.coordinates @ axes / rms_angstrom,
            rms_angstrom,
        )

    def beyond(self, motions: RigidMotions, present: NDArray[np.bool_]) -> FloatArray:
        """Rotation vectors and shifts (P, 6) by which P particles move in other ways.

        Parameters
        ----------
        motions : RigidMotions
            That the coordinates are of.
        present : bool array, shape (P,)
            Particles whose mean motion is 0.
        """
        screws = screws_of(motions)
        along = self.coordinates - self.coordinates[present].mean(axis=0)
        other: FloatArray = screws - screws[present].mean(axis=0) - along @ self.modes
        return other


def screws_of(motions: RigidMotions) -> FloatArray:
    """Rotation vectors and shifts of P particles, shape (P, 6)."""
    return np.concatenate([motions.rotation_vectors, motions.shift_angstrom], axis=1)


def mean_square(screws: FloatArray, second: FloatArray) -> FloatArray:
    """Mean square displacement (P,) by rotation vectors and shifts (P, 6), Å^2.

    Parameters
    ----------
    screws : array, shape (P, 6)
    second : array, shape (3, 3)
        As in `displacement_metric`.
    """
    square: FloatArray = ((screws @ displacement_metric(second)[0]) ** 2).sum(axis=1)
    return square


def rotations_of(screws: FloatArray) -> FloatArray:
    """Rotation matrices (P, 3, 3) of rotation vectors and shifts."""
    return np.asarray(Rotation.from_rotvec(screws[:, :3]).as_matrix())


def find_modes(motions: RigidMotions, present: NDArray[np.bool_]) -> RigidModes:
    """Principal components of a part's rigid motions, by the displacement that they cause.

    Parameters
    ----------
    motions : RigidMotions
    present : bool array, shape (P,)
        Particles that the modes are found from; all get coordinates.
    """
    ways = six_ways(motions, present)
    variance, patterns = np.linalg.eigh(np.cov(ways.coordinates[present].T, bias=True))
    variance, patterns = variance[::-1], patterns[:, ::-1]
    least = max(LEAST_SHARE * float(variance.sum()), LEAST_MOTION_ANGSTROM**2)
    kept = int((variance[:MOST_MODES] > least).sum())
    return ways.along(patterns[:, :kept], np.sqrt(variance[:kept]))


def six_ways(motions: RigidMotions, present: NDArray[np.bool_]) -> RigidModes:
    """All ways of a rigid body, each of which displaces a part by 1 Å (root mean square).

    Parameters
    ----------
    motions : RigidMotions
    present : bool array, shape (P,)
        Particles whose mean motion is 0.
    """
    root, inverse_root = displacement_metric(motions.second)
    screws = screws_of(motions)
    about_mean = (screws - screws[present].mean(axis=0)) @ root
    return RigidModes(inverse_root, about_mean, np.ones(len(inverse_root)))
