"""How much faster trainings and sweeps over particles are with several processes than with one.

    python benchmarks/shared_work.py STRUCTURE PLACE -o benchmarks/results

`STRUCTURE` (.cif) is simulated with segments that move and come and go; the run on it lies in
`PLACE` and is used again where it is there. Every step is timed with one process and with
`--processes`, each of one thread, in turns, `--repeats` times on the otherwise idle machine. One
process has one core; of several, the first has the threads of all for what is not shared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from cryoparts.inference.latents import refinement
from cryoparts.motion import image_modes
from cryoparts.motion.parts_in_images import PartsInImages
from cryoparts.motion.rigid_refinement import refine_motion
from cryoparts.motion.run_motion import measure_motion
from cryoparts.occupancy.image_amplitudes import measure_amplitudes
from cryoparts.parallel.current import shared_work, team
from cryoparts.parallel.team import threads_of
from cryoparts.particles.preprocessing import prepare
from cryoparts.pipeline.focus import find_states, part_numbers
from cryoparts.pipeline.maps.reconstruct import reconstruct_states
from cryoparts.pipeline.start import open_particles
from cryoparts.run.run import Run
from cryoparts.training.encoder_input import compute_encoder_input
from cryoparts.training.epoch import Epoch
from cryoparts.training.trainer import Trainer
from cryoparts.validation.null_test import null_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EPOCHS = 3
NULL_PARTICLES = 512


def made_run(structure: Path, place: Path, particles: int) -> Run:
    """A run with parts on simulated particles; made where it is not there."""
    data, folder = place / "data", place / "run"
    program = [sys.executable, "-m", "cryoparts", "-q"]
    if not data.exists():
        counted = ["--n-particles", str(particles)]
        subprocess.run(
            [*program, "simulate", "both", str(structure), *counted, "-o", str(data)], check=True
        )
    if not (folder / "reconstruction").exists():
        shutil.rmtree(folder, ignore_errors=True)
        given = [str(data / "particles.star"), "--model", str(data / "model.cif")]
        subprocess.run(
            [*program, "run", *given, "--epochs", str(EPOCHS), "-o", str(folder)],
            check=True,
        )
    return Run.open(folder)


class Steps:
    """The steps that are timed, each with the number of particles that it goes through."""

    def __init__(self, run: Run, place: Path) -> None:
        self.run, self.place = run, place / "scratch"
        self.everyone = np.arange(len(run.particles))
        self.encoded = run.decoder.encoded_run()
        self.calibration = run.decoder.calibration
        self.motion = self.decoded_motion()

    def all(self) -> dict[str, tuple[Callable[[], object], int]]:
        count, training = len(self.everyone), len(self.run.setup.split.training)
        return {
            "preprocessing": (self.preprocessing, count),
            "encoder input": (self.encoder_input, count),
            "training, one epoch": (self.epoch, training),
            "latent vectors": (self.latents, count),
            "amplitudes in the images": (self.amplitudes, count),
            "motion, decoded": (self.decoded_motion, count),
            "ways of moving, asked of images": (self.image_modes, image_modes.SAMPLE),
            "motion, by the images": (self.refined_motion, count),
            "states of all parts": (self.states, count),
            "null particles": (self.null_particles, NULL_PARTICLES),
            "maps of all states": (self.maps, count),
        }

    def fresh(self) -> Path:
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        return self.place

    def preprocessing(self) -> None:
        config = self.run.config
        prepare(open_particles(config), self.fresh() / "particles", config.preprocessing)

    def encoder_input(self) -> None:
        setup, config = self.run.setup, self.run.training
        compute_encoder_input(
            setup.forward, setup.objective, setup.neutral, self.fresh(),
            vary=config.vary, training=setup.split.training, seed=config.seed,
        )  # fmt: skip

    def epoch(self) -> None:
        trainer = Trainer(self.run.directory, self.run.setup, self.run.training)
        task = Epoch(trainer.setup, trainer.networks, trainer.optimiser, trainer.config, EPOCHS)
        team().together(task, lambda *_: None, particles=len(self.everyone))

    def latents(self) -> None:
        problem = refinement(self.run.decoder, self.run.setup)
        problem.solve(self.encoded, self.everyone, self.run.training.refinement_steps)

    def amplitudes(self) -> None:
        run = self.run
        measure_amplitudes(run.particles, run.model, run.parts, run.training)

    def decoded_motion(self) -> object:
        run = self.run
        return measure_motion(run.model, run.parts, run.decoder.decode, len(self.everyone))

    def image_modes(self) -> None:
        run = self.run
        given = run.parts, run.setup, run.decoder.offsets, run.training.vary
        image_modes.modes_by_images(PartsInImages(self.motion, *given, relative_to_core=True))

    def refined_motion(self) -> None:
        run = self.run
        refine_motion(self.motion, run.parts, run.setup, run.decoder.offsets, run.training.vary)

    def states(self) -> None:
        run = self.run
        find_states(run, [[part] for part in part_numbers(run)], run.config.focus)

    def null_particles(self) -> None:
        null_decoder(self.run.decoder, self.run.setup, self.everyone[:NULL_PARTICLES], 0)

    def maps(self) -> None:
        reconstruct_states(self.run, part_numbers(self.run))


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process has so many cores and threads; others keep what they were given."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:count])
    try:
        with threadpool_limits(count, "blas"), threads_of(count):
            yield
    finally:
        os.sched_setaffinity(0, every)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measured(steps: Steps, chosen: list[str], processes: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds of the chosen steps by one process and by several, in turns."""
    rows = []
    # what is not shared has as many threads as there are processes
    torch.set_num_threads(processes)
    with shared_work(processes):
        for name, (step, particles) in steps.all().items():
            if chosen and name not in chosen:
                continue
            one, several = [], []
            step()  # what is loaded or compiled once, everywhere
            for _ in range(repeats):
                with on_cores(processes):
                    several.append(timed(step))
                with on_cores(1), shared_work(1):
                    one.append(timed(step))
            rows.append({"step": name, "particles": particles, "one": one, "several": several})
            times = statistics.median(one) / statistics.median(several)
            print(f"{name}: {times:.2f} times as fast", flush=True)
    return rows


