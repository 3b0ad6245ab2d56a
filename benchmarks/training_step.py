"""Time and memory of a training step, piece by piece, against the machine's limits.

    python benchmarks/training_step.py                   about 10 minutes
    python benchmarks/training_step.py --epochs-timing   12,800 particles, both decoders
    python benchmarks/training_step.py --memory          13,190 and 131,899 particles of 128 px
    python benchmarks/training_step.py --definition      the published decoder in plain torch
    python benchmarks/training_step.py --instructions    with and without AVX-512, one thread

One factor at a time is varied about 2,048 Gaussians, 64 px, batches of 32 and 2
threads. Every configuration runs in a process of its own, on particles simulated
from a toy complex and repeated, through the program's own training code. Each of
the five parts replaces its own section of training_step.json and
training_step.md beside this script; a configuration that fails is recorded with
its reason. --quick tries everything at tiny sizes and leaves those files alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import machine
from training_step_table import markdown

from cryoparts.io.atomic import write_text

WORKER = Path(__file__).with_name("training_step_worker.py")
RESULTS = Path(__file__).with_suffix(".json")
SIMULATED = 144
HELD_OUT = 0.1
"""Default part of the particles that is not trained on."""

MEMORY_COUNTS = (13_190, 131_899)
EPOCH_PARTICLES = 12_800


STEPS_OF_A_TURN = 3


@dataclass(frozen=True)
class Configuration:
    """One point of the benchmark."""

    decoder: str
    preset: str = "fast"
    gaussians: int = 2048
    box: int = 64
    batch: int = 32
    threads: int = 2

    @property
    def label(self) -> str:
        """What it is, in words."""
        name = "paper preset" if self.preset == "paper" else self.decoder
        return (
            f"{name}, {self.gaussians} Gaussians, {self.box} px, batch {self.batch}, "
            f"{self.threads} threads"
        )


INSTRUCTION_SETS_AT = (
    Configuration("point-transformer"),
    Configuration("mlp"),
    Configuration("point-transformer", "paper", batch=4),
)


def configurations(quick: bool) -> list[Configuration]:
    """The default, one factor at a time about it, and the corners asked about."""
    if quick:
        small = {"gaussians": 96, "box": 32, "batch": 4, "threads": 1}
        return [
            Configuration("point-transformer", **small),
            Configuration("mlp", **small),
            Configuration("point-transformer", "paper", **small | {"batch": 1}),
        ]
    chosen = [
        Configuration("point-transformer", "paper", batch=4, threads=threads) for threads in (1, 2)
    ]
    for decoder in ("point-transformer", "mlp"):
        chosen += [Configuration(decoder)]
        chosen += [Configuration(decoder, gaussians=count) for count in (8192, 32768)]
        chosen += [Configuration(decoder, box=box) for box in (128, 256)]
        chosen += [Configuration(decoder, batch=batch) for batch in (8, 64, 128)]
        chosen += [Configuration(decoder, threads=1)]
    return [*chosen, Configuration("point-transformer", gaussians=32768, box=128)]


def call(task: str, arguments: dict[str, Any], threads: int) -> dict[str, Any]:
    """Run a task of the worker in its own process; {"failed": reason} where it fails."""
    # what the libraries must know before they are loaded, as the program tells them
    settings = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    settings["OMP_WAIT_POLICY"] = "PASSIVE"
    done = subprocess.run(
        [sys.executable, str(WORKER), task, json.dumps(arguments)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}, silently"]
        return {"failed": lines[-1]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def in_a_run(
    work: Path, chosen: Configuration, count: int, task: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Make a run folder of ``count`` particles, run a task on it, remove it."""
    say(f"{task}: {chosen.label}, {count} particles ...")
    started = time.perf_counter()
    root = work / "run"
    shutil.rmtree(root, ignore_errors=True)
    training = {
        "decoder": chosen.decoder,
        "preset": chosen.preset,
        "batch_size": chosen.batch,
        "threads": chosen.threads,
        "epochs": arguments.pop("epochs", 1),
        "held_out_fraction": HELD_OUT,
    }
    made = call(
        "folder_of_run",
        {
            "work": str(work), "root": str(root), "box": chosen.box, "source_count": SIMULATED,
            "gaussians": chosen.gaussians, "count": count, "training": training,
        },
        threads=2,
    )  # fmt: skip
    arguments = {"root": str(root), **arguments}
    found = made if "failed" in made else call(task, arguments, chosen.threads)
    shutil.rmtree(root, ignore_errors=True)
    say(f"    {found.get('failed', 'done')} ({time.perf_counter() - started:.0f} s)")
    return {**asdict(chosen), "particles": count, **found}


