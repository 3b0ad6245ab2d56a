"""A smooth curve through the middle of a cloud of particles."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.stats import rankdata
from sklearn.manifold import Isomap
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

_NODES = 25
_ROUNDS = 15
_SAMPLE = 1000
_NEIGHBOURS = 15
_CLEARLY_NEARER = 0.8
"""The start that follows a bent cloud is taken if it leaves less than this part of the
squared distance that the straight start leaves."""

_TOO_LONG = 3.0
"""A curve that is this many times as long as the straight one zigzags through noise, unless
it leaves hardly anything."""


@dataclass(frozen=True)
class PrincipalCurve:
    """A curve through P particles.

    Parameters
    ----------
    nodes : array, shape (n, C)
        Points of the curve, in order.
    coordinate : array, shape (P,)
        Arc length of the nearest point of the curve as a fraction of the whole, 0 to 1.
    squared_distance : array, shape (P,)
        To the curve; the ends run on straight.
    """

    nodes: FloatArray
    coordinate: FloatArray
    squared_distance: FloatArray

    @classmethod
    def through(
        cls,
        components: ArrayLike,
        bandwidth: float = 0.1,
        counted: NDArray[np.bool_] | None = None,
    ) -> Self:
        """The principal curve of a cloud.

        Hastie & Stuetzle (1989, J. Am. Stat. Assoc. 84, 502): from a first order of
        the points, in turns smooth the points' coordinates along the curve (a local
        line, Gaussian weights) and project the points on it. First orders are the
        first component and, for clouds that bend back on themselves, the distance
        along the cloud (Isomap of one dimension, Tenenbaum et al. 2000, Science 290,
        2319); the second is taken if its curve passes clearly nearer the points. The
        coordinate runs the way of the first component.

        Parameters
        ----------
        components : array, shape (P, C)
            Principal components of the particles.
        bandwidth : float
            Width of the smoothing as a fraction of the particles.
        counted : bool array, shape (P,), optional
            Particles that the curve goes through, from whose first to whose last the
            coordinate runs; the others have that of the nearest point. Default: all.
        """
        points = np.asarray(components, dtype=np.float64)
        if counted is not None and not counted.all():
            curve = cls.through(points[counted], bandwidth)
            return cls(curve.nodes, *_project(points, curve.nodes, counted))
        straight = points[:, 0]
        if len(points) < 3 or not np.ptp(straight) > 0:
            return cls(points[:0], ranked_fraction(straight), np.zeros(len(points)))
        curve = cls._refined(points, straight, bandwidth)
        if points.shape[1] > 1 and len(points) > 2 * _NEIGHBOURS:
            bent = cls._refined(points, _along_the_cloud(points), bandwidth / 2)
            nearer = bent.squared_distance.mean() / max(curve.squared_distance.mean(), 1e-300)
            longer = bent.length / max(curve.length, 1e-300)
            if nearer < _CLEARLY_NEARER and (longer < _TOO_LONG or nearer < 0.1):
                curve = bent
        forward = np.corrcoef(curve.coordinate, straight)[0, 1] if curve._spread > 0 else 1.0
        return curve.reversed() if forward < 0 else curve

    @classmethod
    def _refined(cls, points: FloatArray, order: FloatArray, bandwidth: float) -> Self:
        coordinate, nodes = order, points[:0]
        squared = np.zeros(len(points))
        for _ in range(_ROUNDS if points.shape[1] > 1 else 1):
            nodes = _smoothed(points, ranked_fraction(coordinate), bandwidth)
            updated, squared = _project(points, nodes)
            settled = np.allclose(updated, coordinate, atol=1e-4)
            coordinate = updated
            if settled:
                break
        return cls(nodes, coordinate, squared)

    @property
    def length(self) -> float:
        """Arc length from the first node to the last, in the unit of the components."""
        return float(np.linalg.norm(np.diff(self.nodes, axis=0), axis=1).sum())

    @property
    def _spread(self) -> float:
        return float(np.ptp(self.coordinate))

    def reversed(self) -> Self:
        """The same curve from its other end."""
        return type(self)(self.nodes[::-1], 1.0 - self.coordinate, self.squared_distance)


def ranked_fraction(values: FloatArray) -> FloatArray:
    """Rank of each value as a fraction from 0 to 1."""
    rank: FloatArray = (rankdata(values, method="ordinal") - 1.0) / max(len(values) - 1, 1)
    return rank


def _along_the_cloud(points: FloatArray) -> FloatArray:
    """Order of the points by their distance along the cloud, from a sample of them."""
    rows = np.unique(np.linspace(0, len(points) - 1, _SAMPLE).astype(np.int64))
    sample = points[rows]
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore")  # a cloud in several pieces is joined up by Isomap
        order = Isomap(n_neighbors=_NEIGHBOURS, n_components=1).fit_transform(sample)[:, 0]
    near = NearestNeighbors(n_neighbors=3).fit(sample).kneighbors(points, return_distance=False)
    spread: FloatArray = np.asarray(order, dtype=np.float64)[near].mean(axis=1)
    return spread


def _smoothed(points: FloatArray, fraction: FloatArray, bandwidth: float) -> FloatArray:
    """Nodes (n, C) of the curve: local means of the points along it."""
    stations = np.linspace(0.0, 1.0, min(_NODES, len(points)))
    weight = np.exp(-0.5 * ((stations[:, None] - fraction[None, :]) / bandwidth) ** 2)
    # a local line, not a local mean: a mean would shrink the ends inwards
    offset = fraction[None, :] - stations[:, None]
    s0, s1, s2 = (weight.sum(1), (weight * offset).sum(1), (weight * offset**2).sum(1))
    determinant = np.maximum(s0 * s2 - s1**2, 1e-12)
    kernel = weight * (s2[:, None] - s1[:, None] * offset) / determinant[:, None]
    nodes: FloatArray = (kernel / kernel.sum(axis=1, keepdims=True)) @ points
    return nodes


def _project(
    points: FloatArray, nodes: FloatArray, counted: NDArray[np.bool_] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Arc length of the nearest point of the polyline, and the squared distance.

    From 0 to 1 over the `counted` points, all by default; others lie within.
    """
    if not len(nodes):  # those that count are all alike
        return np.zeros(len(points)), np.zeros(len(points))
    steps = np.diff(nodes, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    best = np.full(len(points), np.inf)
    arc = np.zeros(len(points))
    last = len(steps) - 1
    for i, (start, step, length) in enumerate(zip(nodes[:-1], steps, lengths, strict=True)):
        if length == 0:
            continue
        along = (points - start) @ step / length
        # the ends run on straight, so that outer particles keep their order
        along = np.clip(along, None if i == 0 else 0.0, None if i == last else length)
        distance = ((points - start - along[:, None] * (step / length)) ** 2).sum(axis=1)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        arc = np.where(nearer, before[i] + along, arc)
    ends = arc if counted is None else arc[counted]
    spread = np.ptp(ends)
    if not spread > 0:
        return np.zeros(len(points)), best
    fraction = (arc - ends.min()) / spread
    return fraction if counted is None else np.clip(fraction, 0.0, 1.0), best
