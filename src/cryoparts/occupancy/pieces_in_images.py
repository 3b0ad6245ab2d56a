"""Which pieces of the core come and go, as a sample of the images has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.occupancy.joint_presence import joint_presence
from cryoparts.parts.part_labels import CORE, numbers_by_size, with_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.occupancy.composition import Composition
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
    counted = np.flatnonzero(seen.counted)
    known, image = seen.composition.of_particles(counted), seen.particles.image[seen.rows[counted]]
    goes_to = np.arange(seen.labels.n_parts + 1, dtype=np.int64)
    for piece in range(parts + 1, seen.labels.n_parts + 1):
        if piece in known.optional:
            goes_to[piece] = goes_to[_same_part(known, image, piece)]
        elif piece not in seen.fading:
            goes_to[piece] = CORE
    labels = with_numbers(seen.labels.labels, goes_to)
    return with_numbers(labels, numbers_by_size(labels))


def _same_part(known: Composition, image: IntArray, piece: int) -> int:
    """The part, or earlier piece, that is there when this one is; itself, where there is none."""
    before = [part for part in known.optional if part < piece]
    alike = [_correlation(known, image, part, piece) for part in before]
    return before[int(np.argmax(alike))] if max(alike, default=0.0) > SAME else piece


def _correlation(known: Composition, image: IntArray, a: int, b: int) -> float:
    of_a, of_b = known.parts[a - 1], known.parts[b - 1]
    return joint_presence(known.measured, a - 1, b - 1, of_a, of_b, image).correlation
