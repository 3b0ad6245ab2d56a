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
from typing import TYPE_CHECKING, Any

import instruction_sets
import machine
import torch
from published_definition import attend_as_published, decode_as_defined
from training_step_data import make_run, model_of, particles_of
from training_step_pieces import timed_pieces

from cryoparts.config import TrainingConfig
from cryoparts.io.run_directory import RunDirectory
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

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
        self.step_ends: list[tuple[int, float, float]] = []
        self.epoch_ends: list[float] = []
        self.rows: list[dict[str, float]] = []

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Note the end of a step."""
        self.step_ends.append((epoch, time.perf_counter(), time.process_time()))
        if self.limit is not None and len(self.step_ends) >= self.limit:
            raise EnoughSteps

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """Note the end of an epoch."""
        self.epoch_ends.append(time.perf_counter())
        self.rows.append(row)

    def step_seconds(self) -> list[float]:
        """From the end of each step to the end of the next of the same epoch."""
        return [b[1] - a[1] for a, b in pairwise(self.step_ends) if a[0] == b[0]]

    def step_cpu_seconds(self) -> list[float]:
        """The same, of all threads together."""
        return [b[2] - a[2] for a, b in pairwise(self.step_ends) if a[0] == b[0]]


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
        "step_cpu_seconds": clock.step_cpu_seconds(),
        "limits": limits,
        "pieces": timed_pieces(trainer, seconds),
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
        "pieces": timed_pieces(trainer, seconds),
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


def definition(root: str, repeats: int) -> dict[str, Any]:
    """The published decoder by its definition and by this program, in turn, on one batch.

    CPU-seconds of all threads; how far values and gradients are from the definition's,
    of their largest and of their norms. Dropout is off: it draws differently.
    """
    run = RunDirectory.open(Path(root))
    config = run.config().training
    set_threads(config.threads)
    trainer = Trainer(run, prepare_training(run, config), config)
    # a few steps in, the output depends on the latent vector
    train_some(trainer, 3)
    decoder = trainer.networks.decoder.eval()
    latent = torch.randn(config.batch_size, config.latent_dimensions).requires_grad_()
    given = [latent, *decoder.parameters()]
    programs: dict[str, Callable[[Tensor], Tensor]] = {
        "definition": lambda latent: decode_as_defined(decoder, latent, attend_as_published),
        "program": decoder,
    }
    found: dict[str, Any] = {
        name: {"forward_cpu_seconds": [], "backward_cpu_seconds": [], "seconds": []}
        for name in programs
    }
    results = {}
    for _ in range(repeats + 1):  # the first is to warm up
        for name, decode in programs.items():
            wall, started = time.perf_counter(), time.process_time()
            out = decode(latent)
            between = time.process_time()
            grads = torch.autograd.grad(out, given, torch.ones_like(out).cumsum(dim=1))
            ended = time.process_time()
            found[name]["forward_cpu_seconds"].append(between - started)
            found[name]["backward_cpu_seconds"].append(ended - between)
            found[name]["seconds"].append(time.perf_counter() - wall)
            results[name] = out.detach(), torch.cat([g.flatten() for g in grads])
    for times in found.values():
        for name in times:
            times[name] = times[name][1:]
    (ours, our_grads), (theirs, their_grads) = (results[n] for n in ("program", "definition"))
    return {
        **found,
        "value_error": float((ours - theirs).abs().max() / theirs.abs().max()),
        "gradient_error": float((our_grads - their_grads).norm() / their_grads.norm()),
    }


TASKS = {
    "definition": definition,
    "data": data,
    "folder_of_run": folder_of_run,
    "step": step,
    "epochs": epochs,
    "memory": memory,
    "instructions": instruction_sets.compare,
}

if __name__ == "__main__":
    result = TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")
