"""Changing parts by hand: every edit gives new labels and says which part became which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from cryoparts.errors import InputError
from cryoparts.parts.part_labels import CORE, UNASSIGNED, default_names, require_name
from cryoparts.seeds import Purpose, seed_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.config.steps import SplitBy
    from cryoparts.parts.part_labels import PartLabels

    IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Edit:
    """Labels after an edit.

    Parameters
    ----------
    labels : PartLabels
        Parts stay numbered 1 ... K without gaps; new ones come last.
    kept : dict of int to int
        New number of each old part whose Gaussians are still the same: what was
        computed of them holds.
    told : str
        What was done, in words.
    """

    labels: PartLabels
    kept: dict[int, int]
    told: str


def merge(parts: PartLabels, chosen: Sequence[int], name: str | None = None) -> Edit:
    """Join parts (0 for the core) to one, which gets the first's place and name.

    Raises
    ------
    InputError
        If fewer than two parts are named, or the new name cannot be used.
    """
    numbers = list(dict.fromkeys(chosen))
    if len(numbers) < 2:
        raise InputError("merge", "takes two parts or more", "Name them: part_1 part_3.")
    target = CORE if CORE in numbers else numbers[0]
    labels = np.where(np.isin(parts.labels, numbers), target, parts.labels)
    names = list(parts.names)
    if name is not None and target != CORE:
        names[target] = require_name(name, _other_names(parts, numbers))
    joined = " and ".join(parts.name(k) for k in numbers)
    return _edited(parts, labels, names, f"merged {joined}")


def split(
    parts: PartLabels,
    part: int,
    *,
    into: int = 2,
    by: SplitBy = "change",
    seed: int = 0,
) -> Edit:
    """Divide a part by k-means; the largest piece keeps its number and name.

    Parameters
    ----------
    parts : PartLabels
    part : int
    into : int
        Number of pieces.
    by : "change" or "place"
        Which Gaussians belong together: those near each other in the embedding,
        which change alike, or those near each other in the molecule.
    seed : int

    Raises
    ------
    InputError
        If the part has fewer Gaussians than pieces are asked for.
    """
    index = np.flatnonzero(parts.members(part))
    if not 2 <= into <= len(index):
        raise InputError(
            "--into",
            f"must be from 2 to the part's {len(index)} Gaussians, got {into}",
            "2 or 3 is usual.",
        )
    points = (parts.embedding if by == "change" else parts.positions)[index]
    with threadpool_limits(limits=1):
        piece = KMeans(
            into, n_init=10, random_state=seed_for(seed, Purpose.PART_SPLIT)
        ).fit_predict(points)
    sizes = np.bincount(piece, minlength=into)
    rank = np.empty(into, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(into)
    labels = parts.labels.copy()
    labels[index] = np.where(rank[piece] == 0, part, parts.n_parts + rank[piece])
    names = [*parts.names, *default_names(parts.n_parts + into - 1)[parts.n_parts + 1 :]]
    return _edited(parts, labels, names, f"split {parts.name(part)} into {into} by {by}")


def add(parts: PartLabels, members: NDArray[np.bool_], name: str | None, origin: str) -> Edit:
    """Make a new part of the chosen Gaussians (N,), taken from where they were.

    Raises
    ------
    InputError
        If no Gaussian is chosen, or the name cannot be used.
    """
    if not members.any():
        raise InputError(
            origin, "holds no Gaussian of the model", "Choose more residues or a larger mask."
        )
    number = parts.n_parts + 1
    names = [*parts.names, default_names(number)[number]]
    labels = np.where(members, number, parts.labels)
    edited = _edited(parts, labels, names, f"added a part from {origin}")
    last = int(labels[members][0]) - (number - edited.labels.n_parts)
    return edited if name is None else _renamed(edited, last, name)


def remove(parts: PartLabels, part: int, *, to_core: bool = True) -> Edit:
    """Dissolve a part: its Gaussians join the core, or are left unassigned."""
    labels = np.where(parts.members(part), CORE if to_core else UNASSIGNED, parts.labels)
    return _edited(parts, labels, list(parts.names), f"removed {parts.name(part)}")


def rename(parts: PartLabels, part: int, name: str) -> Edit:
    """Give a part another name; all that was computed of it holds."""
    edited = _edited(parts, parts.labels, list(parts.names), "")
    return _renamed(replace(edited, told=f"renamed {parts.name(part)} to {name}"), part, name)


def members_in_mask(
    positions: NDArray[np.floating], path: Path, extent_angstrom: float
) -> NDArray[np.bool_]:
    """Gaussians (N,) at which a mask is above 0.5.

    The mask's box must be the particles' (at any sampling), as in RELION and
    cryoSPARC: then its middle voxel, D // 2, is the origin of coordinates,
    whatever its header says.

    Raises
    ------
    InputError
        If it is no map, or of another box.
    """
    # only this edit reads maps
    from cryoparts.io.mrc import read_map

    density, voxel, _ = read_map(path)
    sides = np.array(density.shape) * voxel
    if not np.allclose(sides, extent_angstrom, rtol=0.01):
        z, y, x = (f"{side:.1f}" for side in sides)
        raise InputError(
            str(path),
            f"the mask's box is {x} x {y} x {z} Å, the particles' {extent_angstrom:.1f} Å",
            "Make the mask in the box of the particles, or of a map of them.",
        )
    size = np.array(density.shape[::-1])
    voxels = np.rint(np.asarray(positions, dtype=np.float64) / voxel).astype(np.int64) + size // 2
    inside = ((voxels >= 0) & (voxels < size)).all(axis=1)
    x, y, z = np.clip(voxels, 0, size - 1).T
    return np.asarray(inside & (density[z, y, x] > 0.5))


def _edited(parts: PartLabels, labels: NDArray[np.integer], names: list[str], told: str) -> Edit:
    """Close the gaps in the numbers; default names follow their number."""
    defaults = default_names(len(names) - 1)
    present = [k for k in range(1, len(names)) if (labels == k).any()]
    number = {old: new for new, old in enumerate(present, start=1)} | {CORE: CORE}
    renumbered = np.full(len(labels), UNASSIGNED, dtype=np.int64)
    for old, new in number.items():
        renumbered[labels == old] = new
    kept_names = [names[old] if names[old] != defaults[old] else "" for old in present]
    final = [
        name or default
        for name, default in zip(kept_names, default_names(len(present))[1:], strict=True)
    ]
    kept = {
        old: number[old]
        for old in range(1, parts.n_parts + 1)
        if old in number and np.array_equal(labels == old, parts.members(old))
    }
    edited = replace(parts, labels=renumbered, names=("core", *final))
    return Edit(edited, kept, told)


def _renamed(edit: Edit, part: int, name: str) -> Edit:
    others = tuple(n for k, n in enumerate(edit.labels.names) if k != part)
    names = list(edit.labels.names)
    names[part] = require_name(name, others)
    return replace(edit, labels=replace(edit.labels, names=tuple(names)))


def _other_names(parts: PartLabels, numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(name for k, name in enumerate(parts.names) if k not in numbers)
