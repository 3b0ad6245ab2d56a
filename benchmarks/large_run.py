"""A run folder of many particles from one of few: its particles again and again, without training.

    python benchmarks/large_run.py SMALL LARGE --particles 131899

The rows share the working images of the small run, but count as images of their own, with
names as long as those of real data; latent vectors and what else is known of each particle are
repeated with a little noise, so that no two points of a plane lie on one another. For measuring
how pages and steps that only read a run bear its size; its numbers say nothing of any molecule.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.star import read_blocks

NOISE = 0.05
"""Of a column's standard deviation."""

SKIPPED = ("reconstruction/**/*half*", "figures/*", "report.html", "encoded.npz", "calibration.npz")

RESULTS = ("focus", "composition", "coordination")
"""Folders that verbs make anew from the rest."""

PLACES = ("x", "y", "coordinate", "density")
"""Columns that points are drawn at, beside the latent vectors' z1, z2 ..."""

ROWS_AT_ONCE = 65_536


def enlarge(small: Path, large: Path, count: int, without: tuple[str, ...] = ()) -> RunDirectory:
    """Write a run of `count` particles into a new folder.

    Parameters
    ----------
    small : Path
        A run.
    large : Path
        Must not exist.
    count : int
        At least as many as the small run has.
    without : tuple of str
        Patterns of further files and folders that are left out.
    """
    skipped = {path for pattern in (*SKIPPED, *without) for path in small.glob(pattern)}
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
    known = np.char.decode(columns["names"], "utf-8")
    names = _renamed(known, count)
    image = columns.get("working_image", columns.get("image", np.arange(few)))[rows]
    again = {key: values[rows] for key, values in columns.items()}
    own = {"names": np.char.encode(names, "utf-8"), "working_image": image}
    np.savez(run.particles_path / "particles.npz", **again | own | {"image": np.arange(count)})
    for path in large.rglob("*.csv"):
        table = pd.read_csv(path)
        if "name" in table and len(table) == few and path.parent.name != "parts":
            _repeat_table(path, table, rows, names, known, random)
    for path in large.rglob("*.npy"):
        values = np.load(path, mmap_mode="r")
        if len(values) == few and path.name != "images.npy":
            _repeat_array(path, np.array(values), rows, random)
    _repeat_particle_file(run, known, names)
    return run


def _renamed(known: np.ndarray, count: int) -> np.ndarray:
    """Names of the first as they are; later copies are of another micrograph's stack."""
    few = len(known)
    copies = [
        f"{name.partition('@')[0]}@Extract/job042/Movies/FoilHole_29764126_Data_{copy:08d}_"
        f"20260112_101517_Fractions.mrcs"
        for copy in range(1, -(-count // few))
        for name in known
    ]
    return np.array([*known, *copies][:count])


def _repeat_table(path, table, rows, names, known, random) -> None:
    varied = [c for c in table.select_dtypes(float).columns if c in PLACES or c.startswith("z")]
    if not varied:
        _repeat_lines(path, names, known)
        return
    table = table.set_index("name").reindex(pd.Index(known)).iloc[rows].reset_index(drop=True)
    for column in varied:
        spread = NOISE * float(table[column].std())
        table[column] += random.normal(scale=max(spread, 1e-12), size=len(table))
    table.insert(0, "name", names)
    table.to_csv(path, index=False, float_format="%.7g")


def _repeat_lines(path, names, known) -> None:
    """The same as text, which is quick; names come first and have no commas."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    of = dict(line.split(",", 1) for line in lines)
    tails = [of[name] for name in known]
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{head}\n")
        stream.writelines(
            f"{name},{tails[row % len(tails)]}\n" for row, name in enumerate(names.tolist())
        )


def _repeat_array(path, values, rows, random) -> None:
    repeated = np.lib.format.open_memmap(
        path, mode="w+", dtype=values.dtype, shape=(len(rows), *values.shape[1:])
    )
    spread = NOISE * values.std(axis=0) if path.name == "latent.npy" else None
    for start in range(0, len(rows), ROWS_AT_ONCE):
        piece = values[rows[start : start + ROWS_AT_ONCE]]
        if spread is not None:
            piece = piece + random.normal(size=piece.shape) * spread
        repeated[start : start + len(piece)] = piece
    repeated.flush()


def _repeat_particle_file(run: RunDirectory, known, names) -> None:
    """A .star of all, in the folder, where the small run came from one that is there."""
    record = yaml.safe_load(run.config_path.read_text(encoding="utf-8"))
    source = Path(record["options"]["particles"])
    if source.suffix != ".star" or not source.is_file():
        return
    block = read_blocks(source)["particles"]
    lines = source.read_text(encoding="utf-8").splitlines()
    head, body = lines[: block.first_line], [line for line in lines[block.first_line :] if line]
    place = {line.split()[0]: line.partition(" ")[2] for line in body}
    tails = [place[name] for name in known]
    target = run.root / source.name
    with target.open("w", encoding="utf-8") as stream:
        stream.write("\n".join(head) + "\n")
        for row, name in enumerate(names.tolist()):
            stream.write(f"{name} {tails[row % len(tails)]}\n")
    record["options"]["particles"] = str(target.resolve())
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    run.config_path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--particles", type=int, default=131_899)
    asked = parser.parse_args()
    enlarge(asked.small, asked.large, asked.particles)


if __name__ == "__main__":
    main()
