"""Everything that `cryoparts run` does after the start, one step after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoparts.config.steps import AtRestOptions
from cryoparts.pipeline.composition import judge_composition
from cryoparts.pipeline.coordination import find_run_coordination
from cryoparts.pipeline.focus import find_states, part_numbers
from cryoparts.pipeline.maps.at_rest import at_rest_where_parts_move
from cryoparts.pipeline.maps.reconstruct import reconstruct_states
from cryoparts.pipeline.motion import find_motion
from cryoparts.pipeline.outputs import report_run, write_masks
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.pipeline.training import train_run
from cryoparts.pipeline.trust import judge_trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryoparts.config import RunConfig
    from cryoparts.run.run import Run
    from cryoparts.training.trainer import Progress as TrainingProgress


STEPS = {
    "train": "training",
    "parts": "finding parts",
    "masks": "writing masks",
    "motion": "measuring motion",
    "composition": "judging composition",
    "focus": "finding states",
    "trust": "judging trust",
    "coordination": "testing coordination",
    "reconstruct": "reconstructing",
    "at-rest": "bringing parts to rest",
    "report": "writing the report",
}
"""Every step, in its order, and what it does."""


@dataclass(frozen=True)
class StepDone:
    """A step that has come to its end.

    Parameters
    ----------
    name : str
        As the verb that repeats it.
    result : object
        What the step's function returned; None where there was nothing to do.
    """

    name: str
    result: object


def run_steps(
    run: Run,
    config: RunConfig,
    *,
    resume: bool = False,
    maps: bool = True,
    report: bool = True,
    halves: bool = False,
    epochs: TrainingProgress | None = None,
    progress: Progress = silent,
) -> Iterator[StepDone]:
    """Train, find parts, measure what they do, judge them, reconstruct, report; one by one.

    Parameters
    ----------
    run : Run
        Started (`start_run`).
    config : RunConfig
        Options of parts, focus and reconstruction are taken from here.
    resume : bool
        Go on with the training that is there.
    maps : bool
        Also masks, trust, maps and report; without them, what numbers need.
    report : bool
        The report as well; where more is to come before it, it is left to the caller.
    halves : bool
        Train each half apart too, so that the half maps at rest are independent.
    epochs, progress
        Told how far the work is.

    Yields
    ------
    StepDone
        After each step.
    """

    def begin(name: str) -> Callable[[int, int], None]:
        progress(STEPS[name], 0, 0)
        return counting(progress, STEPS[name])

    begin("train")
    trained = train_run(run, resume=resume, epochs=epochs, progress=progress)
    yield StepDone("train", trained)
    with run.decoder.keeping():
        begin("parts")
        yield StepDone("parts", find_parts(run, config.parts, progress))
        if maps:
            begin("masks")
            yield StepDone("masks", write_masks(run))
        parts = part_numbers(run)
        begin("motion")
        yield StepDone("motion", find_motion(run, None, progress))
        begin("composition")
        yield StepDone("composition", judge_composition(run, progress))
        shown = begin("focus")
        looks = [[part] for part in parts]
        states = find_states(run, looks, config.focus, shown) if parts else ()
        yield StepDone("focus", states)
    if maps:
        begin("trust")
        yield StepDone("trust", judge_trust(run, progress))
    begin("coordination")
    yield StepDone("coordination", find_run_coordination(run, None, progress))
    if maps:
        shown = begin("reconstruct")
        made = reconstruct_states(run, parts, config.reconstruction, shown)
        yield StepDone("reconstruct", made)
        begin("at-rest")
        options = AtRestOptions(halves=halves)
        rested = at_rest_where_parts_move(run, options, config.reconstruction, progress, epochs)
        yield StepDone("at-rest", rested)
    if maps and report:
        begin("report")
        yield StepDone("report", report_run(run))
