"""`cryoparts coordination`: which parts change together, and in which order they assemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bars, say, table
from cryoparts.cli.options import RunFolder
from cryoparts.config.steps import CoordinationOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.coordination.assembly_graph import AssemblyGraph
    from cryoparts.coordination.coordination import Pair
    from cryoparts.pipeline.coordination import CoordinationFound

Testing = Annotated[CoordinationOptions, Parameter(name="*")]


def coordination(run: RunFolder, *, options: Testing = CoordinationOptions()) -> None:
    """Test every pair of parts for dependence; find the order of assembly.

    A part that comes and goes is told by its presence (composition/), one that
    turns by its angle (motion/), any other by its coordinate (focus/). Writes
    coordination/pairs.csv, and assembly.json and assembly.csv.
    """
    from cryoparts.pipeline.coordination import find_run_coordination
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        with progress_bars() as progress:
            found = find_run_coordination(opened, options, progress)
        show_coordination(found)


def show_coordination(found: CoordinationFound) -> None:
    """Say which pairs depend on each other, and the order of assembly."""
    if found.nothing_to_test:
        say(found.nothing_to_test)
        return
    _show(found.pairs, found.names)
    if found.assembly is not None:
        _show_assembly(found.assembly, found.names)


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
