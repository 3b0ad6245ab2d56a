"""Pieces of the core that fade together by the networks, though not clearly enough to be parts.

At a low signal a decoder says little of a small part: that its Gaussians fade a little, each with
noise of its own, less than parts leave unexplained. No cluster of Gaussians tells such a part from
the core. What tells it is that neighbours fade alike: the core is divided into connected pieces
that do (Ward's clustering), and the images say which of these come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parts.changes import measure_changes
from cryoparts.parts.connected_pieces import NEIGHBOURS, connected_pieces
from cryoparts.parts.segmentation import default_part_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

PIECES = 8
"""Into how many pieces the core is divided: a part may come as two, which the images join."""

FADES = 0.15
"""Root mean square difference of a piece's mean amplitude from that of the rest of the core, from
which on the images are asked. Large pieces of a core that does not change have up to 0.1 at a
signal-to-noise ratio of 0.05 and 0.18 at 0.03 (small ones, and borders, 0.3 to 0.5), a part of a
ribosome that was missed there 0.35."""

MOST = 0.5
"""Share of these Gaussians that is asked of at the most: what is left sets the scale."""


def core_pieces(
    found: PartLabels,
    relative_amplitudes: NDArray[np.floating] | None,
    *,
    pieces: int = PIECES,
    min_part_size: int | None = None,
    seed: int = 0,
) -> IntArray:
    """Labels (N,) with pieces of the core that fade as further parts, after the others.

    What is in no part belongs to it here: so do Gaussians of a faint part that are like no other.

    Parameters
    ----------
    found : PartLabels
    relative_amplitudes : array, shape (S, N), or None
        Of S particles; None where they do not vary: no piece fades.
    pieces : int
        Into how many the core is divided.
    min_part_size : int, optional
        As in `segment_gaussians`.
    seed : int
        Of the patterns of change.
    """
    core = np.flatnonzero(~found.in_parts)
    size = min_part_size or default_part_size(len(found))
    if relative_amplitudes is None or len(core) < pieces * max(size, NEIGHBOURS):
        return found.labels
    positions, amplitudes = found.positions[core], relative_amplitudes[:, core]
    modes = measure_changes(positions, amplitudes, seed=seed).modes[:, 0]
    if not modes.shape[1]:
        return found.labels
    piece = connected_pieces(positions, modes, pieces)
    labels = found.labels.copy()
    asked = 0
    change = _changes(modes, piece)
    size_of = np.bincount(piece)
    # those first that explain most of what is left in the core
    for number in np.argsort(-size_of * change**2, kind="stable"):
        few = asked + size_of[number] <= MOST * len(core)
        if few and change[number] >= FADES and size_of[number] >= size:
            labels[core[piece == number]] = labels.max() + 1
            asked += size_of[number]
    return labels


def _changes(modes: FloatArray, piece: IntArray) -> FloatArray:
    """How far each piece's mean is from that of the others."""
    found = []
    for number in range(int(piece.max()) + 1):
        inside = piece == number
        apart = modes[inside].mean(axis=0) - modes[~inside].mean(axis=0)
        found.append(float(np.sqrt((apart**2).sum())))
    return np.array(found)
