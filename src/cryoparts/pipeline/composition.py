"""Presence of each part in each particle, and its occupancy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.atomic import write_together
from cryoparts.occupancy.borders import borders_by_presence
from cryoparts.occupancy.composition import Composition, find_composition
from cryoparts.occupancy.image_amplitudes import measure_amplitudes
from cryoparts.occupancy.presence_in_images import SAMPLE, PresenceInImages
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
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.pipeline.motion import PartsByImages
    from cryoparts.run.run import Run

POPULATIONS = "populations.csv"

TIMES_MORE = 4
"""Images that are asked where `SAMPLE` leave a part undecided, in as many."""


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
    """The parts that images confirm, which of them fade, and their borders where they do.

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
    seen = ask_sample(run, asked.labels, displaced=bool(asked.moving))
    sizes: tuple[int, ...] = ()
    if drop and seen is not None and (unconfirmed := seen.unconfirmed(asked.moving)):
        found = asked.labels.labels
        sizes = tuple(int((found == part).sum()) for part in unconfirmed)
        asked = asked.with_borders(np.where(np.isin(found, unconfirmed), UNASSIGNED, found))
        seen = ask_sample(run, asked.labels, displaced=bool(asked.moving))
    if seen is not None:
        asked = replace(asked, fading=frozenset(seen.fading))
        asked = asked.with_borders(borders_by_presence(seen))
    return asked, sizes


def ask_sample(
    run: Run, labels: PartLabels, *, displaced: bool, first: int = 1
) -> PresenceInImages | None:
    """What a sample of the images says of parts; None where too few of them count.

    A larger sample is asked where the first leaves it undecided whether a part comes and goes.

    Parameters
    ----------
    run : Run
    labels : PartLabels
        They need not be the run's.
    displaced : bool
        Whether parts are looked for where the networks see them in each particle.
    first : int
        Number of the first part that is to be decided.
    """
    ask = partial(
        PresenceInImages.of,
        run.particles,
        run.model,
        labels,
        run.training,
        _Displacements(run.decoder) if displaced else None,
        is_trusted(run.particle_weights),
    )
    seen = ask()
    undecided = seen is not None and seen.leaves_undecided(first)
    return ask(sample=TIMES_MORE * SAMPLE) if undecided else seen


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
