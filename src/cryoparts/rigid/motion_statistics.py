"""The motion that a part's particles have in common: its mean screw, with uncertainty.

Turning by t about an axis n through the pivot p, with a slide of h t along it,
moves a part's centre of mass by t v, v = n x (c - p) + h n. The pair (n, v) is the
part's screw. Over the particles it is found as the leading principal component of
their rotation vectors and shifts, measured by the mean square displacement that
they cause: so a slight turn of a long arm counts for what it moves, and the
well-known shift of the centre helps to place the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.seeds import Purpose, random_for
from cryoparts.statistics.by_image import image_count, sums_by_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]

BOOTSTRAP = 200
"""Resamples of the particles behind every uncertainty."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of angles over the particles, as listed in motions.json."""

_CONFIDENCE = 0.95
"""Share of the resampled axes that lie within the error that is told."""

_NO_TURN = 1e-9
"""Rotation over shift, radians an Å, below which a motion has no axis."""

_FEWEST = 3
"""Particles that a mean motion needs."""


@dataclass(frozen=True)
class MeanScrew:
    """The one axis about which a part turns best, over all particles.

    Parameters
    ----------
    axis : array, shape (3,)
        Unit vector, its largest component positive. Where nothing turns, the
        direction of the shift.
    pivot : array, shape (3,)
        The point of the axis nearest to the part's mean centre of mass, Å.
    slide_angstrom_per_degree : float
        Shift along the axis for each degree; 0 for a hinge.
    share : float
        Of the mean square rigid displacement, what this one screw explains.
    turning_share : float
        Of what the screw explains, what its rotation about the centre of mass
        does; the rest is the shift of the centre.
    axis_error_degrees, pivot_error_angstrom : float
        95% of the axes of resampled particles are within this angle of the axis,
        and pass the pivot within this distance; where images of a sample told how the part
        moves, with the error of that (`ScrewError`). Whether the decoder is right, or the
        part is what moves, no resampling tells.
    turns : bool
        False where the screw is a mere shift, and axis and pivot mean no rotation.
    """

    axis: FloatArray
    pivot: FloatArray
    slide_angstrom_per_degree: float
    share: float
    turning_share: float
    axis_error_degrees: float
    pivot_error_angstrom: float
    turns: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return {
            "axis": self.axis.tolist(),
            "pivot_angstrom": self.pivot.tolist(),
            "slide_angstrom_per_degree": self.slide_angstrom_per_degree,
            "share_of_rigid_motion": self.share,
            "turning_share": self.turning_share,
            "axis_error_degrees": self.axis_error_degrees,
            "pivot_error_angstrom": self.pivot_error_angstrom,
            "turns": self.turns,
        }


@dataclass(frozen=True)
class ScrewError:
    """How far a screw that particles have in common is off, with 95% confidence.

    Parameters
    ----------
    axis_degrees, pivot_angstrom : float
    """

    axis_degrees: float = 0.0
    pivot_angstrom: float = 0.0

    @classmethod
    def of(cls, screw: FloatArray, without: FloatArray) -> Self:
        """By a jackknife (Quenouille 1956, Biometrika 43, 353).

        Parameters
        ----------
        screw : array, shape (6,)
            Rotation vector and shift, found from all particles.
        without : array, shape (G, 6)
            Found without one of G groups of them at a time.
        """
        centre = np.zeros(3)
        axis, pivot, _, _ = (found[0] for found in _decompose(screw[None], centre))
        axes, pivots, _, _ = _decompose(without, centre)
        # of two directions each, so that 95% of a normal distribution in the plane is within
        scale = (len(without) - 1) * -np.log(1.0 - _CONFIDENCE)
        return cls(
            *(float(np.sqrt(scale * np.mean(off**2))) for off in _apart(axis, pivot, axes, pivots))
        )


