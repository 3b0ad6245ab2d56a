"""Parts that are two by the images, though the networks have them fade alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryoparts.occupancy.pieces_in_images import told_apart
from cryoparts.parts.part_halves import part_halves
from cryoparts.pipeline.composition import ask_sample
from cryoparts.pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run


ROUNDS = 4
"""At the most: one cluster of Gaussians is sixteen parts then."""


def with_parts_divided(
    run: Run,
    found: PartLabels,
    decoded: Decoded,
    min_part_size: int | None = None,
    progress: Progress = silent,
) -> PartLabels:
    """The parts, each divided in two as long as the halves come and go apart in the images.

    Parameters
    ----------
    run, found, decoded, min_part_size, progress
        As in `with_faint_parts`.
    """
    seed, displaced = run.training.seed, "position" in run.training.vary
    divided = frozenset(range(1, found.n_parts + 1))
    for _ in range(ROUNDS):
        labels, half_of = part_halves(
            found,
            decoded.relative_amplitudes,
            divided,
            min_part_size=min_part_size,
            seed=seed,
        )
        if not half_of:
            break
        progress("parts: which of them are two", 0, 0)
        with_halves = replace(found, labels=labels, names=())
        seen = ask_sample(run, with_halves, displaced=displaced, first=found.n_parts + 1)
        if seen is None:
            break
        labels, divided = told_apart(seen, half_of)
        if not divided:
            break
        found = replace(found, labels=labels, names=())
    return found
