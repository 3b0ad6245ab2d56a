"""Particles described by the Gaussians of one part, or of several, only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parts.changes import SMALLEST_DISPLACEMENT_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_BATCH = 4096
_MOST_GAUSSIANS = 600
_EXPLAINED = 0.01


@dataclass(frozen=True)
class ParticleFeatures:
    """What one part, or K parts, do in each of P particles.

    Parameters
    ----------
    components : array, shape (P, C)
        Principal components, at most ten, each explaining at least 1% of the
        variance; unit: root mean square change of one Gaussian (amplitude 1, or
        one displacement unit). At least one column.
    mean_amplitude : array, shape (P,)
        Mean relative amplitude of the Gaussians, 1 where not varied.
    displacement_rms_angstrom : array, shape (P,)
        Root mean square displacement of the Gaussians, 0 where not varied.
    amplitude_of_part, displacement_of_part : arrays, shape (P, K)
        The same of each part by itself.
    """

    components: FloatArray
    mean_amplitude: FloatArray
    displacement_rms_angstrom: FloatArray
    amplitude_of_part: FloatArray
    displacement_of_part: FloatArray

    def __len__(self) -> int:
        return len(self.components)


def describe_particles(
    members: NDArray[np.bool_] | NDArray[np.integer],
    relative_amplitudes: NDArray[np.floating] | None = None,
    displacements: NDArray[np.floating] | None = None,
    *,
    max_components: int = 10,
) -> ParticleFeatures:
    """Embed particles by their parts' Gaussians: amplitudes and displacements, then PCA.

    The arrays are read in batches, so they may be memory-mapped. Of parts of more
    than 600 Gaussians together every n-th is taken, which says the same. Of several
    parts each counts as much as another, whatever their sizes.

    Parameters
    ----------
    members : bool or int array, shape (N,)
        The Gaussians of one part; or for each Gaussian the number (1 ...) of its
        part, 0 where it is not looked at.
    relative_amplitudes : array, shape (P, N), optional
    displacements : array, shape (P, N, 3), optional
        Å.
    max_components : int

    Raises
    ------
    ValueError
        If there are no Gaussians, or neither output is given.
    """
    index = np.flatnonzero(members)
    outputs = [a for a in (relative_amplitudes, displacements) if a is not None]
    if not len(index) or not outputs:
        raise ValueError("a part needs Gaussians, and amplitudes or displacements of particles")
    chosen = _thinned(index, members)
    averaging, weight = _weights(np.asarray(members)[chosen].astype(np.int64))
    count, parts = len(outputs[0]), averaging.shape[1]
    amplitude, squared = np.ones((count, parts)), np.zeros((count, parts))
    for rows in _batches(count):
        if relative_amplitudes is not None:
            amplitude[rows] = relative_amplitudes[rows][:, chosen] @ averaging
        if displacements is not None:
            moved = displacements[rows][:, chosen].astype(np.float64)
            squared[rows] = (moved**2).sum(axis=2) @ averaging
    share = averaging.astype(bool).mean(axis=0)  # of the Gaussians, for means over all parts
    unit = max(float(np.sqrt(np.mean(squared))), SMALLEST_DISPLACEMENT_UNIT)

    def features(rows: slice) -> FloatArray:
        blocks = []
        if relative_amplitudes is not None:
            blocks.append(relative_amplitudes[rows][:, chosen].astype(np.float64) * weight)
        if displacements is not None:
            moved = displacements[rows][:, chosen].astype(np.float64) * (weight / unit)[:, None]
            blocks.append(moved.reshape(len(moved), -1))
        return np.concatenate(blocks, axis=1)

    total = sum(features(rows).sum(axis=0) for rows in _batches(count))
    mean = np.asarray(total / count)
    covariance = np.asarray(
        sum((f := features(rows) - mean).T @ f for rows in _batches(count)) / count
    )
    axes = _leading_axes(covariance, max_components)
    return ParticleFeatures(
        np.concatenate([(features(rows) - mean) @ axes for rows in _batches(count)]),
        amplitude @ share,
        np.sqrt(squared @ share),
        amplitude,
        np.sqrt(squared),
    )


def _thinned(index: NDArray[np.int64], members: NDArray[np.generic]) -> NDArray[np.int64]:
    """Every n-th Gaussian of each part, so that about 600 are left."""
    step = -(-len(index) // _MOST_GAUSSIANS)
    part = np.asarray(members)[index].astype(np.int64)
    return np.sort(np.concatenate([index[part == k][::step] for k in np.unique(part)]))


def _weights(part: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Averaging over each of the K parts (n, K), and each Gaussian's weight as a feature (n,)."""
    inside = part[:, None] == np.unique(part)
    averaging = inside / inside.sum(axis=0)
    return averaging, np.sqrt(averaging.sum(axis=1) / inside.shape[1])


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, min(start + _BATCH, count))


def _leading_axes(covariance: FloatArray, most: int) -> FloatArray:
    variance, axes = np.linalg.eigh(covariance)
    order = np.argsort(-variance)[:most]
    explained = variance[order] / max(float(variance.sum()), 1e-300)
    chosen = axes[:, order[: max(int((explained > _EXPLAINED).sum()), 1)]]
    # towards more: the first axes then mean more density where amplitudes vary
    signs = np.sign(chosen.sum(axis=0))
    oriented: FloatArray = chosen * np.where(signs == 0, 1, signs)
    return oriented
