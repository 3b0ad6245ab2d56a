"""Each half of the particles trained apart, with its own parts and motions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.at_rest.half_runs import HalfRuns, keep_apart
from cryoparts.errors import InputError
from cryoparts.pipeline.motion import find_motion
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.progress import Progress, SilentTraining, silent
from cryoparts.pipeline.trust import train_again
from cryoparts.run.run import Run
from cryoparts.validation.repeat_training import half_repeats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoparts.training.trainer import Progress as TrainingProgress


def train_halves(
    run: Run, epochs: TrainingProgress | None = None, progress: Progress = silent
) -> HalfRuns:
    """Train on each half, find its parts and their motions; what is done is not done again.

    The trainings are those of ``cryoparts trust --halves``, in RUN/trust/half_1 and half_2.

    Raises
    ------
    InputError
        If the run itself was trained on one half, or a half shows no part that moves.
    """
    made = []
    for of_half in trained_apart(run, epochs, progress):
        if of_half.motions is None:
            find_parts(of_half, run.parts_options, progress)
            if find_motion(of_half, None, progress) is None:
                raise InputError(
                    str(of_half.root),
                    f"half {of_half.training.half} of the particles shows no part that moves",
                    "Leave out --halves, or train on more particles.",
                )
        made.append(of_half)
    return HalfRuns(*made)


def trained_apart(
    run: Run, epochs: TrainingProgress | None = None, progress: Progress = silent
) -> Iterator[Run]:
    """The run of each half in turn, which judges by that half's particles alone.

    Raises
    ------
    InputError
        If the run itself was trained on one half.
    """
    if run.training.half is not None:
        raise InputError(
            "--halves",
            f"the run was trained on half {run.training.half} alone",
            "Give a run of all particles.",
        )
    for half, repeat in enumerate(half_repeats(run.training), start=1):
        progress(f"half {half}", 0, 0)
        trained = train_again(run, repeat, epochs or SilentTraining(), progress)
        of_half = Run.open(trained.root)
        if of_half.motions is None:
            keep_apart(of_half, half)
        yield of_half
