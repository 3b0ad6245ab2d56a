"""Parts in the language of the atomic model: chains and residues, by the nearest Gaussian."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.errors import InputError
from cryoparts.gaussians.placement import place_in_box
from cryoparts.io.atomic_models import is_structure, read_structure
from cryoparts.particles.prepared import PreparedParticles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.io.run_directory import RunDirectory


FARTHEST_MEDIAN_ANGSTROM = 10.0
"""Atoms farther from the Gaussians than this (median) are not in their frame."""

_GAP = 5
"""Residues missing inside a range that do not interrupt it."""

_ITEM = re.compile(r"(?P<chain>[^:,\s]+)(?::(?P<first>-?\d+)(?:-(?P<last>-?\d+))?)?")


@dataclass(frozen=True)
class Atoms:
    """A atoms and the Gaussian that each belongs to.

    Parameters
    ----------
    chains : str array, shape (A,)
    residues : int array, shape (A,)
    masses : array, shape (A,)
    gaussian : int array, shape (A,)
        The nearest one.
    source : str
        The file.
    """

    chains: NDArray[np.str_]
    residues: NDArray[np.int64]
    masses: NDArray[np.float64]
    gaussian: NDArray[np.int64]
    source: str


@dataclass(frozen=True)
class ResidueRange:
    """A stretch of a chain."""

    chain: str
    first: int
    last: int

    def __str__(self) -> str:
        """``A:391-646``, as selections are written."""
        return f"{self.chain}:{self.first}-{self.last}"


def atoms_of_run(
    run: RunDirectory, model: GaussianModel, structure: Path | None = None
) -> Atoms | None:
    """The atoms of the structure that a run was made from, in the frame of its Gaussians.

    Parameters
    ----------
    run : RunDirectory
    model : GaussianModel
    structure : Path, optional
        A structure that lies over the run's model; default: the run's own.

    Returns
    -------
    Atoms or None
        None if the run was made from a map or Gaussians, and no structure is given.

    Raises
    ------
    InputError
        If the file is gone or unreadable, or its atoms do not lie on the Gaussians.
    """
    config = run.config()
    path = Path(config.model) if structure is None else structure
    if structure is None and not is_structure(path):
        return None
    atoms = read_structure(path)
    box, pixel = original_box(run)
    placed = place_in_box(
        atoms.positions,
        atoms.masses,
        box,
        pixel,
        origin=config.gaussians.model_origin,
        where=str(path),
    )
    distance, nearest = cKDTree(model.positions).query(placed.positions)
    if float(np.median(distance)) > FARTHEST_MEDIAN_ANGSTROM:
        raise InputError(
            str(path),
            f"its atoms lie {float(np.median(distance)):.0f} Å (median) from the run's Gaussians, "
            f"at most {FARTHEST_MEDIAN_ANGSTROM:g} Å are expected",
            "Give the structure in the frame of the run's model.",
        )
    return Atoms(
        atoms.chain_ids,
        atoms.residue_numbers,
        atoms.masses.astype(np.float64),
        np.asarray(nearest, dtype=np.int64),
        str(path),
    )


def original_box(run: RunDirectory) -> tuple[int, float]:
    """Box (pixels) and pixel size (Å) of most of the original particles.

    Raises
    ------
    InputError
        If the run has no working images.
    """
    prepared = PreparedParticles.open(run.particles_path)
    groups = prepared.details.get("raw_images") or []
    if not groups:
        return prepared.box_size, prepared.pixel_size_angstrom
    largest = max(groups, key=lambda group: int(group["particles"]))
    return int(largest["box_size"]), float(largest["pixel_size_angstrom"])


def chains_of_part(atoms: Atoms, members: NDArray[np.bool_]) -> list[ResidueRange]:
    """Stretches of chains in a part: residues with most of their mass on its Gaussians.

    Single residues that stand alone are left out, and short gaps are bridged.
    """
    ranges = []
    inside = members[atoms.gaussian]
    for chain in dict.fromkeys(atoms.chains.tolist()):
        own = atoms.chains == chain
        numbers, row = np.unique(atoms.residues[own], return_inverse=True)
        mass = np.bincount(row, atoms.masses[own])
        held = np.bincount(row, atoms.masses[own] * inside[own])
        ranges += _stretches(str(chain), numbers[held > 0.5 * mass], alone=len(numbers) == 1)
    return ranges


def select_gaussians(atoms: Atoms, selection: str, n_gaussians: int) -> NDArray[np.bool_]:
    """Gaussians (N,) most of whose atoms' mass is in a selection.

    Parameters
    ----------
    atoms : Atoms
    selection : str
        Chains and residues: ``A``, ``A,B``, ``A:391-646``, ``A:391-646,B:12``.
    n_gaussians : int

    Raises
    ------
    InputError
        If it is misspelt, or names a chain or residues that the structure lacks.
    """
    chosen = np.zeros(len(atoms.chains), dtype=bool)
    for item in re.split(r"[,\s]+", selection.strip().strip(",")):
        chosen |= _atoms_of(atoms, item)
    mass = np.bincount(atoms.gaussian, atoms.masses, minlength=n_gaussians)
    held = np.bincount(atoms.gaussian, atoms.masses * chosen, minlength=n_gaussians)
    return np.asarray(held > 0.5 * mass)


def _atoms_of(atoms: Atoms, item: str) -> NDArray[np.bool_]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise InputError(
            f"the selection {item!r}",
            "it is neither a chain nor residues of one",
            "Write chains and residues like A, or A:391-646, with commas between.",
        )
    chosen = atoms.chains == match["chain"]
    if not chosen.any():
        known = ", ".join(dict.fromkeys(atoms.chains.tolist()))
        raise InputError(
            f"the selection {item!r}",
            f"{atoms.source} has no chain {match['chain']!r}",
            f"Its chains: {known}.",
        )
    if match["first"] is None:
        return np.asarray(chosen)
    first = int(match["first"])
    last = first if match["last"] is None else int(match["last"])
    numbers = atoms.residues[chosen]
    chosen = chosen & (atoms.residues >= first) & (atoms.residues <= last)
    if not chosen.any():
        raise InputError(
            f"the selection {item!r}",
            f"chain {match['chain']} has no such residues",
            f"Its residues run from {numbers.min()} to {numbers.max()}.",
        )
    return np.asarray(chosen)


def _stretches(chain: str, residues: NDArray[np.int64], *, alone: bool) -> list[ResidueRange]:
    if not len(residues):
        return []
    breaks = np.flatnonzero(np.diff(residues) > _GAP + 1)
    starts = residues[np.concatenate([[0], breaks + 1])]
    ends = residues[np.concatenate([breaks, [len(residues) - 1]])]
    found = [
        ResidueRange(chain, int(first), int(last)) for first, last in zip(starts, ends, strict=True)
    ]
    return [r for r in found if alone or r.last > r.first]


def in_brief(ranges: Sequence[ResidueRange], most: int = 6) -> str:
    """``A:391-646, B:1-80`` and how many more: the longest ones."""
    texts = [str(one) for one in sorted(ranges, key=lambda one: one.first - one.last)]
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])
