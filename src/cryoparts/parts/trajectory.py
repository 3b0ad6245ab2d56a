"""Particles ordered along a curve through their cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

_NODES = 25
_ROUNDS = 15


def curve_coordinate(components: ArrayLike, bandwidth: float = 0.1) -> FloatArray:
    """Position of each point along the cloud's principal curve, from 0 to 1.

    Hastie & Stuetzle (1989, J. Am. Stat. Assoc. 84, 502): start from the first
    component, then in turns smooth the points' coordinates along the curve and
    project the points on it. The coordinate is the arc length as a fraction of
    the curve, and runs the way of the first component.

    Parameters
    ----------
    components : array, shape (P, C)
        Principal components of the particles.
    bandwidth : float
        Width of the smoothing as a fraction of the particles.
    """
    points = np.asarray(components, dtype=np.float64)
    if len(points) < 3 or not np.ptp(points[:, 0]) > 0:
        return _ranked_fraction(points[:, 0])
    order = points[:, 0]
    coordinate = order
    for _ in range(_ROUNDS if points.shape[1] > 1 else 1):
        nodes = _smoothed(points, _ranked_fraction(coordinate), bandwidth)
        updated = _project(points, nodes)
        if np.allclose(updated, coordinate, atol=1e-4):
            break
        coordinate = updated
    forward = float(np.corrcoef(coordinate, order)[0, 1]) if np.ptp(coordinate) > 0 else 1.0
    return 1.0 - coordinate if forward < 0 else coordinate


def cut_into_states(coordinate: ArrayLike, n_states: int) -> IntArray:
    """States 1 ... n of equally many particles each, along a coordinate.

    Raises
    ------
    ValueError
        If there are fewer particles than states.
    """
    values = np.asarray(coordinate, dtype=np.float64)
    if not 1 <= n_states <= len(values):
        raise ValueError(f"cannot cut {len(values)} particles into {n_states} states")
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    states: IntArray = rank * n_states // len(values) + 1
    return states


def _ranked_fraction(values: FloatArray) -> FloatArray:
    """Rank of each value as a fraction from 0 to 1."""
    rank = np.empty(len(values))
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return rank / max(len(values) - 1, 1)


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


def _project(points: FloatArray, nodes: FloatArray) -> FloatArray:
    """Arc length (0 to 1) of the nearest point of the polyline through the nodes."""
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
    spread = np.ptp(arc)
    return (arc - arc.min()) / spread if spread > 0 else np.zeros(len(points))
