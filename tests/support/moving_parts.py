"""Displacements of parts that move rigidly, with known axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Hinged:
    positions: np.ndarray  # (n, 3)
    masses: np.ndarray
    displacements: np.ndarray  # (P, n, 3)
    axis: np.ndarray
    pivot: np.ndarray
    angles: np.ndarray  # degrees


def turn(points, axis, pivot, angles, slide=0.0):
    """Displacements (P, n, 3) of points turned about an axis, sliding `slide` Å a degree."""
    rotations = Rotation.from_rotvec(np.deg2rad(angles)[:, None] * axis).as_matrix()
    arms = points - pivot
    moved = np.einsum("pij,nj->pni", rotations, arms) - arms
    return moved + (slide * angles)[:, None, None] * axis


def hinged(rng, n=60, particles=200, degrees=(-12.0, 12.0), noise=0.0, slide=0.0, reach=25.0):
    shape = rng.uniform(8.0, 20.0, 3)
    positions = rng.normal(size=(n, 3)) * shape + rng.normal(size=3) * 40
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    pivot = positions.mean(axis=0) + rng.normal(size=3) * reach / np.sqrt(3)
    angles = rng.uniform(*degrees, particles)
    moved = turn(positions, axis, pivot, angles, slide)
    moved = moved + noise * rng.normal(size=moved.shape)
    return Hinged(positions, rng.uniform(0.5, 2, n), moved, axis, pivot, angles)


def axis_error(found, true):
    return np.rad2deg(np.arccos(min(abs(float(found @ true)), 1.0)))


def off_axis(point, pivot, axis):
    return float(np.linalg.norm(np.cross(point - pivot, axis)))
