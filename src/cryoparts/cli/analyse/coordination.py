"""`cryoparts coordination`: which parts change together, and in which order they assemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say, table
from cryoparts.cli.options import RunFolder
from cryoparts.coordination.assembly_graph import MOST_EXCEPTIONS, AssemblyGraph, assembly_graph
from cryoparts.coordination.coordination import Pair, find_coordination
from cryoparts.coordination.coordination_files import save_coordination
from cryoparts.coordination.part_signals import read_signals
from cryoparts.errors import InputError
from cryoparts.io.run_directory import RunDirectory
from cryoparts.occupancy.composition import Composition
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.statistics.permutation import imaging_strata

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_PARTICLES = 20
PERMUTATIONS = 999


def coordination(
    run: RunFolder,
    *,
    exceptions: Annotated[
        float,
        Parameter(
            help="Share of the particles with the later part that may lack the earlier one, "
            "0 to 1, for an order of assembly."
        ),
    ] = MOST_EXCEPTIONS,
    permutations: Annotated[
        int, Parameter(help="Permutations of the particles in each test, at least 99.")
    ] = PERMUTATIONS,
) -> None:
    """Test every pair of parts for dependence; find the order of assembly.

    A part that comes and goes is told by its presence (composition/), one that
    turns by its angle (motion/), any other by its coordinate (focus/). Writes
    coordination/pairs.csv, and assembly.json and assembly.csv.
    """
    folder = RunDirectory.open(run)
    if not 0.0 <= exceptions <= 1.0:
        raise InputError("--exceptions", f"must be from 0 to 1, got {exceptions:g}", "Try 0.05.")
    if permutations < 99:
        raise InputError("--permutations", f"must be at least 99, got {permutations}", "Try 999.")
    with folder.logging():
        folder.require(folder.parts_path, f"cryoparts parts {folder.root}")
        find_run_coordination(folder, exceptions, permutations)


def find_run_coordination(
    run: RunDirectory, exceptions: float = MOST_EXCEPTIONS, permutations: int = PERMUTATIONS
) -> None:
    """Write the coordination/ folder of a run, if it has two parts and particles enough."""
    labels = PartLabels.load(run.parts_path)
    if labels.n_parts < 2:
        say("fewer than two parts change, so none can be coordinated")
        return
    particles = PreparedParticles.open(run.particles_path)
    if particles.image_count < FEWEST_PARTICLES:
        say(f"{particles.image_count} particles are too few to tell coordination")
        return
    composition = _composition(run, labels)
    signals = read_signals(run, particles.names, composition, labels.n_parts)
    if len(signals) < 2:
        say("fewer than two parts have states; run `cryoparts focus` or `cryoparts composition`")
        return
    seed = run.config().training.seed
    strata = imaging_strata(particles.poses, particles.ctf, seed, particles.image)
    with progress_bar("coordination") as shown:
        pairs = find_coordination(
            signals,
            strata,
            composition,
            image=particles.image,
            permutations=permutations,
            seed=seed,
            progress=shown,
        )
    assembly = None
    if composition is not None and len(composition.optional) >= 2:
        assembly = assembly_graph(composition, pairs, exceptions)
    save_coordination(run.coordination_path, pairs, labels.part_names, len(particles), assembly)
    _show(pairs, labels.part_names)
    if assembly is not None:
        _show_assembly(assembly, labels.part_names)


def _composition(run: RunDirectory, labels: PartLabels) -> Composition | None:
    if not (run.composition_path / "occupancies.csv").is_file():
        return None
    composition = Composition.load(run.composition_path)
    if len(composition.parts) != labels.n_parts:
        raise InputError(
            str(run.composition_path),
            f"is of {len(composition.parts)} parts, the run has {labels.n_parts}",
            f"Run `cryoparts composition {run.root}` again.",
        )
    return composition


def _show(pairs: Sequence[Pair], names: Sequence[str]) -> None:
    found = [pair for pair in pairs if pair.is_coordinated]
    weak = sum(pair.verdict == "too weak to tell" for pair in pairs)
    beside = f"; {weak} more too weak to be told from leakage" if weak else ""
    say(f"{len(found)} of {len(pairs)} pairs of parts are coordinated{beside}")
    if found:
        rows = [
            [
                f"{names[p.a - 1]} and {names[p.b - 1]}",
                f"{p.correlation:.2f}",
                f"{p.low:.2f} to {p.high:.2f}",
                f"{p.mutual_information_bits:.3f}",
                f"{p.p_adjusted:.1e}",
            ]
            for p in sorted(found, key=lambda p: -abs(p.correlation))
        ]
        header = ["", "correlation", "95% interval", "information (bits)", "adjusted p"]
        table("Coordinated parts", header, rows)


def _show_assembly(assembly: AssemblyGraph, names: Sequence[str]) -> None:
    if not assembly.requirements:
        say("no part requires another: no order of assembly")
        return

    def label(node: int) -> str:
        return " + ".join(names[part - 1] for part in assembly.nodes[node])

    for node in assembly.nodes:
        if len(node) > 1:
            say(f"always together: {' + '.join(names[part - 1] for part in node)}")
    for earlier, later in assembly.edges:
        say(f"{label(later)} only where {label(earlier)}")
