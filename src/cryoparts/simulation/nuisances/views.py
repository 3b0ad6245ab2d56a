"""Orientations with a density of views, as particles at an air-water interface have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.conventions import FloatArray, IntArray

OPTION = "--preferred-views"
_VIEW = re.compile(r"\s*([^,:=]+),([^,:=]+),([^,:=]+):([^,:=]+)=([^,:=]+)\s*")


@dataclass(frozen=True)
class View:
    """A von Mises-Fisher density on the sphere of viewing directions.

    Parameters
    ----------
    direction : (float, float, float)
        Unit vector in the model's frame that points along the electron beam.
    concentration : float
        kappa of the density, which is proportional to exp(kappa cos(angle)).
    share : float
        Of all particles.
    """

    direction: tuple[float, float, float]
    concentration: float
    share: float


def read_views(texts: Sequence[str]) -> tuple[View, ...]:
    """Read "X,Y,Z:CONCENTRATION=SHARE".

    Raises
    ------
    InputError
        If a text is malformed, or the shares are more than 1 together.
    """
    views = []
    cure = "Write X,Y,Z:CONCENTRATION=SHARE, for example 0,0,1:10=0.6."
    for text in texts:
        where = f"{OPTION} {text!r}"
        read = _VIEW.fullmatch(text)
        try:
            x, y, z, concentration, share = (float(t) for t in (read.groups() if read else "?"))
        except ValueError as fault:
            raise InputError(where, "cannot be read", cure) from fault
        length = float(np.sqrt(x * x + y * y + z * z))
        if not (np.isfinite(length) and length > 0.0):
            raise InputError(where, "the direction is 0,0,0, which is none", cure)
        if not (np.isfinite(concentration) and concentration >= 0.0 and 0.0 <= share <= 1.0):
            raise InputError(
                where, "needs a concentration of at least 0 and a share from 0 to 1", cure
            )
        views.append(View((x / length, y / length, z / length), concentration, share))
    if sum(view.share for view in views) > 1.0 + 1e-9:
        raise InputError(OPTION, "the shares are more than 1 together", "Give smaller ones.")
    return tuple(views)


def seen_from(
    rotation: FloatArray, views: Sequence[View], rng: np.random.Generator
) -> tuple[FloatArray, IntArray]:
    """Turn the particles that fall to a view into it; the others stay as they are.

    Parameters
    ----------
    rotation : array, shape (P, 3, 3)
        Uniform over all rotations.
    views : sequence of View
    rng : numpy Generator

    Returns
    -------
    rotation : float64 array, shape (P, 3, 3)
    view : int array, shape (P,)
        Number of the view, -1 for none.
    """
    count = len(rotation)
    shares = np.array([view.share for view in views])
    edges = np.cumsum(shares)
    member = np.searchsorted(edges, rng.random(count), side="right")
    result = rotation.copy()
    for number, view in enumerate(views):
        rows = np.flatnonzero(member == number)
        directions = von_mises_fisher(view, len(rows), rng)
        result[rows] = _looking_along(directions, rng.uniform(0.0, 2.0 * np.pi, len(rows)))
    view_of: IntArray = np.where(member < len(views), member, -1).astype(np.int64)
    return result, view_of


def von_mises_fisher(view: View, count: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors (count, 3) of the density, by inversion (Ulrich 1984; exact on the sphere)."""
    uniform, kappa = rng.random(count), view.concentration
    turn = rng.uniform(0.0, 2.0 * np.pi, count)
    if kappa < 1e-6:
        cosine = 2.0 * uniform - 1.0
    else:
        cosine = 1.0 + np.log(uniform + (1.0 - uniform) * np.exp(-2.0 * kappa)) / kappa
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    along = np.array(view.direction)
    first, second = _perpendicular(along[None])
    vectors: FloatArray = (
        cosine[:, None] * along
        + (sine * np.cos(turn))[:, None] * first
        + (sine * np.sin(turn))[:, None] * second
    )
    return vectors


def _looking_along(directions: FloatArray, in_plane: FloatArray) -> FloatArray:
    """Rotations whose third row, the beam in the model's frame, is the direction."""
    first, second = _perpendicular(directions)
    c, s = np.cos(in_plane)[:, None], np.sin(in_plane)[:, None]
    return np.stack([c * first + s * second, c * second - s * first, directions], axis=1)


def _perpendicular(directions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two unit vectors that make a right-handed frame with each direction (n, 3) as third."""
    other = np.eye(3)[np.argmin(np.abs(directions), axis=1)]
    first = np.cross(other, directions)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(directions, first)
