"""A nine-piece complex made from nothing, for demonstrations and tests.

A large core carries eight lobes of unequal size; each is filled with one chain
of pseudo-residues (C-alpha atoms) at the density of protein. The whole is about
220 Å across.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.conventions import rotation_from_euler
from cryoparts.io.atomic import write_atomically
from cryoparts.io.structure import Structure

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

BOND_ANGSTROM = 3.8
"""Distance of consecutive C-alpha atoms."""

STRAND_ANGSTROM = 5.4
"""Distance of neighbouring strands: 1 / (3.8 * 5.4²) of a residue per Å³, of which
`FILLED` stays, is protein's 0.81 Da/Å³ at 110 Da a residue."""

FILLED = 0.82
CLASH_ANGSTROM = 3.5
CORE_SEMI_AXES = (60.0, 54.0, 48.0)
LOBE_RADII = (42.0, 40.0, 38.0, 36.0, 34.0, 32.0, 30.0, 28.0)
BURIED = 0.45
"""Part of a lobe's radius that is sunk into the core."""

SEGMENT_NAMES = ("core", *(f"lobe_{number + 1}" for number in range(len(LOBE_RADII))))
CHAIN_IDS = "ABCDEFGHI"


@dataclass(frozen=True)
class _Lobe:
    centre: FloatArray
    semi_axes: FloatArray
    frame: FloatArray

    def depth(self, points: FloatArray) -> FloatArray:
        """0 at the centre, 1 on the surface of the ellipsoid."""
        scaled = (points - self.centre) @ self.frame.T / self.semi_axes
        depth: FloatArray = np.linalg.norm(scaled, axis=1)
        return depth


def toy_complex(seed: int = 0) -> Structure:
    """Make the complex.

    Parameters
    ----------
    seed : int
        Of its shape; the nine pieces and their approximate sizes stay.

    Returns
    -------
    Structure
        10,000 to 20,000 pseudo-residues, one atom each, about the centre of
        mass; chain A is the core, B to I are the lobes.
    """
    rng = np.random.default_rng(seed)
    lobes = _arrange(rng)
    waves = rng.normal(size=(48, 3))
    waves *= (2.0 * np.pi / rng.uniform(16.0, 40.0, 48) / np.linalg.norm(waves, axis=1))[:, None]
    phases = rng.uniform(0.0, 2.0 * np.pi, 48)
    chains: list[FloatArray] = []
    for number, lobe in enumerate(lobes):
        sites = _fill(lobe, rng)
        depths = np.stack([other.depth(sites) for other in lobes])
        texture = np.cos(sites @ waves.T + phases).sum(axis=1)
        kept = (np.argmin(depths, axis=0) == number) & (
            texture > np.quantile(texture, 1.0 - FILLED)
        )
        if chains:
            distance, _ = cKDTree(np.concatenate(chains)).query(sites)
            kept &= distance >= CLASH_ANGSTROM
        chains.append(sites[kept])
    positions = np.concatenate(chains)
    counts = [len(chain) for chain in chains]
    total = len(positions)
    return Structure(
        positions=(positions - positions.mean(axis=0)).astype(np.float32),
        masses=np.full(total, 6.0, dtype=np.float32),
        chain_ids=np.repeat(np.array(list(CHAIN_IDS)), counts),
        residue_numbers=np.concatenate([np.arange(1, count + 1) for count in counts]),
        residue_names=np.full(total, "ALA"),
        atom_names=np.full(total, "CA"),
        elements=np.full(total, "C"),
    )


def write_toy_segments(path: Path) -> None:
    """Write the table chain,segment that `CompositionOptions.segments_file` takes."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["chain", "segment"])
        writer.writerows(zip(CHAIN_IDS, SEGMENT_NAMES, strict=True))


def _arrange(rng: np.random.Generator) -> list[_Lobe]:
    """The core at the origin and the lobes around it, in a random order of size."""
    core = _Lobe(np.zeros(3), np.array(CORE_SEMI_AXES), np.eye(3))
    lobes = [core]
    count = len(LOBE_RADII)
    # Fibonacci's lattice spreads any number of directions evenly over the sphere.
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    longitude = np.pi * (1.0 + 5.0**0.5) * np.arange(count)
    ring = np.sqrt(1.0 - height**2)
    directions = np.stack([ring * np.cos(longitude), ring * np.sin(longitude), height], axis=1)
    directions += rng.normal(0.0, 0.08, directions.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for direction, place in zip(directions, rng.permutation(count), strict=True):
        radius = LOBE_RADII[place]
        surface = 1.0 / np.linalg.norm(direction / core.semi_axes)
        stretch = rng.uniform(0.85, 1.18, size=3)
        lobes.append(
            _Lobe(
                direction * (surface + (1.0 - BURIED) * radius),
                radius * stretch / np.cbrt(stretch.prod()),
                _random_frame(rng),
            )
        )
    # Lobe 1 is the largest, as the names' order suggests.
    return [core, *sorted(lobes[1:], key=lambda lobe: -float(lobe.semi_axes.prod()))]


def _fill(lobe: _Lobe, rng: np.random.Generator) -> FloatArray:
    """Sites of a chain that runs to and fro through the ellipsoid, strand by strand."""
    reach = float(lobe.semi_axes.max()) + STRAND_ANGSTROM
    along = np.arange(-reach, reach, BOND_ANGSTROM)
    across = np.arange(-reach, reach, STRAND_ANGSTROM)
    x, y, z = _serpentine(len(along), len(across))
    lattice = np.stack([along[x] + 0.5 * BOND_ANGSTROM * (y % 2), across[y], across[z]], axis=1)
    lattice += rng.normal(0.0, 0.35, lattice.shape)
    sites = lattice @ _random_frame(rng) + lobe.centre
    return sites[lobe.depth(sites) <= 1.0]


def _serpentine(n_along: int, n_across: int) -> tuple[NDArray[np.intp], ...]:
    """Indices (x, y, z) of a grid in an order in which each site neighbours the last."""
    z, line, x = np.meshgrid(
        np.arange(n_across), np.arange(n_across), np.arange(n_along), indexing="ij"
    )
    y = np.where(z % 2 == 0, line, n_across - 1 - line)
    x = np.where((z * n_across + line) % 2 == 0, x, n_along - 1 - x)
    return x.ravel(), y.ravel(), z.ravel()


def _random_frame(rng: np.random.Generator) -> FloatArray:
    return rotation_from_euler(
        rng.uniform(0.0, 360.0),
        np.rad2deg(np.arccos(rng.uniform(-1.0, 1.0))),
        rng.uniform(0.0, 360.0),
    )
