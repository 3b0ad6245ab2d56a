"""A run against the ground truth of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryoparts.evaluation.run_evaluation import evaluate_run
from cryoparts.io.run_directory import write_json
from cryoparts.pipeline.progress import Progress, counting, silent

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.run.run import Run


@dataclass(frozen=True)
class Evaluated:
    """Accuracy of a run.

    Parameters
    ----------
    headline : dict of str to str
        Main numbers, in words.
    details : dict
        All of them; in evaluation.json too.
    """

    headline: dict[str, str]
    details: dict[str, Any]


def evaluate(
    run: Run, truth: Path, *, oracle: bool = True, progress: Progress = silent
) -> Evaluated:
    """Compare amplitudes or displacements, parts and states with the truth; write evaluation.json.

    Parameters
    ----------
    run : Run
    truth : Path
        truth.npz, or the folder of a simulation.
    oracle : bool
        Solve also with the true segments told: what is possible at best.
    progress : callable
    """
    shown = counting(progress, "oracle")
    result = evaluate_run(run.directory, truth, oracle=oracle, progress=shown)
    write_json(run.directory.evaluation_path, {"headline": result.headline, **result.details})
    return Evaluated(dict(result.headline), result.details)
