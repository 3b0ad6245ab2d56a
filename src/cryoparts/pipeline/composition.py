"""Presence of each part in each particle, and its occupancy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.atomic import write_together
from cryoparts.occupancy.borders import borders_by_presence
from cryoparts.occupancy.composition import Composition, find_composition
from cryoparts.occupancy.image_amplitudes import measure_amplitudes
from cryoparts.occupancy.pieces_in_images import confirmed_pieces
from cryoparts.occupancy.presence_in_images import PresenceInImages
from cryoparts.parts.core_pieces import core_pieces
from cryoparts.parts.part_labels import UNASSIGNED
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.states.state_populations import (
    StatePopulation,
    save_populations,
    state_populations,
)
from cryoparts.statistics.trusted import is_trusted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.pipeline.motion import PartsByImages
    from cryoparts.run.run import Run

POPULATIONS = "populations.csv"


def judge_composition(run: Run, progress: Progress = silent) -> Composition | None:
    """Measure each part's amplitude in every image; write composition/.

    Returns
    -------
    Composition or None
        None where the run has no parts.
    """
    labels, directory = run.parts, run.directory
    if labels.n_parts == 0:
        return None
    trusted = is_trusted(run.particle_weights)
    measured = measure_amplitudes(
        run.particles,
        run.model,
        labels,
        run.training,
        _Displacements(run.decoder) if "position" in run.training.vary else None,
        counting(progress, "composition"),
        trusted,
    )
    found = find_composition(measured, labels.part_names, run.particles.image, trusted)
    presence = directory.presence_path.name
    with write_together(directory.composition_path, last=presence) as new:
        found.save(new)
        save_populations(new / POPULATIONS, _populations(run))
    return found


def ask_presence(
    run: Run, asked: PartsByImages, *, drop: bool = True
) -> tuple[PartsByImages, tuple[int, ...]]:
    """The parts that images confirm, with Gaussians at the borders where they come and go.

    Parameters
    ----------
    run : Run
    asked : PartsByImages
        They need not be the run's.
    drop : bool
        Whether small groups of Gaussians that fade by the networks alone are no parts.

    Returns
    -------
    PartsByImages
    tuple of int
        The numbers of Gaussians of the groups that were dropped.
    """
    seen = _presence(run, asked.labels, displaced=bool(asked.moving))
    sizes: tuple[int, ...] = ()
    if drop and seen is not None and (unconfirmed := seen.unconfirmed(asked.moving)):
        found = asked.labels.labels
        sizes = tuple(int((found == part).sum()) for part in unconfirmed)
        asked = asked.with_borders(np.where(np.isin(found, unconfirmed), UNASSIGNED, found))
        seen = _presence(run, asked.labels, displaced=bool(asked.moving))
    borders = asked if seen is None else asked.with_borders(borders_by_presence(seen))
    return borders, sizes


def with_faint_parts(
    run: Run,
    found: PartLabels,
    decoded: Decoded,
    min_part_size: int | None = None,
    progress: Progress = silent,
) -> PartLabels:
    """The parts, and pieces of the core that fade too little to be clusters, but in the images do.

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
    pieces = core_pieces(
        found,
        decoded.relative_amplitudes,
        min_part_size=min_part_size,
        seed=run.training.seed,
    )
    if pieces.max() == found.n_parts:
        return found
    progress("parts: which pieces of the core come and go", 0, 0)
    asked = replace(found, labels=pieces, names=())
    seen = _presence(run, asked, displaced="position" in run.training.vary)
    if seen is None:
        return found
    return replace(found, labels=confirmed_pieces(seen, found.n_parts), names=())


def _presence(run: Run, labels: PartLabels, *, displaced: bool) -> PresenceInImages | None:
    """Where parts move they are looked for where the networks see them."""
    return PresenceInImages.of(
        run.particles,
        run.model,
        labels,
        run.training,
        _Displacements(run.decoder) if displaced else None,
        is_trusted(run.particle_weights),
    )


def keep_populations(run: Run) -> None:
    """Write the populations of the states that were found of a run whose composition is known."""
    save_populations(run.directory.composition_path / POPULATIONS, _populations(run))


def _populations(run: Run) -> list[StatePopulation]:
    directory = run.directory
    paths = {k: directory.focus_path(k) for k in range(1, run.parts.n_parts + 1)}
    focused = {k: path for k, path in paths.items() if (path / "particles.csv").is_file()}
    return state_populations(focused, is_trusted(run.particle_weights))


@dataclass(frozen=True)
class _Displacements:
    """The parts' projections follow the motion that the networks see."""

    decoder: TrainedDecoder

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        moved = self.decoder.displacements_from_neutral(self.decoder.decode(rows))
        assert moved is not None  # positions vary
        return moved
