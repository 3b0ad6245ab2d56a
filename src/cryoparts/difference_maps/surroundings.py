"""What lies at a place of a map: the Gaussian's part, and the atom's chain and residue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Atoms:
    """A atoms about the box centre.

    Parameters
    ----------
    positions : array, shape (A, 3)
        (x, y, z), Å.
    chains, residue_names : str arrays, shape (A,)
    residue_numbers : int array, shape (A,)
    """

    positions: FloatArray
    chains: NDArray[np.str_]
    residue_numbers: NDArray[np.int64]
    residue_names: NDArray[np.str_]


@dataclass(frozen=True)
class Surroundings:
    """The model's Gaussians with their parts and, where it was a structure, the atoms.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Of the Gaussians, (x, y, z) about the box centre, Å.
    labels : int array, shape (N,)
        Part of each: -1 unassigned, 0 core, 1 ... K.
    part_names : sequence of str
        Names by label, the core's first.
    atoms : Atoms or None
    """

    positions: FloatArray
    labels: NDArray[np.int64]
    part_names: Sequence[str]
    atoms: Atoms | None = None

    @cached_property
    def _gaussian_tree(self) -> cKDTree:
        return cKDTree(self.positions)

    @cached_property
    def _atom_tree(self) -> cKDTree:
        if self.atoms is None:
            raise ValueError("the model was not a structure")
        return cKDTree(self.atoms.positions)

    def name(self, label: int) -> str:
        """A part's name."""
        return self.part_names[label] if label >= 0 else "unassigned"

    def nearest_gaussians(self, points: ArrayLike) -> tuple[NDArray[np.int64], FloatArray]:
        """Part of the Gaussian nearest to each point (x, y, z), Å, and its distance."""
        distance, index = self._gaussian_tree.query(np.asarray(points, dtype=np.float64))
        return self.labels[index], np.asarray(distance)

    def nearest_atoms(self, points: ArrayLike) -> tuple[NDArray[np.int64], FloatArray]:
        """Index of the atom nearest to each point, and its distance.

        Raises
        ------
        ValueError
            If there are no atoms.
        """
        distance, index = self._atom_tree.query(np.asarray(points, dtype=np.float64))
        return np.asarray(index, dtype=np.int64), np.asarray(distance)


def points_of_voxels(voxels: ArrayLike, box_size: int, pixel_size_angstrom: float) -> FloatArray:
    """(x, y, z) about the box centre, Å, of voxels (z, y, x), shape (n, 3)."""
    indices = np.asarray(voxels, dtype=np.float64).reshape(-1, 3)
    points: FloatArray = (indices[:, ::-1] - box_size // 2) * pixel_size_angstrom
    return points


def voxels_of_points(
    points: ArrayLike, box_size: int, pixel_size_angstrom: float
) -> NDArray[np.int64]:
    """Voxel (z, y, x) that each point (x, y, z), Å, lies in; clipped to the box."""
    place = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    voxels = np.rint(place[:, ::-1] / pixel_size_angstrom).astype(np.int64) + box_size // 2
    return np.clip(voxels, 0, box_size - 1)
