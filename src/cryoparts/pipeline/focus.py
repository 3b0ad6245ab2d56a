"""The particles seen by one part alone, or by several together: their states."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.relion import RelionRows
from cryoparts.export.summary_tables import write_states
from cryoparts.export.trajectory import write_trajectory_cif
from cryoparts.io.atomic import write_together
from cryoparts.pipeline.composition import keep_populations
from cryoparts.run.result_options import keep_options
from cryoparts.states.focus import FocusedParticles, by_presence, focus_on_features
from cryoparts.states.particle_features import Look, describe, gaussians_of
from cryoparts.states.trajectory import sample_trajectory
from cryoparts.statistics.trusted import is_trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cryoparts.config import FocusConfig, Order
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run
    from cryoparts.states.particle_features import Batch, ParticleFeatures

    Progress = Callable[[int, int], None]

LOG = logging.getLogger(__name__)

PARTICLES = "particles.csv"
OWN_FILES = ("state_*.star", "states.csv", "trajectory/*")


@dataclass(frozen=True)
class FocusResult:
    """What was found of one part, or of several together.

    Parameters
    ----------
    folder : Path
        Where it was written.
    focused : FocusedParticles
    """

    folder: Path
    focused: FocusedParticles


def part_numbers(run: Run, name: str | None = None) -> list[int]:
    """Number of the part called `name`, or the numbers of all parts.

    Raises
    ------
    InputError
        If parts have not been looked for, or there is none of that name.
    """
    labels = run.parts
    return list(range(1, labels.n_parts + 1)) if name is None else [labels.part_number(name)]


def find_states(
    run: Run,
    looks: Sequence[Sequence[int]],
    options: FocusConfig,
    progress: Progress | None = None,
) -> tuple[FocusResult, ...]:
    """Find the states of the particles as each of several parts, or sets of parts, sees them.

    Those that probably are what the model describes say which states there are; the others
    are put where they fit best. All particles are decoded once, or twice where the output is
    too large to keep, for all looks together. Each look's folder gets the particles' states, a
    .star file of each state where the particles came from one and, along a curve, a trajectory.
    Where the images have told that a part comes and goes (`judge_composition`), it is away
    in the last state, if neither order nor number are given.

    Parameters
    ----------
    run : Run
        With parts.
    looks : sequence of sequences of int
        Parts that are looked at together: ``[[1], [2], [1, 2]]``.
    options : FocusConfig
    progress : callable, optional
        Told how many particles are done, of how many, in each pass.

    Raises
    ------
    InputError
        If the run has no parts, or fewer particles than states asked for.
    """
    if not looks:
        return ()
    trained, labels, directory = run.decoder, run.parts, run.directory
    counted, presence = is_trusted(run.particle_weights), _presence(run, trained.particles.names)
    members = [np.where(np.isin(labels.labels, parts), labels.labels, 0) for parts in looks]
    wanted = [Look.at(of_part) for of_part in members]
    with trained.keeping():
        stream = partial(_batches, trained, gaussians_of(wanted), progress)
        seen = describe(wanted, stream, counted=counted)
    names, results, particle_file = trained.particles.names, [], _ParticleFile(directory)
    seen.reverse()
    for look in wanted:
        # taken out: what was seen of many particles is large, and each look is written in turn
        there = presence.get(look.parts[0]) if len(look.parts) == 1 else None
        focused = _focused(
            names, seen.pop(), look.parts, options, run.training.seed, counted, there
        )
        folder = directory.focus_on_several_path(focused.parts)
        with write_together(folder, last=PARTICLES, replaces=OWN_FILES) as new:
            focused.save(new)
            write_states(new, focused)
            keep_options(new, options)
            if focused.order == "curve":
                _write_trajectory(new, run, focused, labels, options.trajectory_points, counted)
            particle_file.write_states(focused, new, folder.name)
        results.append(FocusResult(folder, focused))
    if directory.presence_path.is_file():
        keep_populations(run)
    return tuple(results)


def _batches(
    trained: TrainedDecoder, gaussians: NDArray[np.int64], progress: Progress | None
) -> Iterator[Batch]:
    """What is seen of chosen Gaussians in all particles, gone through in batches."""
    for decoded in trained.batches(gaussians=gaussians, progress=progress):
        yield decoded.relative_scalars, decoded.displacements_as_seen


def _focused(
    names: NDArray[np.str_],
    seen: ParticleFeatures,
    parts: tuple[int, ...],
    options: FocusConfig,
    seed: int,
    counted: NDArray[np.bool_],
    there: NDArray[np.float64] | None,
) -> FocusedParticles:
    """The particles in the states asked for, or in those that there are.

    By themselves: presence and absence; clusters; a curve.
    """
    order: Order = "clusters" if options.order == "auto" else options.order
    focus = partial(focus_on_features, names, seen, parts, seed=seed, counted=counted)
    focused = focus(n_states=options.states, order=order)
    if options.states is not None:
        return focused
    if options.order == "auto" and there is not None:
        told = by_presence(focused, seen.components, there, counted)
        if told is not None:
            return told
    return focused if focused.n_states > 1 else focus(order="curve")


def _presence(run: Run, names: NDArray[np.str_]) -> dict[int, NDArray[np.float64]]:
    """Of parts that come and go, the probability of each in the particles, where it is known."""
    if not run.directory.presence_path.is_file():
        return {}
    known = run.composition
    if len(known.parts) != run.parts.n_parts or not np.array_equal(known.names, names):
        return {}
    return {part: known.parts[part - 1].probability for part in known.optional}


def _write_trajectory(
    folder: Path,
    run: Run,
    focused: FocusedParticles,
    labels: PartLabels,
    points: int,
    counted: NDArray[np.bool_],
) -> None:
    trained = run.decoder

    def decode(
        rows: NDArray[np.int64],
    ) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
        decoded = trained.decode(rows)
        return decoded.relative_amplitudes, trained.displacements_from_neutral(decoded)

    folder = folder / "trajectory"
    trajectory = sample_trajectory(focused.coordinate, decode, points, counted=counted)
    trajectory.save(folder)
    write_trajectory_cif(folder / "trajectory.cif", run.model, trajectory, labels.labels)


class _ParticleFile:
    """The .star file that the particles came from, gone through once for all states."""

    def __init__(self, run: RunDirectory) -> None:
        self._config = run.config()
        self._rows: RelionRows | None = None

    def write_states(self, focused: FocusedParticles, folder: Path, title: str) -> None:
        """A .star file a state where the particles came from one."""
        source = Path(self._config.particles)
        if source.suffix != ".star":
            return
        try:
            self._rows = self._rows or RelionRows.of(source, self._config.symmetry)
            for state in range(1, focused.n_states + 1):
                names = focused.names[focused.members(state)].tolist()
                self._rows.write(names, folder / f"state_{state}.star")
        except InputError as fault:  # the file has moved: the states are found all the same
            LOG.warning("no .star file of a state of %s: %s", title, fault)
