"""Which pieces of the core come and go, as a sample of the images has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.occupancy.joint_presence import joint_presence
from cryoparts.parts.part_labels import CORE, numbers_by_size, with_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.occupancy.presence_in_images import PresenceInImages

    IntArray = NDArray[np.int64]

SAME = 0.8
"""Correlation of two presences from which on pieces are of one part."""


def confirmed_pieces(seen: PresenceInImages, parts: int) -> IntArray:
    """Labels (N,) with those pieces that come and go; the others are core again.

    A piece that is there when a part is, or another piece, is a piece of it.

    Parameters
    ----------
    seen : PresenceInImages
        Of parts and, numbered after them, pieces of the core.
    parts : int
        Number of the parts.
    """
    goes_to = np.arange(seen.labels.n_parts + 1, dtype=np.int64)
    for piece in range(parts + 1, seen.labels.n_parts + 1):
        if piece in seen.composition.optional:
            goes_to[piece] = goes_to[_same_part(seen, piece)]
        elif piece not in seen.fading:
            goes_to[piece] = CORE
    labels = with_numbers(seen.labels.labels, goes_to)
    labels[labels > CORE] = 1 + np.unique(labels[labels > CORE], return_inverse=True)[1]
    return with_numbers(labels, numbers_by_size(labels))


def _same_part(seen: PresenceInImages, piece: int) -> int:
    """The part, or earlier piece, that is there when this one is; itself, where there is none."""
    before = [part for part in seen.composition.optional if part < piece]
    alike = [_correlation(seen, part, piece) for part in before]
    return before[int(np.argmax(alike))] if max(alike, default=0.0) > SAME else piece


def _correlation(seen: PresenceInImages, a: int, b: int) -> float:
    known = seen.composition
    counted = np.flatnonzero(seen.counted)
    chosen = known.of_particles(counted)
    image = seen.particles.image[seen.rows[counted]]
    of_a, of_b = known.parts[a - 1], known.parts[b - 1]
    return joint_presence(chosen.measured, a - 1, b - 1, of_a, of_b, image).correlation
