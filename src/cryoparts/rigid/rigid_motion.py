"""The rigid-body motion of one part in each of many particles.

A part's Gaussians lie at x in the neutral model and at x + u in a particle. The
best rigid motion is the rotation R about the part's centre and the shift of that
centre with the least sum of w |R a - b|^2, where a, b are a Gaussian's places
about the centre before and after and w its weight (Kabsch 1976, Acta Cryst. A32,
922). It follows from a few sums over the Gaussians, so all particles are solved at
once, and they may come in chunks.

Rotations are right-handed: a positive angle turns counter-clockwise for a viewer
towards whom the axis points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_FLAT = 1e-6
"""Points whose second widest direction is this much narrower (variance) are a line."""

MOVES_ALONG = 0.04
"""Trust of a Gaussian whose misfit is twice the typical one."""

_ROUNDS = 6
"""Rounds of reweighting of a robust fit."""


@dataclass(frozen=True)
class RigidMotions:
    """Rigid motions of one part in P particles, and what is left of the displacement.

    Parameters
    ----------
    centre : array, shape (3,)
        Weighted centre in the neutral model, Å.
    second : array, shape (3, 3)
        Weighted mean of a a^T in the neutral model, Å².
    cross : array, shape (P, 3, 3)
        Weighted mean of a b^T, Å².
    rotation : array, shape (P, 3, 3)
        About the centre; the identity where the Gaussians lie on a line.
    shift_angstrom : array, shape (P, 3)
        Displacement of the centre.
    displacement_rms_angstrom : array, shape (P,)
        Root mean square displacement of the Gaussians, by mass.
    residual_rms_angstrom : array, shape (P,)
        The same after the rigid motion: what is deformation, or noise.
    """

    centre: FloatArray
    second: FloatArray
    cross: FloatArray
    rotation: FloatArray
    shift_angstrom: FloatArray
    displacement_rms_angstrom: FloatArray
    residual_rms_angstrom: FloatArray

    def __len__(self) -> int:
        return len(self.rotation)

    @property
    def rotation_vectors(self) -> FloatArray:
        """Axis times angle in radians, shape (P, 3)."""
        return np.asarray(Rotation.from_matrix(self.rotation).as_rotvec())

    @property
    def angle_degrees(self) -> FloatArray:
        """Angle of rotation, 0 to 180, shape (P,)."""
        return np.asarray(np.rad2deg(np.linalg.norm(self.rotation_vectors, axis=1)))

    @property
    def mean_square_angstrom(self) -> FloatArray:
        """Of the displacements by the rigid motions, over the part, Å², shape (P,)."""
        away = self.rotation - np.eye(3)
        turned = np.einsum("pij,jk,pik->p", away, self.second, away)
        return np.asarray(turned + (self.shift_angstrom**2).sum(axis=1))

    def take(self, rows: NDArray[np.generic]) -> Self:
        """The motions in the chosen particles (indices or a mask)."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _PER_PARTICLE})

    def displace(self, positions: ArrayLike) -> FloatArray:
        """Displacements (P, n, 3) of points (n, 3) that move along rigidly, Å."""
        return displaced_by(positions, self.centre, self.rotation, self.shift_angstrom)

    def angles_about(self, axis: ArrayLike, pivot: ArrayLike) -> FloatArray:
        """Angle, degrees, by which turning about one axis fits each particle best, shape (P,).

        Parameters
        ----------
        axis : array, shape (3,)
            Unit vector; positive angles are right-handed about it.
        pivot : array, shape (3,)
            A point of the axis, Å.
        """
        along, arm = np.asarray(axis, dtype=np.float64), self.centre - np.asarray(pivot)
        product = self.cross + arm[None, :, None] * (arm + self.shift_angstrom)[:, None, :]
        turned = _curl(product) @ along
        held = _trace(product) - np.einsum("i,pij,j->p", along, product, along)
        return np.asarray(np.rad2deg(np.arctan2(turned, held)))


_PER_PARTICLE = (
    "cross",
    "rotation",
    "shift_angstrom",
    "displacement_rms_angstrom",
    "residual_rms_angstrom",
)


def displaced_by(
    positions: ArrayLike, centre: ArrayLike, rotation: FloatArray, shift_angstrom: FloatArray
) -> FloatArray:
    """Displacements (P, n, 3) of points (n, 3) that move rigidly, Å.

    Parameters
    ----------
    positions : array, shape (n, 3)
        Å.
    centre : array, shape (3,)
        Å.
    rotation : array, shape (P, 3, 3)
        About the centre.
    shift_angstrom : array, shape (P, 3)
        Of the centre.
    """
    arms = np.asarray(positions, dtype=np.float64) - np.asarray(centre)
    # one matrix product for all particles
    turned = np.swapaxes(np.tensordot(rotation, arms, axes=(2, 1)), 1, 2)
    return np.asarray(turned - arms + shift_angstrom[:, None, :])


