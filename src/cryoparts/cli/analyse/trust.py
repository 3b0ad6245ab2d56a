"""`cryoparts trust`: does the answer deserve belief?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import TrainingProgress, progress_bars, say, table, warn
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.pipeline.trust import TrustFound


def trust(
    run: RunFolder,
    *,
    seeds: Annotated[int, Parameter(help="Train again from this many other seeds.")] = 0,
    halves: Annotated[
        bool, Parameter(help="Train again on each half set and compare the two.")
    ] = False,
    null_training: Annotated[
        bool, Parameter(help="Train from scratch on particles that do not change.")
    ] = False,
) -> None:
    """Judge each part: by null particles, by how it is found again, by what predicts the imaging.

    Writes trust/parts.csv, trust/leakage.csv and trust/trust.json. Trainings
    asked for are kept in trust/ and made once; an interrupted one goes on.
    """
    from cryoparts.pipeline.trust import is_repeated, judge_trust, repeats_of, train_again
    from cryoparts.run.run import Run

    opened = Run.open(run)
    opened.directory.require(opened.directory.parts_path / "labels.npy", f"cryoparts parts {run}")
    with opened.directory.logging():
        for repeat in repeats_of(opened, seeds=seeds, halves=halves, null_training=null_training):
            done = is_repeated(opened, repeat)
            say(f"{repeat.name}: {'trained already' if done else 'training'}")
            with progress_bars() as progress:
                train_again(opened, repeat, TrainingProgress(repeat.config.epochs), progress)
        with progress_bars() as progress:
            judged = judge_trust(opened, progress)
        show_trust(judged)


def show_trust(found: TrustFound) -> None:
    """Warn of leaks; a table of the parts and their verdicts."""
    record, tested, leaks = found.record, found.null_test, found.leaks
    for leak in leaks:
        if leak.worrying:
            warn(
                f"{leak.space} predicts the {leak.quantity} "
                f"({100 * leak.explained:.0f}% of its variance)"
            )
    if not record.parts:
        dropped = 0 if tested is None else len(tested.dropped)
        say("no part to judge" + (f" ({dropped} groups were put back)" if dropped else ""))
        return
    header = ["", "null / data", "found again", "leakage", "verdict"]
    rows = [
        [
            part.part if part.name == part.part else f"{part.part} {part.name}",
            "–" if math.isnan(part.null_ratio) else f"{part.null_ratio:.2f}",
            "–" if math.isnan(part.least_stable) else f"{100 * part.least_stable:.0f}%",
            "–" if math.isnan(part.leakage) else f"{100 * part.leakage:.0f}%",
            part.verdict,
        ]
        for part in record.parts
    ]
    table("Do the parts deserve belief?", header, rows)
