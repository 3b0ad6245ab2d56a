"""Composition of the 50S ribosome: accuracy, time and memory of both decoders.

    python benchmarks/ribosome_composition.py STRUCTURE POSES WORK_FOLDER

STRUCTURE is a complete 50S subunit (.cif), POSES a table of published poses and
CTFs (.npz). 3,200 particles of 64 px are simulated at SNR 0.1 (nine segments cut
automatically, eight of them present in half of the particles), and a run is made
and evaluated with each decoder. What WORK_FOLDER already holds is not made again.
The result goes to ribosome_composition.json beside this script.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

DECODERS = ("mlp", "point-transformer")
TRAINING = ("--vary", "amplitude", "--n-gaussians", "2048", "--epochs", "12", "--batch-size", "32")
LIBRARIES = ("cryoparts", "torch", "numpy", "numba", "scikit-learn", "umap-learn")


def call(*arguments: object) -> None:
    """Run the program; its output is the user's."""
    program = Path(sys.executable).with_name("cryoparts")
    subprocess.run([str(program), *map(str, arguments)], check=True)


def processor() -> str:
    """Name of the processor as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor()


def measured(run: Path) -> dict[str, Any]:
    """What a run folder says of its accuracy, time and memory."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = json.loads((run / "evaluation.json").read_text())
    seconds = [row["seconds"] for row in rows[1:]]
    return {
        "headline": found["headline"],
        "accuracy_by_segment": {
            segment["name"]: segment["mean_accuracy"]
            for segment in found["composition"]["segments"]
        },
        "border_accuracy": found["composition"]["border_accuracy"],
        "interior_accuracy": found["composition"]["interior_accuracy"],
        "held_out_frc": [row["held_out_frc"] for row in rows],
        "seconds_an_epoch": seconds,
        "median_seconds_an_epoch": statistics.median(seconds),
        "median_milliseconds_a_particle": statistics.median(
            1000 / row["particles_per_second"] for row in rows[1:]
        ),
        "peak_memory_mib": max(row["peak_memory_mib"] for row in rows[1:]),
    }


def main(structure: Path, poses: Path, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data"
    if not data.exists():
        call("simulate", "composition", structure, "-o", data, "--poses-file", poses,
             "--n-particles", 3200, "--box-size", 64, "--pixel-size", 5, "--snr", 0.1)  # fmt: skip
    results = {}
    for decoder in DECODERS:
        run = work / decoder
        if not run.exists():
            call("run", data / "particles.star", "--model", data / "model.cif", "-o", run,
                 "--decoder", decoder, *TRAINING)  # fmt: skip
        if not (run / "evaluation.json").exists():
            call("evaluate", run, "--truth", data / "truth.npz")
        results[decoder] = measured(run)
    record = {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {name: version(name) for name in LIBRARIES},
        "training_options": " ".join(TRAINING),
        "seed": 0,
        "results": results,
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
