"""What a run costs by its number of particles and of processes, from what was measured.

    python benchmarks/cost_model.py     rewrites the tables of docs/cost.md

The costs of the steps are those of `results/shared_work.json`; how training grows with box and
Gaussians is from `training_step.json`; what was measured of whole runs is in
`results/whole_runs.json`.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "cost.md"
EPOCHS = 8
TRAINING = "training, one epoch"
WAYS, REFINED = "ways of moving, asked of images", "motion, by the images"
"""The second begins with the first."""

FIXED = {"null particles": 2000, WAYS: 256}
"""Steps on a number of particles that does not grow with the data."""

MOST_IN_TRAINING = 8
"""Processes that a batch of 64 keeps busy."""

PARTICLES = (10**4, 10**5, 10**6, 10**7, 10**8)
PROCESSES = (1, 2, 8, 32, 64)


def own_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose times are of that step alone."""
    within = {row["step"]: row for row in rows}.get(WAYS)
    if within is None:
        return rows
    return [
        row
        | {
            key: [t - statistics.median(within[key]) for t in row[key]]
            for key in ("one", "several")
        }
        if row["step"] == REFINED
        else row
        for row in rows
    ]


def each(row: dict[str, Any], key: str) -> float:
    """Seconds a particle."""
    return statistics.median(row[key]) / row["particles"]


def efficiency(row: dict[str, Any], processes: int) -> float:
    """Share of the ideal gain, of several processes over one."""
    return min(1.0, each(row, "one") / each(row, "several") / processes)


def seconds(
    rows: list[dict[str, Any]], alone: dict[str, float], particles: int, processes: int
) -> float:
    """Predicted time of a run: what is shared over the processes, and what one does alone.

    Measured with two processes, a step's efficiency e gives the share that is not shared,
    s = 1 / e - 1 (Amdahl 1967), which is kept for more.
    """
    total = alone["seconds"] + alone["seconds_a_particle"] * particles
    for row in rows:
        most = min(processes, MOST_IN_TRAINING) if row["step"] == TRAINING else processes
        serial = 1.0 / efficiency(row, 2) - 1.0
        count = FIXED.get(row["step"], particles)
        times = EPOCHS if row["step"] == TRAINING else 1
        total += times * count * each(row, "one") * (serial + (1.0 - serial) / most)
    return total


def in_words(value: float) -> str:
    """A time as a reader takes it in."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if value >= 2 * size:
            return f"{value / size:,.0f} {unit}"
    return f"{value:.0f} s"


def tables() -> dict[str, str]:
    """The tables of the page, by their marks."""
    shared = json.loads((HERE / "results" / "shared_work.json").read_text(encoding="utf-8"))
    whole = json.loads((HERE / "results" / "whole_runs.json").read_text(encoding="utf-8"))
    rows = own_times(shared["rows"])
    alone = whole["alone"]
    steps = ["| step | ms a particle | 2 processes, times as fast |", "| --- | --- | --- |"]
    steps += [
        f"| {row['step']} | {1e3 * each(row, 'one'):.2f} | {2 * efficiency(row, 2):.2f} |"
        for row in rows
    ]
    own = f"{alone['seconds']:.0f} s, and {1e3 * alone['seconds_a_particle']:.2f}"
    steps.append(f"| what one process does alone | {own} | 1 |")
    head = "| particles | " + " | ".join(f"{n} process{'es' * (n > 1)}" for n in PROCESSES) + " |"
    grid = [head, "| --- " * (len(PROCESSES) + 1) + "|"]
    for particles in PARTICLES:
        cells = [in_words(seconds(rows, alone, particles, n)) for n in PROCESSES]
        grid.append(f"| 10^{len(str(particles)) - 1} | {' | '.join(cells)} |")
    check = ["| run | processes | predicted | measured |", "| --- | --- | --- | --- |"]
    for run in whole["runs"]:
        told = in_words(seconds(rows, alone, run["particles"], run["processes"]))
        check.append(
            f"| {run['name']} | {run['processes']} | {told} | {in_words(run['seconds'])} |"
        )
    return {"steps": "\n".join(steps), "grid": "\n".join(grid), "check": "\n".join(check)}


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for mark, table in tables().items():
        before, rest = page.split(f"<!-- {mark} -->\n", 1)
        _, after = rest.split(f"<!-- end of {mark} -->", 1)
        page = f"{before}<!-- {mark} -->\n{table}\n<!-- end of {mark} -->{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
