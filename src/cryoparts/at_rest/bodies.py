"""A body that has moved in every particle, and the poses in which it is at rest.

Conventions are the program's: a point X of the reference lies at ``R X + t`` in the image
(R the pose's rotation, of the result the first two components; t its shift). A body's
motion takes a point x at rest to

    x' = Q (x - c) + c + s,

Q a rotation about the body's centre c, s the displacement of that centre. In the image
the point then lies at

    R x' + t = (R Q) x + [t + (R (c + s - Q c))_xy].

So a particle whose body has moved is an image of the body at rest in the *composed pose*
``R Q``, ``t + (R (c + s - Q c))_xy``: exactly, CTF and astigmatism included, since these
belong to the image. Back-projected in the composed poses the body adds up sharply, and
everything else is smeared (Nakane et al. 2018, eLife 7, e36861; without the subtraction of
the other bodies).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import Poses

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BodyMotion:
    """x to Q (x - c) + c + s in each of P particles.

    Parameters
    ----------
    centre : array, shape (3,)
        c, Å about the box centre.
    rotation : array, shape (P, 3, 3)
        Q.
    shift_angstrom : array, shape (P, 3)
        s.
    """

    centre: FloatArray
    rotation: FloatArray
    shift_angstrom: FloatArray

    def __len__(self) -> int:
        return len(self.rotation)

    @property
    def offset_angstrom(self) -> FloatArray:
        """C + s - Q c (P, 3): where the motion takes the box centre, Å."""
        return np.asarray(self.centre + self.shift_angstrom - self.rotation @ self.centre)

    def take(self, rows: NDArray[np.generic]) -> BodyMotion:
        """The motion in the chosen particles (indices or a mask)."""
        return BodyMotion(self.centre, self.rotation[rows], self.shift_angstrom[rows])

    def about(self, point: FloatArray) -> BodyMotion:
        """The same motion, its shift that of another point (3,), Å."""
        shift = self.rotation @ point + self.offset_angstrom - point
        return BodyMotion(point, self.rotation, shift)

    def followed_by(self, other: BodyMotion) -> BodyMotion:
        """A motion after another: first this one, about whose centre the result is.

        A part's motion as seen from the core, followed by the core's own, is the part's
        motion in the frame of the poses.
        """
        moved = self.centre + self.shift_angstrom
        turned = np.einsum("pij,pj->pi", other.rotation, moved - other.centre)
        return BodyMotion(
            self.centre,
            other.rotation @ self.rotation,
            turned + other.centre + other.shift_angstrom - self.centre,
        )

    def composed(self, poses: Poses) -> Poses:
        """Poses of the body at rest, from the P particles' own.

        Raises
        ------
        ValueError
            If poses and motion are of different numbers of particles.
        """
        if len(poses) != len(self):
            raise ValueError(f"{len(poses)} poses for the motion in {len(self)} particles")
        offset = np.einsum("pij,pj->pi", poses.rotation, self.offset_angstrom)
        return Poses(poses.rotation @ self.rotation, poses.shift_angstrom + offset[:, :2])


def recentred(poses: Poses, point: ArrayLike) -> Poses:
    """Poses about another origin: that of a map in which `point` lies at the box centre.

    With X = Y + p, ``R X + t = R Y + (t + (R p)_xy)``.

    Parameters
    ----------
    poses : Poses
    point : array, shape (3,)
        p, Å about the box centre.
    """
    offset = np.einsum("pij,j->pi", poses.rotation, np.asarray(point, dtype=np.float64))
    return Poses(poses.rotation, poses.shift_angstrom + offset[:, :2])


@dataclass(frozen=True)
class Body:
    """One body: its Gaussians at rest, its motion, and how much it is there.

    Parameters
    ----------
    name : str
        "part_1", for example: of its files.
    label : str
        What the user calls it.
    members : int array, shape (n,)
        Its Gaussians in the model.
    motion : BodyMotion
        In the frame of the poses.
    weight : array, shape (P,)
        How much each particle counts for it: that it is what the model describes, times
        that the body is there; 0 to 1.
    """

    name: str
    label: str
    members: NDArray[np.int64]
    motion: BodyMotion
    weight: FloatArray
