"""A run folder of very many particles, made by repeating a small run's rows."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

NOISE = 0.05
"""Of the deviation of a column: repeated particles lie about the first, not upon it."""


def enlarge_run(small: Path, large: Path, particles: int) -> None:
    """Copy a run folder with `particles` rows in place of its own.

    Every table with a column ``name`` and every array with as many rows as there are particles
    is repeated, numbers in tables and latent vectors with some noise. Images are not: the
    rows refer to those of the small run, as in symmetry-expanded files.
    """
    with np.load(small / "particles" / "particles.npz") as stored:
        columns = {name: stored[name] for name in stored.files}
    count = len(columns["names"])
    rows = np.arange(particles) % count
    random = np.random.default_rng(0)
    shutil.copytree(small, large, ignore=shutil.ignore_patterns("images.npy", "report.html"))
    for path in sorted(large.rglob("*.npy")):
        array = np.load(path, mmap_mode="r")
        if array.ndim and len(array) == count:
            np.save(path, _spread(np.asarray(array)[rows], random))
    for path in sorted(large.rglob("*.csv")):
        table = pd.read_csv(path)
        if "name" in table.columns and len(table) == count:
            _repeated(table, rows).to_csv(path, index=False)
    columns = {
        name: values[rows] if np.shape(values)[:1] == (count,) else values
        for name, values in columns.items()
    }
    columns["names"] = np.char.encode(_names(np.char.decode(columns["names"], "utf-8")), "utf-8")
    columns["working_image"] = columns.get("working_image", np.arange(count))[rows % count]
    columns["image"] = np.arange(particles, dtype=np.int64)
    np.savez(large / "particles" / "particles.npz", **columns)
    os.link(small / "particles" / "images.npy", large / "particles" / "images.npy")


def _spread(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if values.dtype.kind != "f" or values.ndim != 2:
        return values
    return values + (NOISE * values.std(axis=0) * random.normal(size=values.shape)).astype(
        values.dtype
    )


def _names(names: np.ndarray) -> np.ndarray:
    """Names that are unique: the stack's own name numbered by the repetition."""
    return np.array([f"{i + 1:06d}@{name.split('@')[-1]}" for i, name in enumerate(names)])


def _repeated(table: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    longer = table.iloc[rows].reset_index(drop=True)
    longer["name"] = _names(longer["name"].to_numpy(dtype=str))
    return longer
