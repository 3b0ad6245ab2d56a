"""Particles described by the Gaussians of one part only."""

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
    """What one part does in each of P particles.

    Parameters
    ----------
    components : array, shape (P, C)
        Principal components, at most ten, each explaining at least 1% of the
        variance; unit: root mean square change of one Gaussian (amplitude 1, or
        one displacement unit). At least one column.
    mean_amplitude : array, shape (P,)
        Mean relative amplitude of the part's Gaussians, 1 where not varied.
    displacement_rms_angstrom : array, shape (P,)
        Root mean square displacement of the part's Gaussians, 0 where not varied.
    """

    components: FloatArray
    mean_amplitude: FloatArray
    displacement_rms_angstrom: FloatArray

    def __len__(self) -> int:
        return len(self.components)


def describe_particles(
    members: NDArray[np.bool_],
    relative_amplitudes: NDArray[np.floating] | None = None,
    displacements: NDArray[np.floating] | None = None,
    *,
    max_components: int = 10,
) -> ParticleFeatures:
    """Embed particles by one part's Gaussians: amplitudes and displacements, then PCA.

    The arrays are read in batches, so they may be memory-mapped. Of a part of
    more than 600 Gaussians every n-th is taken, which says the same.

    Parameters
    ----------
    members : bool array, shape (N,)
        The part's Gaussians.
    relative_amplitudes : array, shape (P, N), optional
    displacements : array, shape (P, N, 3), optional
        Å.
    max_components : int

    Raises
    ------
    ValueError
        If the part is empty, or neither output is given.
    """
    index = np.flatnonzero(members)
    outputs = [a for a in (relative_amplitudes, displacements) if a is not None]
    if not len(index) or not outputs:
        raise ValueError("a part needs Gaussians, and amplitudes or displacements of particles")
    index = index[:: -(-len(index) // _MOST_GAUSSIANS)]
    count = len(outputs[0])
    amplitude, rms = np.ones(count), np.zeros(count)
    if relative_amplitudes is not None:
        for rows in _batches(count):
            amplitude[rows] = relative_amplitudes[rows][:, index].mean(axis=1)
    if displacements is not None:
        for rows in _batches(count):
            moved = displacements[rows][:, index].astype(np.float64)
            rms[rows] = np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    unit = max(float(np.sqrt(np.mean(rms**2))), SMALLEST_DISPLACEMENT_UNIT)

    def features(rows: slice) -> FloatArray:
        blocks = []
        if relative_amplitudes is not None:
            blocks.append(relative_amplitudes[rows][:, index].astype(np.float64))
        if displacements is not None:
            moved = displacements[rows][:, index].astype(np.float64)
            blocks.append(moved.reshape(len(moved), -1) / unit)
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(index)))

    total = sum(features(rows).sum(axis=0) for rows in _batches(count))
    mean = np.asarray(total / count)
    covariance = np.asarray(
        sum((f := features(rows) - mean).T @ f for rows in _batches(count)) / count
    )
    axes = _leading_axes(covariance, max_components)
    components = np.concatenate([(features(rows) - mean) @ axes for rows in _batches(count)])
    return ParticleFeatures(components, amplitude, rms)


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
