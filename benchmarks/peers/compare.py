"""Other programs and this one on the same particles: time, memory, and what their latents hold.

    cd benchmarks
    python -m peers.compare install cryodrgn --environment ENV
    python -m peers.compare run cryodrgn --environment ENV --data DATA -o OUT
    python -m peers.compare table OUT [OUT ...] -o peers

DATA is a folder of `cryoparts simulate composition`. Whatever stands after `--` is added to the
program's command: `-- --enc-dim 256 --dec-dim 256 -n 20`. `run` writes OUT/result.json; a
program that a limit has stopped is judged by the latent vectors that it left. `judge` instead of
`run` judges what lies in OUT, of a run that was not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import machine
import numpy as np
from peers.measured import Limits, Used, run_measured
from peers.probe import probe
from peers.programs import PROGRAMS, Job

from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.particle_files.read_particles import read_particles

RESULT = "result.json"


def install(name: str, environment: Path) -> None:
    """Make a virtual environment and install a program from the package index."""
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "pip"), "install"]
    wanted = PROGRAMS[name].requirements
    for count in range(1, len(wanted) + 1):  # earlier ones again, so that they are held
        subprocess.run([*pip, *wanted[:count]], check=True)


def versions(name: str, environment: Path) -> dict[str, str]:
    """Of the packages that matter, as its own Python knows them."""
    ask = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    command = [str(environment / "bin" / "python"), "-c", ask, *PROGRAMS[name].packages]
    found: dict[str, str] = json.loads(subprocess.check_output(command, text=True))
    return found


def run(name: str, job: Job, limits: Limits, threads: int) -> dict[str, Used]:
    """Run a program's steps one after the other, to the end or to what stops one."""
    program = PROGRAMS[name]
    job.out.mkdir(parents=True, exist_ok=True)
    steps: dict[str, Used] = {}
    for step, command in program.commands(job).items():
        steps[step] = run_measured(
            command, job.out / f"{step}.log", limits, threads, **program.variables
        )
        if steps[step].ended != "finished":
            break
    return steps


def record(name: str, job: Job, steps: dict[str, Used], **how: Any) -> dict[str, Any]:
    """What was run and used, and the probe's accuracy on every kind of latent vectors left."""
    names = read_particles(job.data / "particles.star").names
    truth = align_truth(load_truth(job.data), names)
    optional = [i for i in range(len(truth.segment_names)) if i != truth.core]
    presence = truth.presence[:, optional]
    probed = {
        kind: {"dimensions": latents.shape[1], **dataclasses.asdict(probe(latents, presence))}
        for kind, latents in PROGRAMS[name].latents(job).items()
    }
    return {
        "program": name,
        "versions": versions(name, job.environment),
        "machine": machine.description(),
        "options": job.options,
        **how,
        "steps": {step: dataclasses.asdict(used) for step, used in steps.items()},
        "particles": len(names),
        "latents": probed,
    }


def rows_of(results: list[dict[str, Any]]) -> list[list[str]]:
    """A row for every kind of latent vectors; one without where there are none."""
    rows = []
    for result in sorted(results, key=lambda r: (r["particles"], r["program"])):
        used = _used(list(result["steps"].values()))
        version = result["versions"][result["program"]]
        for kind, found in (result["latents"] or {"none": None}).items():
            accuracy = base = "–"
            if found:
                accuracy = f"{np.mean(found['accuracy']):.2%}"
                base = f"{np.mean(found['base_rate']):.2%}"
            rows.append(
                [
                    *(f"{result['particles']:,}", f"{result['program']} {version}"),
                    *(" ".join(result["options"]), kind, accuracy, base),
                    *used,
                ]
            )
    return rows


def _used(steps: list[dict[str, Any]]) -> list[str]:
    if not steps:
        return ["–", "–", "–", "not measured"]
    cpu, wall = (sum(s[key] for s in steps) / 60 for key in ("cpu_seconds", "wall_seconds"))
    peak = max(step["peak_mib"] for step in steps)
    return [f"{cpu:.1f}", f"{wall:.1f}", f"{peak:,.0f}", steps[-1]["ended"]]


HEADINGS = [
    *("particles", "program", "options", "latent vectors", "presence by probe", "base rate"),
    *("CPU, min", "wall, min", "peak, MiB", "ended"),
]


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows_of(results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def arguments(given: list[str]) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("install", "run", "judge"):
        one = verbs.add_parser(verb)
        one.add_argument("program", choices=PROGRAMS)
        one.add_argument("--environment", type=Path, default=Path(sys.prefix))
        if verb != "install":
            one.add_argument("--data", type=Path, required=True)
            one.add_argument("-o", "--out", type=Path, required=True)
        if verb == "run":
            one.add_argument("--threads", type=int, default=1)
            one.add_argument("--cpu-minutes", type=float, default=120.0, help="a step")
            one.add_argument("--memory-gib", type=float, default=12.0)
    tables = verbs.add_parser("table")
    tables.add_argument("folders", type=Path, nargs="+")
    tables.add_argument("-o", "--out", type=Path, required=True)
    cut = given.index("--") if "--" in given else len(given)
    parsed = parser.parse_args(given[:cut])
    parsed.options = given[cut + 1 :]
    return parsed


def main(given: list[str]) -> None:
    """Run the verb."""
    asked = arguments(given)
    if asked.verb == "install":
        install(asked.program, asked.environment)
    elif asked.verb in ("run", "judge"):
        job = Job(asked.data, asked.out, asked.environment, asked.options)
        if asked.verb == "run":
            limits = Limits(asked.cpu_minutes, asked.memory_gib)
            steps = run(asked.program, job, limits, asked.threads)
            how = {"threads": asked.threads, "limits": dataclasses.asdict(limits)}
            result = record(asked.program, job, steps, **how)
        else:
            result = record(asked.program, job, {})
        (asked.out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
        sys.stdout.write(table([result]))
    else:
        results = [json.loads((folder / RESULT).read_text()) for folder in asked.folders]
        (asked.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (asked.out / "results.md").write_text(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