def fit_rigid_motions(
    positions: ArrayLike,
    displacements: ArrayLike,
    masses: ArrayLike,
    trust: ArrayLike | None = None,
) -> RigidMotions:
    """The best rigid motion of a part in every particle.

    Parameters
    ----------
    positions : array, shape (n, 3)
        The part's Gaussians in the neutral model, Å.
    displacements : array, shape (P, n, 3)
        Å.
    masses : array, shape (n,)
        Of a positive sum.
    trust : array, shape (n,), optional
        Factors on the masses as weights of the fit, see `rigid_trust`; mean squares
        are by mass alone.

    Raises
    ------
    ValueError
        If the part has no Gaussians or mass, or shapes disagree.
    """
    points = np.asarray(positions, dtype=np.float64)
    moved = np.asarray(displacements, dtype=np.float64)
    mass = np.asarray(masses, dtype=np.float64)
    count = len(points)
    if not count or points.shape != (count, 3) or moved.shape[1:] != (count, 3):
        raise ValueError(f"positions {points.shape} do not fit displacements {moved.shape}")
    if mass.shape != (count,) or (mass < 0).any() or not mass.sum() > 0:
        raise ValueError("every Gaussian needs a mass, and they cannot all be 0")
    weight = mass if trust is None else mass * np.asarray(trust)
    weight = weight / weight.sum()
    centre = weight @ points
    arms = points - centre
    second = arms.T @ (weight[:, None] * arms)
    shift = np.tensordot(moved, weight, axes=(1, 0))
    cross = second + _products(arms, moved, weight)
    fitted = RigidMotions(
        centre=centre,
        second=second,
        cross=cross,
        rotation=_kabsch(cross),
        shift_angstrom=shift,
        displacement_rms_angstrom=_rms(moved, mass),
        residual_rms_angstrom=np.zeros(len(moved)),
    )
    return replace(fitted, residual_rms_angstrom=_rms(moved - fitted.displace(points), mass))


def rigid_trust(positions: ArrayLike, displacements: ArrayLike, masses: ArrayLike) -> FloatArray:
    """How well each Gaussian goes along with its part's rigid motion, 0 to 1, shape (n,).

    The border of a part is never quite right, and Gaussians of a neighbour that
    stays behind pull the axis towards themselves. Gaussians are weighted by
    (1 + (r / r0)^2)^-2 (Geman & McClure 1987), r the root mean square misfit of a
    Gaussian over the particles, r0 its median by mass, until the fit rests on those
    that move as one. Where all fit alike, all weigh alike.

    Parameters
    ----------
    positions : array, shape (n, 3)
    displacements : array, shape (S, n, 3)
        Of a sample of particles, Å.
    masses : array, shape (n,)
    """
    moved = np.asarray(displacements, dtype=np.float64)
    mass = np.asarray(masses, dtype=np.float64)
    trust = np.ones(len(mass))
    for _ in range(_ROUNDS):
        fitted = fit_rigid_motions(positions, moved, mass, trust)
        misfit = np.sqrt(((moved - fitted.displace(positions)) ** 2).sum(axis=2).mean(axis=0))
        typical = _weighted_median(misfit, mass)
        if typical <= _FLAT * max(float(misfit.max()), _FLAT):
            return np.asarray((misfit <= typical + _FLAT).astype(np.float64))
        trust = (1 + (misfit / typical) ** 2) ** -2
    return trust


def without_core_motion(
    positions: ArrayLike, displacements: ArrayLike, core: RigidMotions
) -> FloatArray:
    """Displacements as seen from the core, whose own rigid motion is undone.

    A rotation of the whole molecule cannot be told from an error of the pose, so
    only motions of parts against each other have a meaning.

    Parameters
    ----------
    positions : array, shape (n, 3)
        Å.
    displacements : array, shape (P, n, 3)
        Å.
    core : RigidMotions
        Of the same P particles.

    Returns
    -------
    array, shape (P, n, 3)
    """
    points = np.asarray(positions, dtype=np.float64)
    moved = np.asarray(displacements, dtype=np.float64)
    return undone(points + moved, core) - points


def undone(places: FloatArray, motions: RigidMotions) -> FloatArray:
    """Places (P, n, 3) before rigid motions have taken them to where they are, Å."""
    arms = places - motions.centre - motions.shift_angstrom[:, None, :]
    # row vectors times R are R^T applied to columns
    return np.asarray(arms @ motions.rotation + motions.centre)


def join_particles(pieces: Sequence[RigidMotions]) -> RigidMotions:
    """The motions of one part, given for several sets of particles one after the other."""
    joined = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in _PER_PARTICLE}
    return replace(pieces[0], **joined)


def _products(arms: FloatArray, moved: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted means of a u^T over the Gaussians, shape (P, 3, 3)."""
    sums = np.tensordot(weight[:, None] * arms, moved, axes=(0, 1))
    return np.asarray(np.swapaxes(sums, 0, 1))


def _rms(vectors: FloatArray, mass: FloatArray) -> FloatArray:
    """Root of the mean over the Gaussians of the squared length, by mass, shape (P,)."""
    return np.asarray(np.sqrt((vectors**2).sum(axis=2) @ mass / mass.sum()))


def _weighted_median(values: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def _kabsch(cross: FloatArray) -> FloatArray:
    """Rotations R (P, 3, 3) with the largest trace(R cross), never a mirror."""
    left, width, right = np.linalg.svd(cross)
    sign = np.linalg.det(left @ right)
    right = right.copy()
    right[:, 2] *= sign[:, None]
    rotation = np.swapaxes(left @ right, 1, 2)
    # of points on a line the rotation about the line is anything: then there is none
    line = width[:, 1] <= _FLAT * np.maximum(width[:, 0], 1e-300)
    rotation[line] = np.eye(3)
    return np.asarray(rotation)


def _trace(matrices: FloatArray) -> FloatArray:
    return np.asarray(np.trace(matrices, axis1=-2, axis2=-1))


def _curl(product: FloatArray) -> FloatArray:
    """Mean of a x b from the means of a b^T."""
    return np.stack(
        [
            product[:, 1, 2] - product[:, 2, 1],
            product[:, 2, 0] - product[:, 0, 2],
            product[:, 0, 1] - product[:, 1, 0],
        ],
        axis=1,
    )
