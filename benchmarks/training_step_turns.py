"""Each kernel, the whole step and what follows the training, once for every line that is read.

    python benchmarks/training_step_turns.py ROOT

Two of these, one told to leave some of the processor's instructions alone, are given
their turns by `instruction_sets.py`, so that whatever else the machine does meets both.
A line of standard input asks for one turn; a line of output is its result as JSON:
milliseconds of processor time a particle of each piece.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
import numpy as np
import torch
from training_step_pieces import measure_pieces
from training_step_worker import train_some

from cryoparts.gaussians.density import render
from cryoparts.io.run_directory import RunDirectory
from cryoparts.kernels.processor import processor
from cryoparts.occupancy.image_amplitudes import measure_amplitudes
from cryoparts.parts.part_labels import PartLabels
from cryoparts.reconstruction.backprojection import Chosen, gather
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_SECONDS = 0.05
"""A piece is repeated within a turn until it has taken as long."""

STEPS = 3
PARTS = 8


class Pieces:
    """What there is to time; has the `measure` of a `Stopwatch` and times when it is told to."""

    def __init__(self, particles: int) -> None:
        self.particles = particles
        self.calls: dict[str, tuple[Callable[[Any], object], Callable[[], Any], int]] = {}

    def measure(
        self,
        name: str,
        work: object,
        call: Callable[[Any], object],
        prepare: Callable[[], Any] = lambda: None,
    ) -> None:
        """Note ``call(prepare())``, and run it once."""
        self.add(name, self.particles, call, prepare)

    def add(
        self,
        name: str,
        particles: int,
        call: Callable[[Any], object],
        prepare: Callable[[], Any] = lambda: None,
    ) -> None:
        """Note a piece that works on so many particles, and run it once."""
        call(prepare())
        self.calls[name] = call, prepare, particles

    def turn(self) -> dict[str, float]:
        """Processor milliseconds a particle of each piece."""
        found = {}
        for name, (call, prepare, particles) in self.calls.items():
            times: list[float] = []
            while sum(times) < SHORTEST_SECONDS:
                argument = prepare()
                started = time.process_time()
                call(argument)
                times.append(time.process_time() - started)
            found[name] = 1e3 * statistics.median(times) / particles
        return found


def everything(trainer: Trainer) -> Pieces:
    """The pieces of a step and the sweeps over particles, on a trainer's own objects."""
    pieces = Pieces(trainer.config.batch_size)
    measure_pieces(trainer, pieces)
    setup, config = trainer.setup, trainer.config
    particles, model = setup.forward.particles, setup.model
    rows = np.arange(config.batch_size // 2)
    with torch.no_grad():
        inputs = setup.encoder_input.rows(np.arange(len(particles)), setup.forward.device)
        encoded = trainer.networks.encoder(inputs)
    refinement = ParticleRefinement(
        setup.forward,
        setup.objective,
        setup.neutral,
        trainer.networks.decoder.eval(),
        config.vary,
        encoded.mean(dim=0),
        encoded.T.cov(correction=0).reshape(encoded.shape[1], -1),
    )
    pieces.add("latent refinement", len(rows), lambda _: refinement.refine(encoded[rows], rows))
    turn = np.arctan2(model.positions[:, 1], model.positions[:, 0])
    number = len(turn)
    labels = PartLabels(
        labels=np.digitize(turn, np.quantile(turn, np.arange(1, PARTS + 1) / (PARTS + 1))),
        embedding=np.zeros((number, 2)),
        positions=model.positions,
        amplitude_change=np.zeros(number),
        displacement_rms_angstrom=np.zeros(number),
        method="pca",
    )
    pieces.add(
        "image amplitudes",
        len(particles),
        lambda _: measure_amplitudes(particles, model, labels, config),
    )
    chosen = Chosen(np.arange(len(particles)))
    pieces.add("insertion", len(particles), lambda _: list(gather(particles, [chosen], padding=2)))
    box, pixel = particles.box_size, particles.pixel_size_angstrom
    pieces.add("density of the model", 1, lambda _: render(model, box, pixel))
    return pieces


def main(root: Path) -> None:
    """Take turns until the input ends."""
    run = RunDirectory.open(root)
    config = run.config().training
    set_threads(config.threads)
    trainer = Trainer(run, prepare_training(run, config), config)
    pieces = everything(trainer)
    train_some(trainer, STEPS)
    say(
        {
            "float_lanes": processor().float_lanes,
            "torch": torch.backends.cpu.get_cpu_capability(),
            "limits": machine.limits(time.process_time),
        }
    )
    for _ in sys.stdin:
        steps = train_some(trainer, STEPS).step_cpu_seconds()
        whole = 1e3 * statistics.median(steps) / config.batch_size
        say({"whole step": whole, **pieces.turn()})


def say(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
