"""The result of segmentation: a label for each Gaussian, and its files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_text, write_together
from cryoparts.io.files import reading
from cryoparts.io.tables import (
    load_array,
    read_json,
    read_rows,
    read_table,
    save_array,
    write_table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

CURE = "Make one with `cryoparts parts`."
LABELS = "labels.npy"
"""Written last: its presence means that the folder is whole."""
UNASSIGNED, CORE = -1, 0

RESERVED_NAME = re.compile(r"(part_?)?\d*|core|unassigned", re.IGNORECASE)
"""Names that a user cannot give: they already mean a part."""

_NAME = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)

_PIECE_GAP = 2.5
"""Gaussians of a part are in one piece if steps of this many typical
nearest-neighbour distances connect them."""


@dataclass(frozen=True)
class PartLabels:
    """The part of each Gaussian, and what it was decided from.

    Parameters
    ----------
    labels : int array, shape (N,)
        -1 unassigned, 0 core, 1 ... K parts by decreasing size.
    embedding : array, shape (N, 2)
        The Gaussians in the plane, by what happens to them.
    positions : array, shape (N, 3)
        Neutral positions, Å.
    amplitude_change : array, shape (N,)
        Standard deviation of the relative amplitude over the particles.
    displacement_rms_angstrom : array, shape (N,)
        Root mean square displacement over the particles, Å.
    method : str
        Embedding used, "umap" or "pca".
    names : tuple of str, length K + 1
        What each label is called, ("core", "part_1", ...) by default.
    """

    labels: IntArray
    embedding: FloatArray
    positions: FloatArray
    amplitude_change: FloatArray
    displacement_rms_angstrom: FloatArray
    method: str
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", default_names(self.n_parts))
        count = len(self.labels)
        for name, shape in (
            ("embedding", (count, 2)),
            ("positions", (count, 3)),
            ("amplitude_change", (count,)),
            ("displacement_rms_angstrom", (count,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if count and (self.labels.min() < UNASSIGNED):
            raise ValueError(f"labels start at -1, found {self.labels.min()}")
        if len(self.names) != self.n_parts + 1 or self.names[0] != "core":
            raise ValueError(f"{self.n_parts} parts and the core cannot be called {self.names}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"two parts have the same name: {self.names}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_parts(self) -> int:
        """Number of parts, the core not counted."""
        return max(int(self.labels.max(initial=0)), 0)

    @property
    def part_names(self) -> tuple[str, ...]:
        """What the parts 1 ... K are called."""
        return self.names[1:]

    def name(self, part: int) -> str:
        """What a part is called: the user's name, or "part_3"; "core" and "unassigned" too."""
        return "unassigned" if part == UNASSIGNED else self.names[part]

    def members(self, part: int) -> NDArray[np.bool_]:
        """Mask (N,) of the Gaussians of a part (0 for the core)."""
        return np.asarray(self.labels == part)

    @property
    def in_parts(self) -> NDArray[np.bool_]:
        """Mask (N,) of the Gaussians that are neither in the core nor unassigned."""
        return np.asarray(self.labels > CORE)

    def pieces(self, part: int) -> int:
        """In how many separate places the part is, each with a tenth of its Gaussians or more."""
        inside = self.positions[self.members(part)]
        if len(inside) < 2:
            return len(inside)
        nearest = np.asarray(cKDTree(self.positions).query(self.positions, k=2)[0])[:, 1]
        return _connected_pieces(inside, _PIECE_GAP * float(np.median(nearest)))

    def part_number(self, name: str) -> int:
        """The number of a part called "part_2", "part2", "2" or as the user named it.

        Raises
        ------
        InputError
            If there is no such part.
        """
        if name in self.part_names:
            return self.names.index(name)
        text = name.removeprefix("part").removeprefix("_")
        if text.isdecimal() and 1 <= int(text) <= self.n_parts:
            return int(text)
        known = ", ".join(self.part_names) or "none: nothing was found to change"
        raise InputError("part", f"there is no part {name!r}", f"Parts of this run: {known}.")

    def save(self, folder: Path) -> None:
        """Write labels.npy, embedding.npy, parts.csv, gaussians.csv and summary.json."""
        summary = {
            "n_gaussians": len(self),
            "n_parts": self.n_parts,
            "unassigned": int(self.members(UNASSIGNED).sum()),
            "embedding": self.method,
        }
        with write_together(folder, last=LABELS) as new:
            save_array(new / "embedding.npy", self.embedding.astype(np.float32))
            write_table(new / "gaussians.csv", _gaussian_columns(self))
            write_table(new / "parts.csv", _part_columns(self))
            write_text(new / "summary.json", json.dumps(summary, indent=2) + "\n")
            save_array(new / LABELS, self.labels)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing or does not fit the others.
        """
        table = folder / "gaussians.csv"
        with reading(table, "of a folder of parts", CURE):
            columns = {
                str(key): values.to_numpy(dtype=np.float64)
                for key, values in read_table(table, cure=CURE).items()
            }
            labels = load_array(folder / LABELS).astype(np.int64)
            if labels.max(initial=0) > len(labels):
                raise ValueError(f"{LABELS} numbers more parts than there are Gaussians")
            return cls(
                labels=labels,
                embedding=load_array(folder / "embedding.npy").astype(np.float64),
                positions=np.stack([columns[a] for a in ("x", "y", "z")], axis=1),
                amplitude_change=columns["amplitude_change"],
                displacement_rms_angstrom=columns["displacement_rms_angstrom"],
                method=str((read_json(folder / "summary.json") or {})["embedding"]),
                names=_read_names(folder / "parts.csv", max(int(labels.max(initial=0)), 0)),
            )


def default_names(n_parts: int) -> tuple[str, ...]:
    """("core", "part_1", ..., "part_K")."""
    return ("core", *(f"part_{k}" for k in range(1, n_parts + 1)))


def numbers_by_size(labels: IntArray, first: int = CORE + 1) -> IntArray:
    """The number (K + 1,) that each part 0 ... K gets: those from `first` on by falling size."""
    sizes = np.bincount(labels[labels >= 0])
    numbers = np.arange(len(sizes), dtype=np.int64)
    numbers[first + np.argsort(-sizes[first:], kind="stable")] = np.arange(first, len(sizes))
    return numbers


def with_numbers(labels: IntArray, numbers: IntArray) -> IntArray:
    """Labels (N,) with the number (K + 1,) that each part gets; what is in none stays there."""
    return np.where(labels >= 0, numbers[labels], labels)


def require_name(name: str, taken: tuple[str, ...]) -> str:
    """A name that a user gives a part, if it can be one.

    Raises
    ------
    InputError
        If it is taken, could be read as the number of a part, or holds more than
        letters, digits and underscores (tables, selections and ChimeraX use it).
    """
    if not _NAME.fullmatch(name) or RESERVED_NAME.fullmatch(name):
        raise InputError(
            "the name",
            f"a part cannot be called {name!r}",
            "Use up to 40 letters, digits and underscores, a letter first, and neither 'core' "
            "nor 'part_3': NBD1 or L1_stalk, for example.",
        )
    if name in taken:
        raise InputError("the name", f"another part is called {name!r}", "Choose another name.")
    return name


def _read_names(table: Path, n_parts: int) -> tuple[str, ...]:
    """The column `name` of parts.csv; runs made before parts had names lack it."""
    names = list(default_names(n_parts))
    if not table.is_file():
        return tuple(names)
    for row in read_rows(table, ["part"], cure=CURE):
        number = row["part"].removeprefix("part_")
        if number.isdecimal() and int(number) <= n_parts and row.get("name"):
            names[int(number)] = row["name"]
    return tuple(names)


def _connected_pieces(points: FloatArray, reach: float) -> int:
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(points), len(points)))
    sizes = np.bincount(connected_components(links, directed=False)[1])
    return max(int((sizes >= 0.1 * len(points)).sum()), 1)


def _gaussian_columns(parts: PartLabels) -> dict[str, NDArray[np.generic]]:
    x, y, z = parts.positions.T
    return {
        "x": x,
        "y": y,
        "z": z,
        "label": parts.labels,
        "amplitude_change": parts.amplitude_change,
        "displacement_rms_angstrom": parts.displacement_rms_angstrom,
    }


def _part_columns(parts: PartLabels) -> dict[str, NDArray[np.generic]]:
    """One row a part, the core first; means over the part's Gaussians."""
    numbers = [k for k in range(parts.n_parts + 1) if parts.members(k).any()]
    chosen = [parts.members(k) for k in numbers]
    centroids = np.array([parts.positions[m].mean(axis=0) for m in chosen]).reshape(-1, 3)
    return {
        "part": np.array(["core" if k == CORE else f"part_{k}" for k in numbers]),
        "name": np.array([parts.name(k) for k in numbers]),
        "gaussians": np.array([m.sum() for m in chosen]),
        "amplitude_change": np.array([parts.amplitude_change[m].mean() for m in chosen]),
        "displacement_rms_angstrom": np.array(
            [np.sqrt((parts.displacement_rms_angstrom[m] ** 2).mean()) for m in chosen]
        ),
        "x": centroids[:, 0],
        "y": centroids[:, 1],
        "z": centroids[:, 2],
        "pieces": np.array([parts.pieces(k) for k in numbers]),
    }
