"""`cryoparts evaluate`: a run against the ground truth of a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, table
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.io.run_directory import RunDirectory


def evaluate(
    run: RunFolder,
    *,
    truth: Annotated[Path, Parameter(help="truth.npz of `cryoparts simulate`, or its folder.")],
    oracle: Annotated[
        bool, Parameter(help="Solve also with the true segments told: what is possible at best.")
    ] = True,
) -> None:
    """Write evaluation.json: accuracy of amplitudes or displacements, of parts, of states."""
    from cryoparts.io.run_directory import RunDirectory

    folder = RunDirectory.open(run)
    with folder.logging():
        evaluate_folder(folder, truth, oracle=oracle)


def evaluate_folder(run: RunDirectory, truth: Path, *, oracle: bool) -> dict[str, Any]:
    """Evaluate a run folder, write evaluation.json and show its main numbers."""
    from cryoparts.evaluation.run_evaluation import evaluate_run
    from cryoparts.io.run_directory import write_json
    from cryoparts.training.setup import set_threads

    set_threads(run.config().training.threads)
    with progress_bar("oracle") as shown:
        result = evaluate_run(run, truth, oracle=oracle, progress=shown)
    write_json(run.evaluation_path, {"headline": result.headline, **result.details})
    table("Against the ground truth", ["", "value"], list(result.headline.items()))
    return result.details