def table(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    about = found["machine"]
    lines = [
        "# Several processes against one",
        "",
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}, "
        + ", ".join(f"{k} {v}" for k, v in about["versions"].items())
        + f"; {found['gaussians']:,} Gaussians, {found['box']} px, one thread a process. "
        f"Medians of {found['repeats']} runs in turns; `{found['command']}`; raw times in "
        "[shared_work.json](shared_work.json).",
        "",
        f"| step | particles | 1 process, ms a particle | {found['processes']} processes "
        "| times as fast |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        one, several = (statistics.median(row[key]) for key in ("one", "several"))
        each = 1e3 / row["particles"]
        lines.append(
            f"| {row['step']} | {row['particles']:,} | {one * each:.2f} | {several * each:.2f} "
            f"| {one / several:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("structure", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--particles", type=int, default=1600)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", nargs="*", help="of the table: the others stay as they are")
    given = parser.parse_args()
    given.place.mkdir(parents=True, exist_ok=True)
    run = made_run(given.structure, given.place, given.particles)
    steps = Steps(run, given.place)
    new = {r["step"]: r for r in measured(steps, given.steps, given.processes, given.repeats)}
    path = given.output / "shared_work.json"
    known = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    rows = {row["step"]: row for row in known} | new
    found = {
        "machine": machine.description(),
        "command": f"python benchmarks/shared_work.py STRUCTURE PLACE --particles "
        f"{given.particles} --processes {given.processes} --repeats {given.repeats}",
        "gaussians": len(run.model),
        "box": run.particles.box_size,
        "processes": given.processes,
        "repeats": given.repeats,
        "rows": [rows[name] for name in steps.all() if name in rows],
    }
    given.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    (given.output / "shared_work.md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
