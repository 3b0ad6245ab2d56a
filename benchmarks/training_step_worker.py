"""One configuration of the training benchmarks, in a process of its own.

    python training_step_worker.py TASK ARGUMENTS

TASK is a function of this module listed in `TASKS`, ARGUMENTS its arguments as
JSON; the last line of the output is its result as JSON. `training_step.py` calls it.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import machine
from training_step_data import make_run, model_of, particles_of
from training_step_pieces import measure_pieces

from cryoparts.config import TrainingConfig
from cryoparts.io.run_directory import RunDirectory
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.training.trainer import Trainer

SAMPLING_SECONDS = 0.02


class EnoughSteps(Exception):
    """The clock has seen as many steps as it was asked for."""


class Clock:
    """A trainer's progress that keeps the time of every step and epoch.

    Parameters
    ----------
    steps : int or None
        Raise `EnoughSteps` after so many.
    """

    def __init__(self, steps: int | None = None) -> None:
        self.limit = steps
        self.step_ends: list[tuple[int, float]] = []
        self.epoch_ends: list[float] = []
        self.rows: list[dict[str, float]] = []

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Note the end of a step."""
        self.step_ends.append((epoch, time.perf_counter()))
        if self.limit is not None and len(self.step_ends) >= self.limit:
            raise EnoughSteps

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """Note the end of an epoch."""
        self.epoch_ends.append(time.perf_counter())
        self.rows.append(row)

    def step_seconds(self) -> list[float]:
        """From the end of each step to the end of the next of the same epoch."""
        pairs = pairwise(self.step_ends)
        return [later - earlier for (a, earlier), (b, later) in pairs if a == b]


def train_some(trainer: Trainer, steps: int | None) -> Clock:
    """Train as the program does, to the end or for some steps."""
    clock = Clock(steps)
    with suppress(EnoughSteps):
        trainer.train(clock)
    return clock


def data(work: str, box: int, count: int, gaussians: list[int]) -> dict[str, Any]:
    """Simulate the particles of a box and make the models, once for all configurations."""
    folder = particles_of(Path(work), box, count)
    models = [model_of(Path(work), number, box) for number in gaussians]
    return {"particles": str(folder), "models": [str(path) for path in models]}


def folder_of_run(
    work: str, root: str, box: int, source_count: int, gaussians: int, count: int, training: Any
) -> dict[str, Any]:
    """Make a run folder of repeated particles."""
    particles = particles_of(Path(work), box, source_count)
    model = model_of(Path(work), gaussians, box)
    make_run(Path(root), particles, model, count, TrainingConfig(**training))
    return {"run": root}


def step(root: str, steps: int, seconds: float) -> dict[str, Any]:
    """Time some whole steps of the program's own training, then each piece alone."""
    run = RunDirectory.open(Path(root))
    config = run.config().training
    threads = set_threads(config.threads)
    started = time.perf_counter()
    setup = prepare_training(run, config)
    prepared = time.perf_counter() - started
    trainer = Trainer(run, setup, config)
    clock = train_some(trainer, steps)
    peak = machine.memory_mib("VmHWM")
    limits = machine.limits()
    return {
        "threads": threads,
        "prepare_seconds": prepared,
        "peak_memory_mib": peak,
        "step_seconds": clock.step_seconds(),
        "limits": limits,
        "pieces": measure_pieces(trainer, seconds),
    }


def epochs(root: str, seconds: float) -> dict[str, Any]:
    """Train whole epochs; where their time goes."""
    run = RunDirectory.open(Path(root))
    config = run.config().training
    set_threads(config.threads)
    started = time.perf_counter()
    setup = prepare_training(run, config)
    prepared = time.perf_counter()
    trainer = Trainer(run, setup, config)
    clock = train_some(trainer, None)
    ends = clock.epoch_ends
    steps = [row["seconds"] for row in clock.rows[1:]]
    whole = [later - earlier for earlier, later in pairwise(ends)]
    return {
        "encoder_input_seconds": prepared - started,
        "start_seconds": ends[0] - prepared,
        "steps_seconds": steps,
        "evaluation_and_checkpoint_seconds": [a - b for a, b in zip(whole, steps, strict=True)],
        "epoch_seconds": whole,
        "peak_memory_mib": machine.memory_mib("VmHWM"),
        "limits": machine.limits(),
        "pieces": measure_pieces(trainer, seconds),
    }


def memory(root: str, steps: int) -> dict[str, Any]:
    """Peak memory of the program's preparation and of its training.

    VmHWM counts everything resident, memory-mapped pages of files included;
    RssAnon, sampled, what only this process can give back.
    """
    run = RunDirectory.open(Path(root))
    config = run.config().training
    set_threads(config.threads)
    stop, anonymous = Event(), [0.0]

    def sample() -> None:
        while not stop.wait(SAMPLING_SECONDS):
            anonymous[0] = max(anonymous[0], machine.memory_mib("RssAnon") or 0.0)

    sampler = Thread(target=sample)
    sampler.start()
    try:
        started = time.perf_counter()
        setup = prepare_training(run, config)
        prepared = time.perf_counter() - started
        after_preparation = machine.memory_mib("VmHWM")
        clock = train_some(Trainer(run, setup, config), steps)
    finally:
        stop.set()
        sampler.join()
    return {
        "prepare_seconds": prepared,
        "steps": len(clock.step_ends),
        "peak_memory_of_preparation_mib": after_preparation,
        "peak_memory_mib": machine.memory_mib("VmHWM"),
        "peak_anonymous_memory_mib": anonymous[0],
        "step_seconds": clock.step_seconds(),
    }


TASKS = {
    "data": data,
    "folder_of_run": folder_of_run,
    "step": step,
    "epochs": epochs,
    "memory": memory,
}

if __name__ == "__main__":
    result = TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")
