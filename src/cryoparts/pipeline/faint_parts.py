"""Parts that fade too little, as the networks have it, to be found: the images are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.occupancy.pieces_in_images import confirmed_pieces
from cryoparts.parts.core_pieces import core_pieces
from cryoparts.pipeline.composition import ask_sample
from cryoparts.pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run

PIECES = (8, 16, 16, 16)
"""Into how many the core is divided, until nothing more is found. Where one part was too faint for
the networks others may be, and they are smaller."""


def with_faint_parts(
    run: Run,
    found: PartLabels,
    decoded: Decoded,
    min_part_size: int | None = None,
    progress: Progress = silent,
) -> PartLabels:
    """The parts, and those pieces of the core that come and go in the images.

    Parameters
    ----------
    run : Run
    found : PartLabels
        They need not be the run's.
    decoded : Decoded
        Of the particles that they were found on.
    min_part_size : int, optional
        As in `segment_gaussians`.
    progress : callable
    """
    seed = run.training.seed
    for count in PIECES:
        pieces = core_pieces(
            found,
            decoded.relative_amplitudes,
            pieces=count,
            min_part_size=min_part_size,
            seed=seed,
        )
        if pieces.max() == found.n_parts:
            break
        progress("parts: which pieces of the core come and go", 0, 0)
        with_pieces = replace(found, labels=pieces, names=())
        displaced = "position" in run.training.vary
        seen = ask_sample(run, with_pieces, displaced=displaced, first=found.n_parts + 1)
        if seen is None:
            break
        labels = confirmed_pieces(seen, found)
        if np.array_equal(labels, found.labels):
            break
        found = replace(found, labels=labels, names=())
    return found
