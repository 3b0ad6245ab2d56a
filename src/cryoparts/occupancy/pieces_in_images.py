"""Which pieces of the core come and go, and which parts are two, as a sample of images has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.occupancy.joint_presence import JointPresence, joint_presence
from cryoparts.parts.part_labels import numbers_by_size, with_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cryoparts.occupancy.composition import Composition
    from cryoparts.occupancy.presence_in_images import PresenceInImages
    from cryoparts.parts.part_labels import PartLabels

    IntArray = NDArray[np.int64]

SAME = 0.8
"""Correlation of two presences from which on pieces are of one part."""


def confirmed_pieces(seen: PresenceInImages, found: PartLabels) -> IntArray:
    """Labels (N,) with those pieces that come and go; the others are what they were.

    A piece that is there when a part is, or another piece, is a piece of it.

    Parameters
    ----------
    seen : PresenceInImages
        Of parts and, numbered after them, pieces of what is in none.
    found : PartLabels
        The parts alone.
    """
    known, image = _counted(seen)
    goes_to = np.arange(seen.labels.n_parts + 1, dtype=np.int64)
    refused = []
    for piece in range(found.n_parts + 1, seen.labels.n_parts + 1):
        if piece in known.optional:
            before = [part for part in known.optional if part < piece]
            goes_to[piece] = goes_to[_same_part(known, image, piece, before)]
        elif piece not in seen.fading:
            refused.append(piece)
    as_before = np.isin(seen.labels.labels, refused)
    labels = np.where(as_before, found.labels, with_numbers(seen.labels.labels, goes_to))
    return with_numbers(labels, numbers_by_size(labels))


def told_apart(
    seen: PresenceInImages, half_of: Mapping[int, int]
) -> tuple[IntArray, frozenset[int]]:
    """Labels (N,) with the halves of parts that come and go apart; the others are whole again.

    A half that is there when another part is belongs to that.

    Parameters
    ----------
    seen : PresenceInImages
        Of parts of which some were divided.
    half_of : mapping
        Number of each further part: that of the part it was divided from.

    Returns
    -------
    labels : int array, shape (N,)
    divided : frozenset of int
        Numbers of the parts that were a half of another.
    """
    known, image = _counted(seen)
    goes_to = np.arange(seen.labels.n_parts + 1, dtype=np.int64)
    for half, part in half_of.items():
        if not _are_apart(known, image, half, part):
            goes_to[half] = part
    apart = {half: part for half, part in half_of.items() if goes_to[half] == half}
    for pair in (*apart.items(), *((part, half) for half, part in apart.items())):
        left = [part for part in known.optional if goes_to[part] == part and part not in pair]
        goes_to[pair[0]] = _same_part(known, image, pair[0], left)
    goes_to = goes_to[goes_to]  # what joined a half that joined another part goes there as well
    labels = with_numbers(seen.labels.labels, goes_to)
    numbers = numbers_by_size(labels)
    divided = {number for halves in apart.items() for number in halves}
    kept = frozenset(int(numbers[number]) for number in divided if goes_to[number] == number)
    return with_numbers(labels, numbers), kept


def _are_apart(known: Composition, image: IntArray, half: int, part: int) -> bool:
    """Whether both come and go, and surely not together."""
    if not {half, part} <= set(known.optional):
        return False
    return _joint(known, image, half, part).correlation_interval()[1] < SAME


def _counted(seen: PresenceInImages) -> tuple[Composition, IntArray]:
    """What is known of the particles that count, and their images."""
    counted = np.flatnonzero(seen.counted)
    known = seen.composition.of_particles(counted)
    return known, seen.particles.image[seen.rows[counted]]


def _same_part(known: Composition, image: IntArray, piece: int, parts: Sequence[int]) -> int:
    """The part that is there when this piece is; the piece itself, where there is none."""
    alike = [_joint(known, image, part, piece).correlation for part in parts]
    return parts[int(np.argmax(alike))] if max(alike, default=0.0) > SAME else piece


def _joint(known: Composition, image: IntArray, a: int, b: int) -> JointPresence:
    of_a, of_b = known.parts[a - 1], known.parts[b - 1]
    return joint_presence(known.measured, a - 1, b - 1, of_a, of_b, image)
