"""Cutting a structure into compact pieces of unequal size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray
    from cryoparts.io.structure import Structure

ITERATIONS = 80
LARGEST_TO_SMALLEST = 5.0
"""Ratio of the masses of the largest and the smallest piece that is aimed at."""


def cut_structure(
    structure: Structure, n_pieces: int, rng: np.random.Generator, *, keep_chains: bool = False
) -> NDArray[np.int64]:
    """Cut a structure into compact pieces whose sizes vary about fivefold.

    Whole residues (or whole chains) are kept together. The pieces are cells of
    a power diagram (each unit goes to the centre of least |x - c|² - r²), which
    are convex; centres move to their cells' means (Lloyd) and the radii grow or
    shrink until the cells have the sizes drawn for them.

    Parameters
    ----------
    structure : Structure
    n_pieces : int
    rng : numpy Generator
    keep_chains : bool
        Keep whole chains together rather than residues.

    Returns
    -------
    int64 array, shape (A,)
        Piece of each atom, 0 the heaviest and so on downwards.

    Raises
    ------
    InputError
        If the structure has fewer residues (chains) than pieces.
    """
    unit = _units(structure, keep_chains=keep_chains)
    n_units = int(unit.max()) + 1
    if n_units < n_pieces:
        raise InputError(
            "--n-segments",
            f"must be at most the number of {'chains' if keep_chains else 'residues'}, "
            f"{n_units}, got {n_pieces}",
            "Ask for fewer pieces.",
        )
    masses = np.asarray(structure.masses, dtype=np.float64)
    unit_mass: FloatArray = np.bincount(unit, weights=masses).astype(np.float64)
    centres = np.stack(
        [
            np.bincount(unit, weights=masses * structure.positions[:, axis]) / unit_mass
            for axis in range(3)
        ],
        axis=1,
    )
    piece = _power_cells(centres, unit_mass, _target_shares(n_pieces), rng)
    heaviest_first = np.argsort(-np.bincount(piece, weights=unit_mass, minlength=n_pieces))
    rank = np.empty(n_pieces, dtype=np.int64)
    rank[heaviest_first] = np.arange(n_pieces)
    return rank[piece][unit]


def _units(structure: Structure, *, keep_chains: bool) -> NDArray[np.int64]:
    """Number of the residue (or chain) of each atom."""
    chain = np.unique(np.asarray(structure.chain_ids), return_inverse=True)[1]
    if keep_chains:
        return chain.astype(np.int64)
    pairs = np.stack([chain, np.asarray(structure.residue_numbers)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _target_shares(n_pieces: int) -> FloatArray:
    """Shares of the mass, in geometric steps from the largest to the smallest."""
    sizes = np.geomspace(LARGEST_TO_SMALLEST, 1.0, n_pieces)
    shares: FloatArray = sizes / sizes.sum()
    return shares


def _power_cells(
    points: FloatArray, masses: FloatArray, shares: FloatArray, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Cell of each point; every cell keeps one point at least."""
    targets = shares * masses.sum()
    n_cells = len(shares)
    centres = points[_far_apart(points, n_cells, rng)]
    spread = np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean())
    radii = spread * np.cbrt(shares)
    cell = np.zeros(len(points), dtype=np.int64)
    for _ in range(ITERATIONS):
        squared = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        cell = np.argmin(squared - radii**2, axis=1)
        for empty in np.flatnonzero(np.bincount(cell, minlength=n_cells) == 0):
            crowded = np.flatnonzero(np.bincount(cell, minlength=n_cells)[cell] > 1)
            cell[crowded[np.argmin(squared[crowded, empty])]] = empty
        held = np.bincount(cell, weights=masses, minlength=n_cells)
        centres = np.stack(
            [
                np.bincount(cell, weights=masses * points[:, axis], minlength=n_cells) / held
                for axis in range(3)
            ],
            axis=1,
        )
        radii = radii * np.clip(targets / held, 0.5, 2.0) ** 0.1
    return cell


def _far_apart(points: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Starting points chosen far from one another (k-means++, Arthur & Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(points)))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        if not nearest.any():
            chosen.append(next(i for i in range(len(points)) if i not in chosen))
            continue
        chosen.append(int(rng.choice(len(points), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen
