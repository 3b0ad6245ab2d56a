"""Every verb on a graphics card against the processor: times, and what differs.

    python benchmarks/gpu_verbs.py -o /tmp/gpu_verbs

Particles of a complex that the program makes itself (nine pieces that turn, and come and go)
are trained on with the processor, with the card, with the card again (the same bits are
expected) and with the card without captured steps. Then every later verb runs on the
processor's training, on either device, and what it wrote is compared. With `--device cpu` both
sides are the processor, which tests this script where there is no card.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np

from cryoparts.io.mrc import read_map
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

VERBS: dict[str, tuple[str, float]] = {
    "parts": ("parts", 0.05),
    "composition": ("composition", 0.01),
    "motion": ("motion", 0.05),
    "coordination": ("coordination", 0.05),
    "focus": ("focus", 0.05),
    "trust": ("trust", 0.05),
    "reconstruct": ("reconstruction", 0.01),
    "report": ("figures", np.inf),
}
"""Folder that a verb writes, and the relative difference that rounding explains."""

LOSS = 0.02
"""Difference of the last epoch's losses of two trainings that only rounding sets apart."""

NO_GRAPHS = {"CRYOPARTS_GRAPHS": "0"}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    here: float | None
    there: float
    difference: float
    limit: float
    where: str = ""

    def text(self) -> str:
        verdict = "ok" if self.difference <= self.limit else "DIFFERS"
        here = "" if self.here is None else f"{self.here:.1f}"
        return (
            f"| {self.what} | {here} | {self.there:.1f} | {self.difference:.2g} "
            f"| {self.limit:.2g} | {verdict} | {self.where} |"
        )


HEAD = """| | processor, s | card, s | difference | at most | | where |
|---|---|---|---|---|---|---|"""


def cryoparts(*arguments: str, **environment: str) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "cryoparts", "-q", *arguments]
    subprocess.run(command, check=True, env=os.environ | environment)
    return time.perf_counter() - started


def numbers(path: Path) -> np.ndarray | None:
    """What a file holds as numbers; None of other files. Text in a table is left out."""
    if path.suffix == ".mrc":
        return read_map(path).density
    if path.suffix == ".npy":
        values = np.load(path)
        return values if values.dtype.kind in "fiub" else None
    if path.suffix == ".csv":
        lines = path.read_text().splitlines()[1:]
        return np.genfromtxt(lines, delimiter=",") if lines else None
    return None


def difference(folder: Path, other: Path) -> tuple[float, str]:
    """Largest relative difference (root mean square) of two folders' files, and of which."""
    worst, where = 0.0, ""
    for path in sorted(folder.rglob("*")):
        mine, twin = numbers(path), other / path.relative_to(folder)
        if mine is None:
            continue
        theirs = numbers(twin) if twin.exists() else None
        if theirs is None or theirs.shape != mine.shape:
            return np.inf, str(path.relative_to(folder))
        known = np.isfinite(mine) & np.isfinite(theirs)
        a, b = mine[known].astype(float), theirs[known].astype(float)
        found = float(np.sqrt(((a - b) ** 2).sum() / max((a**2).sum(), 1e-30)))
        if found > worst:
            worst, where = found, str(path.relative_to(folder))
    return worst, where


def losses(run: Path) -> np.ndarray:
    """The loss of every epoch."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([row["loss"] for row in rows if "loss" in row])


def simulate(folder: Path, particles: int) -> Path:
    """Pieces of a complex that turn, and come and go."""
    write_toy_segments(folder / "segments.csv")
    imaging = ImagingOptions(n_particles=2, pixel_size_angstrom=5.0)
    options = CompositionOptions(segments_file=folder / "segments.csv")
    simulate_composition(toy_complex(0), folder / "complex", imaging, options)
    structure = str(folder / "complex" / "model.cif")
    cryoparts(
        *("simulate", "both", structure, "-o", str(folder / "data")),
        *("--n-particles", str(particles), "--segments-file", str(folder / "segments.csv")),
    )
    return folder / "data"


def trained(data: Path, run: Path, device: str, epochs: int, **environment: str) -> float:
    return cryoparts(
        *("train", str(data / "particles.star"), "--model", str(data / "model.cif")),
        *("--n-gaussians", "768", "--epochs", str(epochs), "--device", device, "-o", str(run)),
        **environment,
    )


def on_device(run: Path, copy: Path, device: str) -> Path:
    """A copy of a run whose later steps are done on another device."""
    shutil.copytree(run, copy)
    config = copy / "config.yaml"
    config.write_text(re.sub(r"device: \w+", f"device: {device}", config.read_text()))
    return copy


def compared(folder: Path, device: str, particles: int, epochs: int) -> list[Row]:
    """All rows of the table, each printed when it is known."""
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        print(row.text(), flush=True)

    data = simulate(folder, particles)
    here, there, again, plain = (folder / name for name in ("here", "there", "again", "plain"))
    on_processor = trained(data, here, "cpu", epochs)
    on_card = trained(data, there, device, epochs)
    last = abs(float(losses(here)[-1] - losses(there)[-1]))
    add(Row("train", on_processor, on_card, last, LOSS, "loss"))
    seconds = trained(data, again, device, epochs)
    add(Row("train, repeated on the card", None, seconds, *same_bits(there, again)))
    seconds = trained(data, plain, device, epochs, **NO_GRAPHS)
    last = abs(float(losses(plain)[-1] - losses(there)[-1]))
    add(Row("train, steps not captured", None, seconds, last, LOSS, "loss"))
    there = on_device(here, folder / "there_from_here", device)
    for verb, (written, limit) in VERBS.items():
        times = [cryoparts(verb, str(run)) for run in (here, there)]
        add(Row(verb, times[0], times[1], *worst_of(here / written, there / written, limit)))
    return rows


def same_bits(run: Path, other: Path) -> tuple[float, float, str]:
    """Largest difference of the latent vectors; none is allowed."""
    one, two = (np.load(r / "latent.npy") for r in (run, other))
    return float(np.abs(one - two).max()), 0.0, "latent.npy"


def worst_of(folder: Path, other: Path, limit: float) -> tuple[float, float, str]:
    found, where = difference(folder, other)
    return found, limit, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder to make")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--particles", type=int, default=3200)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    options.output.mkdir(parents=True)
    print(json.dumps(machine.description() | {"card": machine.card()}), "\n")
    print(HEAD)
    rows = compared(options.output, options.device, options.particles, options.epochs)
    sys.exit(any(row.difference > row.limit for row in rows))


if __name__ == "__main__":
    main()
