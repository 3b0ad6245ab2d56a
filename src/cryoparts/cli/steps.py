"""The steps of a run in a terminal: each shows what it found when it has come to its end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from cryoparts.cli.analyse.composition import show_composition
from cryoparts.cli.analyse.coordination import show_coordination
from cryoparts.cli.analyse.focus import show_states
from cryoparts.cli.analyse.masks import show_masks
from cryoparts.cli.analyse.motion import show_motion
from cryoparts.cli.analyse.parts import show_parts
from cryoparts.cli.analyse.trust import show_trust
from cryoparts.cli.console import DISPLAY, TrainingProgress, progress_bars
from cryoparts.cli.results.reconstruct import show_at_rest, show_maps
from cryoparts.cli.results.report import show_report
from cryoparts.cli.start.train import show_training
from cryoparts.report.wording import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoparts.config import RunConfig
    from cryoparts.run.run import Run

LOG = logging.getLogger(__name__)

SHOWN: dict[str, Callable[[Any], None]] = {
    "train": show_training,
    "parts": show_parts,
    "masks": show_masks,
    "motion": show_motion,
    "focus": show_states,
    "composition": show_composition,
    "trust": show_trust,
    "coordination": show_coordination,
    "reconstruct": show_maps,
    "at-rest": show_at_rest,
    "report": show_report,
}


def show_steps(
    run: Run, config: RunConfig, *, resume: bool, halves: bool = False, report: bool = True
) -> None:
    """Make all steps of a run after its start, or those before the report; show what each found."""
    from cryoparts.pipeline.steps import STEPS, run_steps

    epochs = TrainingProgress(run.training.epochs)
    with progress_bars() as progress:
        DISPLAY.stage(1, len(STEPS))
        steps = run_steps(
            run,
            config,
            resume=resume,
            halves=halves,
            report=report,
            epochs=epochs,
            progress=progress,
        )
        begun = time.perf_counter()
        for number, step in enumerate(steps, start=2):
            SHOWN[step.name](step.result)
            LOG.info("%s took %s", STEPS[step.name], duration(time.perf_counter() - begun))
            begun = time.perf_counter()
            DISPLAY.stage(number, len(STEPS))
