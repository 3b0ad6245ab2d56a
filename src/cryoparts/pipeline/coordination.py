"""Which parts change together, and in which order they assemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryoparts.config.steps import CoordinationOptions
from cryoparts.coordination.assembly_graph import AssemblyGraph, assembly_graph
from cryoparts.coordination.coordination import Pair, find_coordination
from cryoparts.coordination.coordination_files import PAIRS, save_coordination
from cryoparts.coordination.part_signals import read_signals
from cryoparts.errors import InputError
from cryoparts.io.atomic import write_together
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.run.result_options import keep_options
from cryoparts.statistics.permutation import imaging_strata
from cryoparts.statistics.trusted import trusted_rows

if TYPE_CHECKING:
    from cryoparts.occupancy.composition import Composition
    from cryoparts.run.run import Run

FEWEST_PARTICLES = 20
"""With fewer images, no dependence could be told from chance."""


@dataclass(frozen=True)
class CoordinationFound:
    """Pairs of parts, and the order of assembly where there is one.

    Parameters
    ----------
    pairs : tuple of Pair
    names : tuple of str
        Of the parts.
    assembly : AssemblyGraph or None
    nothing_to_test : str
        Why no pair was tested, or empty.
    """

    pairs: tuple[Pair, ...]
    names: tuple[str, ...]
    assembly: AssemblyGraph | None = None
    nothing_to_test: str = ""


def find_run_coordination(
    run: Run, options: CoordinationOptions | None = None, progress: Progress = silent
) -> CoordinationFound:
    """Test every pair of parts for dependence; write coordination/.

    A part that comes and goes is told by its presence (composition/), one that
    turns by its angle (motion/), any other by its coordinate (focus/).

    Raises
    ------
    InputError
        If composition/ is of other parts.
    """
    options = options or CoordinationOptions()
    labels, particles, seed = run.parts, run.particles, run.training.seed
    names = tuple(labels.part_names)
    if labels.n_parts < 2:
        return _nothing(names, "fewer than two parts change, so none can be coordinated")
    if particles.image_count < FEWEST_PARTICLES:
        few = f"{particles.image_count} particles are too few to tell coordination"
        return _nothing(names, few)
    composition = _composition(run)
    signals = read_signals(run.directory, particles.names, composition, labels.n_parts)
    if len(signals) < 2:
        return _nothing(
            names,
            "fewer than two parts have states; run `cryoparts focus` or `cryoparts composition`",
        )
    rows = trusted_rows(run.particle_weights)
    signals = [replace(signal, values=signal.values[rows]) for signal in signals]
    composition = None if composition is None else composition.of_particles(rows)
    image = particles.image[rows]
    pairs = find_coordination(
        signals,
        imaging_strata(particles.poses.take(rows), particles.ctf.take(rows), seed, image),
        composition,
        image=image,
        permutations=options.permutations,
        seed=seed,
        progress=counting(progress, "coordination"),
    )
    assembly = None
    if composition is not None and len(composition.optional) >= 2:
        assembly = assembly_graph(composition, pairs, options.exceptions)
    folder = run.directory.coordination_path
    with write_together(folder, last=PAIRS, replaces=("assembly.*",)) as new:
        save_coordination(new, pairs, labels.part_names, len(particles), assembly)
        keep_options(new, options)
    return CoordinationFound(tuple(pairs), names, assembly)


def _nothing(names: tuple[str, ...], why: str) -> CoordinationFound:
    return CoordinationFound((), names, None, why)


def _composition(run: Run) -> Composition | None:
    folder = run.directory.composition_path
    if not (folder / "occupancies.csv").is_file():
        return None
    composition = run.composition
    if len(composition.parts) != run.parts.n_parts:
        raise InputError(
            str(folder),
            f"is of {len(composition.parts)} parts, the run has {run.parts.n_parts}",
            f"Run `cryoparts composition {run.root}` again.",
        )
    return composition
