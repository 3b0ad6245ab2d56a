"""Which particles take part in statistics: those that are probably good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

TRUSTED = 0.4
"""Least probability of being what the model describes with which a particle counts, and below
which it is called junk. A tenth of junk that counts a little still moves a level or a mode of
change, while leaving out a doubtful particle costs no more than the particle. A good particle
left out is worth one and a half bad ones kept: with every nuisance at once (12,800 particles),
1.03% of the good ones were left out below one half, and 0.85% are below 0.4; of the bad ones
12.5 and 13.1% are kept, four fifths of them broken particles."""

FEWEST = 2
"""Particles that must be trusted, or all are: nothing can be told of fewer."""


def is_trusted(probability: FloatArray) -> NDArray[np.bool_]:
    """Which of P particles count; all, where fewer than two would.

    Parameters
    ----------
    probability : array, shape (P,)
        Of being what the model describes, in the given pose.
    """
    trusted = probability > TRUSTED
    return trusted if trusted.sum() >= FEWEST else np.ones(len(probability), dtype=bool)


def trusted_rows(probability: FloatArray) -> IntArray:
    """Indices of the particles that count, in increasing order."""
    return np.flatnonzero(is_trusted(probability)).astype(np.int64)


def only_trusted(rows: IntArray, probability: FloatArray) -> IntArray:
    """Those of `rows` that count, in their order; all, where fewer than two would.

    Parameters
    ----------
    rows : int array, shape (n,)
        Of P particles.
    probability : array, shape (P,)
    """
    return rows[is_trusted(probability[rows])]


def choose_sample(
    n_particles: int,
    size: int,
    seed: int,
    probability: FloatArray | None = None,
    *,
    purpose: Purpose = Purpose.PARTS_SAMPLE,
) -> IntArray:
    """Sorted indices of at most `size` trusted particles drawn at random without repeats.

    Parameters
    ----------
    n_particles : int
        P.
    size : int
        Most particles drawn.
    seed : int
    probability : array, shape (P,), optional
        Of being what the model describes. Default: all count.
    purpose : Purpose
        What the particles are drawn for.
    """
    rows = np.arange(n_particles) if probability is None else trusted_rows(probability)
    if len(rows) <= size:
        return rows
    return np.sort(random_for(seed, purpose).choice(rows, size=size, replace=False))