def steps_section(work: Path, quick: bool) -> list[dict[str, Any]]:
    """Every configuration's whole step and pieces."""
    rows = []
    for chosen in configurations(quick):
        steps = max(5, min(8, 256 // chosen.batch))
        if quick or chosen.preset == "paper":
            steps = 4
        count = max(8, round(chosen.batch * (steps + 1) / (1 - HELD_OUT)))
        arguments = {"steps": steps, "seconds": 0.05 if quick else 0.7}
        rows.append(in_a_run(work, chosen, count, "step", arguments))
    return rows


def epochs_section(work: Path, quick: bool, epochs: int) -> list[dict[str, Any]]:
    """Both decoders over whole epochs, at the program's default batch size."""
    rows = []
    for decoder in ("point-transformer", "mlp"):
        sizes = {"gaussians": 96, "box": 32, "batch": 8, "threads": 1} if quick else {"batch": 64}
        chosen, count = Configuration(decoder, **sizes), 64 if quick else EPOCH_PARTICLES
        arguments = {"epochs": epochs, "seconds": 0.05 if quick else 1.0}
        rows.append(in_a_run(work, chosen, count, "epochs", arguments))
    return rows


def memory_section(work: Path, quick: bool, counts: list[int], steps: int) -> list[dict[str, Any]]:
    """Peak memory of preparing and training on ever more particles."""
    rows = []
    for count in [64, 256] if quick else counts:
        sizes = {"gaussians": 96, "box": 32, "batch": 8, "threads": 1} if quick else {"box": 128}
        chosen = Configuration("point-transformer", **{"batch": 64, **sizes})
        needed = count * (chosen.box**2 * 4 + chosen.gaussians * 4 * 4)
        if shutil.disk_usage(work).free < 1.5 * needed:
            reason = f"{count} particles need {1.5 * needed / 2**30:.0f} GiB free in {work}"
            rows.append({**asdict(chosen), "particles": count, "failed": reason})
            continue
        rows.append(in_a_run(work, chosen, count, "memory", {"steps": 3 if quick else steps}))
    return rows


def definition_section(work: Path, quick: bool) -> list[dict[str, Any]]:
    """The published decoder, by its definition and by the program."""
    rows = []
    for threads in (1, 2):
        sizes = {"gaussians": 96, "box": 32} if quick else {}
        chosen = Configuration("point-transformer", "paper", batch=2, threads=threads, **sizes)
        rows.append(in_a_run(work, chosen, 24, "definition", {"repeats": 2 if quick else 5}))
    return rows


def instructions_section(work: Path, quick: bool, turns: int) -> list[dict[str, Any]]:
    """Every step with all of the processor's instructions and without AVX-512, in turn."""
    rows = []
    for chosen in configurations(quick=True) if quick else INSTRUCTION_SETS_AT:
        one = replace(chosen, threads=1)
        count = max(24, round(one.batch * (STEPS_OF_A_TURN + 1) / (1 - HELD_OUT)))
        arguments = {"cache": str(work / "numba"), "turns": 2 if quick else turns}
        rows.append(in_a_run(work, one, count, "instructions", arguments))
    return rows


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def store(path: Path, section: str, rows: list[dict[str, Any]], command: str) -> None:
    """Replace one section of the results, and write them again as a table."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record[section] = {"machine": machine.description(), "command": command, "rows": rows}
    write_text(path, json.dumps(record, indent=1) + "\n")
    write_text(path.with_suffix(".md"), markdown(record))
    say(f"{path} and {path.with_suffix('.md').name} written")


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs-timing", action="store_true", help="time whole epochs instead")
    parser.add_argument("--epochs", type=int, default=2, help="epochs to time")
    parser.add_argument(
        "--definition", action="store_true", help="compare with the published decoder instead"
    )
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    parser.add_argument(
        "--instructions", action="store_true", help="compare with what AVX2 alone makes of it"
    )
    parser.add_argument("--turns", type=int, default=5, help="for --instructions")
    parser.add_argument(
        "--particles", type=int, nargs="+", default=list(MEMORY_COUNTS), help="for --memory"
    )
    parser.add_argument("--steps", type=int, default=300, help="training steps for --memory")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the program")
    parser.add_argument("--work", type=Path, help="folder for data; default: a temporary one")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parsed(arguments)
    work = options.work or Path(tempfile.mkdtemp(prefix="training_step_"))
    work.mkdir(parents=True, exist_ok=True)
    results = work / RESULTS.name if options.quick else RESULTS
    command = " ".join(["python benchmarks/training_step.py", *arguments])
    started = time.perf_counter()
    try:
        if options.memory:
            section = "memory"
            rows = memory_section(work, options.quick, options.particles, options.steps)
        elif options.definition:
            section, rows = "definition", definition_section(work, options.quick)
        elif options.instructions:
            section = "instructions"
            rows = instructions_section(work, options.quick, options.turns)
        elif options.epochs_timing:
            section, rows = "epochs", epochs_section(work, options.quick, options.epochs)
        else:
            section, rows = "steps", steps_section(work, options.quick)
        store(results, section, rows, command)
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    say(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
