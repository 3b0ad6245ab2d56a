"""A run folder of many particles from one of few: its particles again and again, without training.

    python benchmarks/large_run.py SMALL LARGE --particles 131899

The rows share the images of the small run; what is known of each particle is repeated with
a little noise, so that no two points of a plane lie on one another. For measuring how pages
and steps that only read a run bear its size; its numbers say nothing of any molecule.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from cryoparts.io.run_directory import RunDirectory

NOISE = 0.05
"""Of a column's standard deviation."""

SKIPPED = ("reconstruction/**/*half*", "figures/*", "report.html", "encoded.npz", "calibration.npz")


def enlarge(small: Path, large: Path, count: int) -> RunDirectory:
    """Write a run of `count` particles into a new folder.

    Parameters
    ----------
    small : Path
        A run.
    large : Path
        Must not exist.
    count : int
        At least as many as the small run has.
    """
    skipped = {path for pattern in SKIPPED for path in small.glob(pattern)}
    shutil.copytree(
        small,
        large,
        ignore=lambda folder, names: [name for name in names if Path(folder, name) in skipped],
    )
    run = RunDirectory(large)
    with np.load(run.particles_path / "particles.npz") as stored:
        columns = dict(stored)
    few = len(columns["names"])
    rows, random = np.arange(count) % few, np.random.default_rng(0)
    names = _renamed(np.char.decode(columns["names"], "utf-8"), count)
    again = {key: values[rows] for key, values in columns.items()}
    image = columns.get("image", np.arange(few))[rows]
    named = {"names": np.char.encode(names, "utf-8"), "image": image, "working_image": image}
    np.savez(run.particles_path / "particles.npz", **again | named)
    for path in large.rglob("*.csv"):
        table = pd.read_csv(path)
        if "name" in table and len(table) == few and path.parent.name != "parts":
            _repeat_table(path, table, rows, names, columns["names"], random)
    for path in (*large.rglob("*.npy"),):
        values = np.load(path, mmap_mode="r")
        if len(values) == few and path.name != "images.npy":
            np.save(path, values[rows])
    return run


def _renamed(names: np.ndarray, count: int) -> np.ndarray:
    """The first as they are; later copies with the number of the copy behind."""
    rows, copy = np.arange(count) % len(names), np.arange(count) // len(names)
    return np.array(
        [
            f"{names[row]}" if k == 0 else f"{names[row]}.{k}"
            for row, k in zip(rows, copy, strict=True)
        ]
    )


def _repeat_table(path, table, rows, names, known, random) -> None:
    order = pd.Index(np.char.decode(known, "utf-8"))
    table = table.set_index("name").reindex(order).iloc[rows].reset_index(drop=True)
    for column in table.select_dtypes(float).columns:
        spread = NOISE * float(table[column].std())
        if column in ("x", "y", "coordinate", "density") or column.startswith("z"):
            table[column] += random.normal(scale=max(spread, 1e-12), size=len(table))
    table.insert(0, "name", names)
    table.to_csv(path, index=False, float_format="%.7g")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--particles", type=int, default=131_899)
    asked = parser.parse_args()
    enlarge(asked.small, asked.large, asked.particles)


if __name__ == "__main__":
    main()
