"""The shape that a part has at rest: what is left of its places when its motions are undone.

A part that turns to and fro is, on average, nearer to its axis than it is in any particle: the
mean of ``R x`` over rotations R is ``<cos> x`` across the axis. Displacements from the mean
places would have angles that are too small (by 7% where angles scatter by 17°), and shapes that
shrink. So the shape at rest is the mean of the shapes, each turned and shifted back (generalised
Procrustes analysis: Gower 1975, Psychometrika 40, 33).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.rigid.rigid_motion import fit_rigid_motions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]

ROUNDS = 4
"""Of undoing the motions and averaging anew: what changes falls to a tenth in each."""


def rest_shape(
    positions: ArrayLike, displacements: ArrayLike, masses: ArrayLike, trust: ArrayLike
) -> FloatArray:
    """Places (n, 3) of a part's Gaussians at rest, Å.

    They lie and are turned as the positions given are: no rigid motion is between the two.

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
        fitted = fit_rigid_motions(rest, places - rest, masses, trust)
        rest = undone(places, fitted).mean(axis=0)
        about = fit_rigid_motions(points, (rest - points)[None], masses, trust)
        rest = undone(rest[None], about)[0]
    return rest


def undone(places: FloatArray, motions: RigidMotions) -> FloatArray:
    """Places (P, n, 3) before rigid motions have taken them to where they are."""
    arms = places - motions.centre - motions.shift_angstrom[:, None, :]
    # row vectors times R are R^T applied to columns
    return np.asarray(arms @ motions.rotation + motions.centre)
