"""Parts divided in two, each into connected halves of what fades alike.

Two neighbours that are there together more often than not can come as one cluster: the decoder
has them fade alike. What the halves of a part do in the images tells whether it is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parts.changes import measure_changes
from cryoparts.parts.connected_pieces import NEIGHBOURS, connected_pieces
from cryoparts.parts.segmentation import default_part_size

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cryoparts.parts.part_labels import PartLabels

    IntArray = NDArray[np.int64]

FADES = 0.15
"""Mean deviation of its Gaussians' relative amplitudes from which on a part is divided: parts that
move alone have up to 0.13, those that come and go 0.23 to 0.55."""


def part_halves(
    found: PartLabels,
    relative_amplitudes: NDArray[np.floating] | None,
    parts: Collection[int],
    *,
    min_part_size: int | None = None,
    seed: int = 0,
) -> tuple[IntArray, dict[int, int]]:
    """Labels (N,) with the smaller half of each part as a further part, and of which it is half.

    A part that does not fade is left whole, and one of which a half would be smaller than a part
    can be.

    Parameters
    ----------
    found : PartLabels
    relative_amplitudes : array, shape (S, N), or None
        Of S particles; None where they do not vary: no part is divided.
    parts : collection of int
        The parts that are divided.
    min_part_size : int, optional
        As in `segment_gaussians`.
    seed : int
        Of the patterns of change.

    Returns
    -------
    labels : int array, shape (N,)
    half_of : dict
        Number of each further part: that of the part it was divided from.
    """
    labels, half_of = found.labels.copy(), dict[int, int]()
    if relative_amplitudes is None:
        return labels, half_of
    size = min_part_size or default_part_size(len(found))
    for part in sorted(parts):
        members = np.flatnonzero(found.members(part))
        few = len(members) < 2 * max(size, NEIGHBOURS)
        if few or found.amplitude_change[members].mean() < FADES:
            continue
        positions = found.positions[members]
        modes = measure_changes(positions, relative_amplitudes[:, members], seed=seed).modes[:, 0]
        if not modes.shape[1]:
            continue
        half = connected_pieces(positions, modes, 2)
        smaller = half == np.bincount(half).argmin()
        if smaller.sum() >= size:
            number = int(labels.max()) + 1
            labels[members[smaller]] = number
            half_of[number] = part
    return labels, half_of
