"""The shape that a part has at rest: what is left of its places when its motions are undone.

A part that turns to and fro is, on average, nearer to its axis than it is in any particle: the
mean of ``R x`` over rotations R is ``<cos> x`` across the axis. Displacements from the mean
places would have angles that are too small (by 7% where angles scatter by 17°), and shapes that
shrink. So the shape at rest is the mean of the shapes, each turned and shifted back (generalised
Procrustes analysis: Gower 1975, Psychometrika 40, 33). It is put where the particles' mean
rotation has it, on their way: the mean of their places lies inside the arc.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.rigid.rigid_motion import fit_rigid_motions, undone

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]

ROUNDS = 4
"""Of undoing the motions and averaging anew: what changes falls to a tenth in each."""

LEAST_ARM = 1e-3
"""Of a rotation by one radian, what is added to the rotations' spread: parts that hardly turn have
no hinge."""


def rest_shape(
    positions: ArrayLike, displacements: ArrayLike, masses: ArrayLike, trust: ArrayLike
) -> FloatArray:
    """Places (n, 3) of a part's Gaussians at rest, Å.

    Parameters
    ----------
    positions : array, shape (n, 3)
        Of the neutral model, Å.
    displacements : array, shape (S, n, 3)
        From there, in a sample of particles, Å.
    masses, trust : arrays, shape (n,)
        As of `fit_rigid_motions`.
    """
    points = np.asarray(positions, dtype=np.float64)
    places = points + np.asarray(displacements, dtype=np.float64)
    rest = points
    for _ in range(ROUNDS):
        rest = undone(places, fit_rigid_motions(rest, places - rest, masses, trust)).mean(axis=0)
    return Middle.of(fit_rigid_motions(rest, places - rest, masses, trust)).places(rest)


@dataclass(frozen=True)
class Middle:
    """A rigid motion that lies in the middle of those of many particles, on their way.

    Parameters
    ----------
    centre : array, shape (3,)
        Å.
    rotation : array, shape (3, 3)
        About the centre.
    shift_angstrom : array, shape (3,)
    """

    centre: FloatArray
    rotation: FloatArray
    shift_angstrom: FloatArray

    @classmethod
    def of(cls, motions: RigidMotions) -> Self:
        """The mean rotation over the particles, and the shift that goes with it.

        Shifts follow rotations Q about the mean one as those of a hinge do, ``s + (Q - 1) d``
        with d from the hinge to the centre: s and d by least squares.
        """
        return cls(motions.centre, *_middle(motions))

    def places(self, rest: FloatArray) -> FloatArray:
        """Where points (n, 3) at rest are taken, Å."""
        return np.asarray(
            (rest - self.centre) @ self.rotation.T + self.centre + self.shift_angstrom
        )

    def motions(self, from_rest: RigidMotions) -> RigidMotions:
        """The motions from here to where those from rest lead."""
        moved = replace(
            from_rest,
            centre=self.centre + self.shift_angstrom,
            second=self.rotation @ from_rest.second @ self.rotation.T,
            cross=self.rotation @ from_rest.cross,
            rotation=from_rest.rotation @ self.rotation.T,
            shift_angstrom=from_rest.shift_angstrom - self.shift_angstrom,
        )
        rigid = moved.mean_square_angstrom
        left = from_rest.residual_rms_angstrom**2
        return replace(moved, displacement_rms_angstrom=np.sqrt(rigid + left))


def _middle(motions: RigidMotions) -> tuple[FloatArray, FloatArray]:
    mean = Rotation.from_matrix(motions.rotation).mean().as_matrix()
    turned = motions.rotation @ mean.T - np.eye(3)
    design = np.concatenate([np.broadcast_to(np.eye(3), turned.shape), turned], axis=2)
    normal = np.einsum("pki,pkj->ij", design, design)
    normal[3:, 3:] += LEAST_ARM**2 * len(turned) * np.eye(3)
    target = np.einsum("pki,pk->i", design, motions.shift_angstrom)
    return np.asarray(mean), np.asarray(np.linalg.solve(normal, target)[:3])
