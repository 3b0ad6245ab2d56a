"""Decoder output as a trained model would give it, with known parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryoparts.inference.decoded import Decoded


def decoded(amplitudes: np.ndarray | None, displacements: np.ndarray | None) -> Decoded:
    """A decoder's answer for particles without names of their own."""
    some = amplitudes if displacements is None else displacements
    return Decoded(np.arange(len(some)).astype(str), amplitudes, displacements)


@dataclass(frozen=True)
class Synthetic:
    positions: np.ndarray
    segments: np.ndarray  # (N,), 0 is the core
    amplitudes: np.ndarray | None = None  # (S, N)
    displacements: np.ndarray | None = None  # (S, N, 3)
    states: np.ndarray | None = None  # (S, segments)


def compact_pieces(rng, n_gaussians, n_segments, spread):
    """A ball of points 5 Å apart or so, cut into compact pieces of unlike sizes."""
    radius = 5.0 * (n_gaussians * 3 / (4 * np.pi)) ** (1 / 3)
    points = rng.normal(size=(4 * n_gaussians, 3))
    points *= (radius * rng.random((len(points), 1)) ** (1 / 3)) / np.linalg.norm(
        points, axis=1, keepdims=True
    )
    positions = points[:n_gaussians]
    for _ in range(5):  # Lloyd: an even spacing
        nearest = cKDTree(positions).query(points)[1]
        sums = np.stack([np.bincount(nearest, points[:, i], n_gaussians) for i in range(3)], axis=1)
        counts = np.bincount(nearest, minlength=n_gaussians)[:, None]
        positions = np.where(counts > 0, sums / np.maximum(counts, 1), positions)
    centres = positions[rng.choice(n_gaussians, n_segments, replace=False)]
    weights = spread * radius**2 * rng.random(n_segments)
    squared = ((positions[:, None] - centres) ** 2).sum(axis=2) - weights
    label = squared.argmin(axis=1)
    sizes = np.bincount(label, minlength=n_segments)
    rank = np.empty(n_segments, dtype=int)
    rank[np.argsort(-sizes)] = np.arange(n_segments)
    return positions, rank[label]


def blur(positions, values, neighbours):
    """Spatial smoothing as a decoder's interpolation does it; values (..., N)."""
    distance, near = cKDTree(positions).query(positions, k=neighbours)
    weight = np.exp(-1.5 * (distance / np.median(distance[:, -1])) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("...nk,nk->...n", values[..., near], weight)


def composition(seed, n_gaussians=2048, n_segments=9, particles=400, noise=0.15, scale=0.05):
    rng = np.random.default_rng(seed)
    while True:
        positions, segments = compact_pieces(rng, n_gaussians, n_segments, 0.6)
        if np.bincount(segments, minlength=n_segments).min() >= max(0.01 * n_gaussians, 5):
            break
    present = rng.random((particles, n_segments)) < 0.5
    present[:, 0] = True
    level = np.where(
        present, rng.uniform(0.9, 1.2, present.shape), rng.uniform(0.1, 0.3, present.shape)
    )
    level[:, 0] = rng.uniform(0.95, 1.05, particles)
    amplitudes = blur(positions, level[:, segments], 7)
    amplitudes *= 1 + scale * rng.normal(size=(particles, 1))
    amplitudes += noise * rng.normal(size=amplitudes.shape)
    return Synthetic(positions, segments, amplitudes=amplitudes, states=present)


def motion(seed, n_gaussians=1024, particles=300, noise=0.4, degrees=15.0):
    rng = np.random.default_rng(seed)
    while True:
        positions, segments = compact_pieces(rng, n_gaussians, 4, 0.15)
        if np.bincount(segments, minlength=4).min() >= 0.06 * n_gaussians:
            break
    angles = rng.uniform(-degrees, degrees, (particles, 4))
    moved = np.zeros((particles, n_gaussians, 3))
    for region in range(1, 4):
        inside = segments == region
        centre = positions[inside].mean(axis=0)
        border = positions[inside][
            cKDTree(positions[segments == 0]).query(positions[inside])[0].argmin()
        ]
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        pivot = 0.5 * (centre + border)
        turns = Rotation.from_rotvec(np.deg2rad(angles[:, region, None]) * axis).as_matrix()
        arm = positions[inside] - pivot
        moved[:, inside] = np.einsum("sij,nj->sni", turns, arm) - arm
    moved = np.moveaxis(blur(positions, np.moveaxis(moved, 2, 0), 7), 0, 2)
    moved += noise * rng.normal(size=moved.shape)
    return Synthetic(positions, segments, displacements=moved, states=angles)
