"""Particles described by the Gaussians of one part, or of several, only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.parts.changes import SMALLEST_DISPLACEMENT_UNIT
from cryoparts.statistics.principal_components import RunningCovariance, leading_directions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    Members = NDArray[np.bool_] | NDArray[np.integer]
    Batch = tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]

_BATCH = 4096
"""Particles of an array in memory that are looked at together."""

_MOST_GAUSSIANS = 300
"""Gaussians that describe the particles: more say the same, and the covariance of their
amplitudes and displacements has the square of four times their number of entries. With 600, one
in 12,800 particles of a ribosome was in another state of one of its eight parts."""

_MOST_COMPONENTS = 10
_EXPLAINED = 0.01
"""Share of the variance that a component explains at the least."""


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
        Root mean square displacement of the Gaussians, as much as there is of each; 0 where
        not varied.
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


@dataclass(frozen=True)
class Look:
    """The Gaussians that particles are described by: those of one part, or of several.

    Of parts of more than 300 Gaussians together every n-th is taken, which says the
    same. Of several parts each counts as much as another, whatever their sizes.

    Parameters
    ----------
    gaussians : int array, shape (n,)
        In rising order.
    part : int array, shape (n,)
        Part of each.
    """

    gaussians: IntArray
    part: IntArray

    @classmethod
    def at(cls, members: Members) -> Self:
        """At the Gaussians of one part, or of several.

        Parameters
        ----------
        members : bool or int array, shape (N,)
            The Gaussians of one part; or for each Gaussian the number (1 ...) of its
            part, 0 where it is not looked at.

        Raises
        ------
        ValueError
            If there is no Gaussian.
        """
        index = np.flatnonzero(members)
        if not len(index):
            raise ValueError("a part needs Gaussians")
        step = -(-len(index) // _MOST_GAUSSIANS)
        part = np.asarray(members)[index].astype(np.int64)
        chosen = np.sort(np.concatenate([index[part == k][::step] for k in np.unique(part)]))
        return cls(chosen, np.asarray(members)[chosen].astype(np.int64))

    @property
    def parts(self) -> tuple[int, ...]:
        """Numbers of the parts."""
        return tuple(np.unique(self.part).tolist())


def gaussians_of(looks: Sequence[Look]) -> IntArray:
    """The Gaussians that any of the looks needs, in rising order."""
    return np.unique(np.concatenate([look.gaussians for look in looks]))


def describe(
    looks: Sequence[Look],
    stream: Callable[[], Iterable[Batch]],
    *,
    counted: NDArray[np.bool_] | None = None,
    max_components: int = _MOST_COMPONENTS,
) -> list[ParticleFeatures]:
    """Embed particles by each look's Gaussians: amplitudes and displacements, then PCA.

    The particles are gone through twice, whatever their number and that of the looks:
    once for means and covariances, once for the scores. Memory grows with the
    particles by their scores alone.

    Parameters
    ----------
    looks : sequence of Look
    stream : callable
        Begins to go through all particles, in their order: batches of relative
        amplitudes (n, G) and displacements as seen (n, G, 3), Å, of the Gaussians
        `gaussians_of(looks)`; None for what does not vary.
    counted : bool array, shape (P,), optional
        Particles that the components are those of; all are scored. Default: all.
    max_components : int

    Raises
    ------
    ValueError
        If no particle counts, or neither amplitudes nor displacements vary.
    """
    kept = gaussians_of(looks)
    described = [_Described(look, np.searchsorted(kept, look.gaussians)) for look in looks]
    first = 0
    for batch in stream():
        last = first + next(len(values) for values in batch if values is not None)
        for each in described:
            each.measure(*batch, slice(None) if counted is None else counted[first:last])
        first = last
    for each in described:
        each.find_directions(max_components, slice(None) if counted is None else counted)
    for batch in stream():
        for each in described:
            each.score(*batch)
    return [each.features() for each in described]


def describe_particles(
    members: Members,
    relative_amplitudes: NDArray[np.floating] | None = None,
    displacements: NDArray[np.floating] | None = None,
    *,
    counted: NDArray[np.bool_] | None = None,
    max_components: int = _MOST_COMPONENTS,
) -> ParticleFeatures:
    """`describe`, by one look, of arrays of all particles, which may be memory-mapped.

    Parameters
    ----------
    members : bool or int array, shape (N,)
        See `Look.at`.
    relative_amplitudes : array, shape (P, N), optional
    displacements : array, shape (P, N, 3), optional
        Å.
    counted : bool array, shape (P,), optional
    max_components : int

    Raises
    ------
    ValueError
        If there are no Gaussians, or neither output is given.
    """
    look = Look.at(members)
    outputs = [a for a in (relative_amplitudes, displacements) if a is not None]

    def stream() -> Iterator[Batch]:
        for start in range(0, len(outputs[0]) if outputs else 0, _BATCH):
            rows = slice(start, start + _BATCH)
            amplitudes, moved = (
                None if values is None else values[rows][:, look.gaussians]
                for values in (relative_amplitudes, displacements)
            )
            yield amplitudes, moved

    (features,) = describe([look], stream, counted=counted, max_components=max_components)
    return features


class _Described:
    """One look's sums over the particles, and then their scores."""

    def __init__(self, look: Look, columns: IntArray) -> None:
        inside = look.part[:, None] == np.unique(look.part)
        self._columns = columns
        self._amplitudes_vary = False
        self._averaging: FloatArray = inside / inside.sum(axis=0)
        # each part counts as much as another
        self._weight = np.sqrt(self._averaging.sum(axis=1) / inside.shape[1])
        self._share = inside.mean(axis=0)
        self._amplitude: list[FloatArray] = []
        self._squared: list[FloatArray] = []
        self._scores: list[FloatArray] = []
        self._covariance = RunningCovariance()

    def measure(
        self,
        amplitudes: NDArray[np.floating] | None,
        moved: NDArray[np.floating] | None,
        counted: slice | NDArray[np.bool_],
    ) -> None:
        """Each part's mean amplitude and displacement in a batch; the covariance of some of it."""
        parts = self._averaging.shape[1]
        self._amplitudes_vary = amplitudes is not None
        if amplitudes is not None:
            self._amplitude.append(amplitudes[:, self._columns] @ self._averaging)
        if moved is not None:
            squares = (moved[:, self._columns].astype(np.float64) ** 2).sum(axis=2)
            self._squared.append(squares @ self._averaging)
        count = len(self._squared[-1] if amplitudes is None else self._amplitude[-1])
        if amplitudes is None:
            self._amplitude.append(np.ones((count, parts)))
        if moved is None:
            self._squared.append(np.zeros((count, parts)))
        self._covariance.add(self._rows(amplitudes, moved)[counted])

    def find_directions(self, most: int, counted: slice | NDArray[np.bool_]) -> None:
        """The principal directions, displacements in units of their root mean square."""
        if not self._covariance.count:
            raise ValueError("amplitudes or displacements of at least one particle are needed")
        squared = np.concatenate(self._squared)[counted]
        unit = max(float(np.sqrt(squared.mean())), SMALLEST_DISPLACEMENT_UNIT)
        covariance, mean = self._covariance.covariance, self._covariance.mean
        scale = np.ones(len(mean))
        scale[self._amplitudes_vary * len(self._columns) :] = 1.0 / unit
        axes = leading_directions(covariance * np.outer(scale, scale), most, _EXPLAINED)
        self._mean, self._axes = mean.astype(np.float32), (scale[:, None] * axes).astype(np.float32)
        del self._covariance

    def score(
        self, amplitudes: NDArray[np.floating] | None, moved: NDArray[np.floating] | None
    ) -> None:
        """Score a batch."""
        scores = (self._rows(amplitudes, moved) - self._mean) @ self._axes
        self._scores.append(scores.astype(np.float64))

    def features(self) -> ParticleFeatures:
        """What the look has seen; nothing of it is held any longer."""
        amplitude, squared = _taken(self._amplitude), _taken(self._squared)
        return ParticleFeatures(
            _taken(self._scores),
            amplitude @ self._share,
            np.sqrt(squared @ self._share),
            amplitude,
            np.sqrt(squared),
        )

    def _rows(
        self, amplitudes: NDArray[np.floating] | None, moved: NDArray[np.floating] | None
    ) -> NDArray[np.float32]:
        """Weighted amplitudes, then displacements, of each particle (n, F)."""
        weight, blocks = self._weight.astype(np.float32), []
        if amplitudes is not None:
            blocks.append(amplitudes[:, self._columns].astype(np.float32, copy=False) * weight)
        if moved is not None:
            placed = moved[:, self._columns].astype(np.float32, copy=False)
            weighted = placed * weight[:, None]
            blocks.append(weighted.reshape(len(weighted), -1))
        return np.concatenate(blocks, axis=1)


def _taken(batches: list[FloatArray]) -> FloatArray:
    """The batches one behind the other, and the list empty: many looks are taken in turn."""
    joined: FloatArray = np.concatenate(batches)
    batches.clear()
    return joined
