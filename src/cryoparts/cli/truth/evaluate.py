"""`cryoparts evaluate`: a run against the ground truth of a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bars, table
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.run.run import Run


def evaluate(
    run: RunFolder,
    *,
    truth: Annotated[Path, Parameter(help="truth.npz of `cryoparts simulate`, or its folder.")],
    oracle: Annotated[
        bool,
        Parameter(
            negative="--no-oracle",
            help="Solve also with the true segments told: what is possible at best.",
        ),
    ] = True,
) -> None:
    """Write evaluation.json: accuracy of amplitudes or displacements, of parts, of states."""
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        evaluate_run_folder(opened, truth, oracle=oracle)


def evaluate_run_folder(run: Run, truth: Path, *, oracle: bool) -> None:
    """Evaluate a run and show its main numbers."""
    from cryoparts.pipeline.evaluating import evaluate as evaluated

    with progress_bars("comparing with the truth") as progress:
        found = evaluated(run, truth, oracle=oracle, progress=progress)
    table("Against the ground truth", ["", "value"], list(found.headline.items()))