def mean_screw(
    motions: RigidMotions,
    *,
    image: NDArray[np.int64] | None = None,
    seed: int = 0,
    resamples: int = BOOTSTRAP,
    beside: ScrewError | None = None,
) -> MeanScrew:
    """The screw that explains most of a part's rigid motion about its mean place.

    Motions are taken about the mean rotation and the mean centre, so that a
    neutral model at one end of the motion, or off it, does no harm.

    Parameters
    ----------
    motions : RigidMotions
        Of the particles in which the part is there; relative to the core.
    image : int array, shape (P,), optional
        Number of each row's image: whole images are resampled. Default: an image a row.
    seed : int
        Of the bootstrap over the particles.
    resamples : int
    beside : ScrewError, optional
        Of the ways in which the part moves, where the motions are along ways that were found
        from other particles.

    Raises
    ------
    ValueError
        If there are fewer than 3 particles.
    """
    beside = beside or ScrewError()
    count = len(motions)
    if count < _FEWEST:
        raise ValueError(f"a mean motion needs at least {_FEWEST} particles, got {count}")
    mean = Rotation.from_matrix(motions.rotation).mean()
    turns = (Rotation.from_matrix(motions.rotation) * mean.inv()).as_rotvec()
    middle = motions.shift_angstrom.mean(axis=0)
    second = mean.as_matrix() @ motions.second @ mean.as_matrix().T
    root, inverse_root = displacement_metric(second)
    screws = np.concatenate([turns, motions.shift_angstrom - middle], axis=1) @ root
    covariance = np.cov(screws.T, bias=True)
    variance, patterns = np.linalg.eigh(covariance)
    leading = inverse_root @ patterns[:, -1]
    centre = motions.centre + middle
    axis, pivot, slide, rotates = (v[0] for v in _decompose(leading[None], centre))
    # towards the largest component: the same motion gets the same sign everywhere
    sign = 1.0 if axis[np.abs(axis).argmax()] >= 0 else -1.0
    total = max(float(variance.sum()), 1e-300)
    axis_error, pivot_error = _bootstrap(
        screws,
        image,
        inverse_root,
        centre,
        axis,
        pivot,
        random_for(seed, Purpose.AXIS_BOOTSTRAP),
        resamples,
    )
    return MeanScrew(
        axis=sign * axis,
        pivot=pivot,
        slide_angstrom_per_degree=float(np.deg2rad(slide)),
        share=float(variance[-1]) / total if variance[-1] > 0 else 0.0,
        turning_share=float((patterns[:3, -1] ** 2).sum()),
        axis_error_degrees=float(np.hypot(axis_error, beside.axis_degrees)),
        pivot_error_angstrom=float(np.hypot(pivot_error, beside.pivot_angstrom)),
        turns=bool(rotates),
    )


def distribution(values: FloatArray) -> dict[str, float]:
    """Mean, standard deviation and quantiles of a number over the particles."""
    summary = {"mean": float(np.mean(values)), "deviation": float(np.std(values))}
    levels = np.quantile(values, QUANTILES)
    return summary | {
        f"quantile_{round(100 * q):02d}": float(level)
        for q, level in zip(QUANTILES, levels, strict=True)
    }


def displacement_metric(second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Root of the quadratic form that gives the mean square displacement, and its inverse.

    A rotation vector w displaces by w x a: its form is trace(S) - S with S the mean
    of a a^T; that of the shift is the identity.
    """
    inertia = np.trace(second) * np.eye(3) - second
    moment, axes = np.linalg.eigh(inertia)
    moment = np.maximum(moment, 1e-9 * max(float(moment.max()), 1e-9))
    root, inverse = np.eye(6), np.eye(6)
    root[:3, :3] = axes @ np.diag(np.sqrt(moment)) @ axes.T
    inverse[:3, :3] = axes @ np.diag(1 / np.sqrt(moment)) @ axes.T
    return root, inverse


def _decompose(
    screws: FloatArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    """Axes, pivots, slides (Å a radian) of screws (B, 6), and whether they turn."""
    turn, shift = screws[:, :3], screws[:, 3:]
    rate, speed = np.linalg.norm(turn, axis=1), np.linalg.norm(shift, axis=1)
    turns = rate > _NO_TURN * np.maximum(speed, 1e-300)
    safe = np.where(turns, rate, 1.0)[:, None]
    still = shift / np.maximum(speed, 1e-300)[:, None]
    axis = np.where(turns[:, None], turn / safe, still)
    velocity = shift / safe
    pivot = centre + np.where(turns[:, None], np.cross(axis, velocity), 0.0)
    slide = np.where(turns, (axis * velocity).sum(axis=1), 0.0)
    return axis, pivot, slide, turns


def _bootstrap(
    screws: FloatArray,
    image: NDArray[np.int64] | None,
    inverse_root: FloatArray,
    centre: FloatArray,
    axis: FloatArray,
    pivot: FloatArray,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float, float]:
    """Angles between the axes of resampled particles and the axis, and distances; 95% each."""
    products = (screws[:, :, None] * screws[:, None, :]).reshape(len(screws), 36)
    rows = np.ones(len(screws))
    if image is not None and image_count(image, len(rows)) < len(rows):
        screws, products, rows = (sums_by_image(x, image) for x in (screws, products, rows))
    count = len(screws)
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn = times / (times @ rows)[:, None]
    means = drawn @ screws
    covariance = (drawn @ products).reshape(-1, 6, 6) - means[:, :, None] * means[:, None, :]
    leading = np.linalg.eigh(covariance)[1][:, :, -1] @ inverse_root.T
    axes, pivots, _, _ = _decompose(leading, centre)
    angles, distance = _apart(axis, pivot, axes, pivots)
    return float(np.quantile(angles, _CONFIDENCE)), float(np.quantile(distance, _CONFIDENCE))


def _apart(
    axis: FloatArray, pivot: FloatArray, axes: FloatArray, pivots: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Angles (B,) of axes with an axis, degrees, and distances (B,) in which they pass a pivot."""
    angles = np.rad2deg(np.arccos(np.clip(np.abs(axes @ axis), 0.0, 1.0)))
    apart = pivot - pivots
    distance = np.linalg.norm(apart - (apart * axes).sum(axis=1, keepdims=True) * axes, axis=1)
    return angles, distance
