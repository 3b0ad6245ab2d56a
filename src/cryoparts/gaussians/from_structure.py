"""A Gaussian model of an atomic structure: neighbouring atoms share a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from cryoparts.errors import InputError
from cryoparts.gaussians.clustering import mean_axis_variance, weighted_lloyd
from cryoparts.gaussians.model import GaussianModel
from cryoparts.gaussians.placement import Origin, place_in_box
from cryoparts.gaussians.resolution import (
    VOLUME_PER_ATOM,
    count_for_resolution,
    require_count,
    require_resolution,
    width_for_resolution,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Atoms(Protocol):
    """What is needed of a structure: `cryoparts.io.structure.Structure` has it."""

    @property
    def positions(self) -> NDArray[np.float32]:
        """(x, y, z) in the file's frame, Å, shape (A, 3)."""
        ...

    @property
    def masses(self) -> NDArray[np.float32]:
        """Scattering mass of each atom, shape (A,)."""
        ...


def gaussians_from_structure(
    structure: Atoms,
    n_gaussians: int | None,
    resolution_angstrom: float,
    box_size: int,
    pixel_size: float,
    origin: Origin = "auto",
    *,
    seed: int = 0,
    where: str = "the model",
) -> GaussianModel:
    """Gaussian model of a structure, placed about the centre of the particles' box.

    Parameters
    ----------
    structure : Atoms
        Positions in the file's frame, Å, and scattering masses.
    n_gaussians : int or None
        Default: chosen from the resolution (`count_for_resolution`). Where it
        is the number of atoms or more, each atom becomes a Gaussian.
    resolution_angstrom : float
        The finest resolution to model, Å.
    box_size : int
        Side of the particles' box, pixels.
    pixel_size : float
        Å.
    origin : {"auto", "corner", "centre"}
        What the file's coordinates are relative to; see `place_in_box`.
    seed : int
        Of the grouping.
    where : str
        The file's name, for messages.

    Raises
    ------
    InputError
        If the structure has no usable atoms or lies outside the box, or an
        option is impossible.
    """
    require_atoms(structure.positions, structure.masses, where)
    placement = place_in_box(
        structure.positions, structure.masses, box_size, pixel_size, origin=origin, where=where
    )
    return gaussians_from_atoms(
        placement.positions, structure.masses, n_gaussians, resolution_angstrom, seed=seed
    )


def gaussians_from_atoms(
    positions: NDArray[np.floating],
    masses: NDArray[np.floating],
    n_gaussians: int | None,
    resolution_angstrom: float,
    *,
    seed: int = 0,
) -> GaussianModel:
    """Group atoms to Gaussians: mass-weighted k-means.

    A Gaussian has the mass and the centre of mass of its atoms. Its variance is
    that of its atoms about their centre (mean over x, y, z) plus that of a
    point seen at the target resolution, (0.225 resolution)², as variances add
    under convolution.

    Parameters
    ----------
    positions : array, shape (A, 3)
        About the box centre, Å.
    masses : array, shape (A,)
        Positive.
    n_gaussians : int or None
    resolution_angstrom : float
    seed : int

    Raises
    ------
    InputError
        If `n_gaussians` or the resolution is impossible.
    """
    require_resolution(resolution_angstrom)
    if n_gaussians is None:
        volume = VOLUME_PER_ATOM * len(positions)
        n_gaussians = count_for_resolution(volume, resolution_angstrom)
    require_count(n_gaussians)
    if n_gaussians >= len(positions):
        points, mass = np.asarray(positions), np.asarray(masses)
    else:
        # Atoms in the same place (alternate conformations) cannot be told apart.
        points, groups = np.unique(
            np.asarray(positions, dtype=np.float64), axis=0, return_inverse=True
        )
        mass = np.bincount(groups.reshape(-1), np.asarray(masses, dtype=np.float64))
    clusters = weighted_lloyd(points, mass, min(n_gaussians, len(points)), seed=seed)
    amplitudes = np.bincount(clusters.labels, mass)
    extents = mean_axis_variance(points, mass, clusters)
    widths = np.sqrt(extents + width_for_resolution(resolution_angstrom) ** 2)
    return GaussianModel.of(clusters.centres, amplitudes, widths)


def require_atoms(
    positions: NDArray[np.floating], masses: NDArray[np.floating], where: str
) -> None:
    """Refuse a structure without atoms, with broken coordinates or without mass.

    Raises
    ------
    InputError
    """
    if len(positions) == 0:
        raise InputError(
            where, "holds no atoms", "Give a PDB or mmCIF file with the molecule's atoms."
        )
    broken = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(broken):
        row = int(broken[0])
        raise InputError(
            f"{where}, atom {row + 1}",
            f"coordinates must be finite, got {np.asarray(positions)[row].tolist()}",
            "Repair or remove the atom.",
        )
    weightless = np.flatnonzero(~(np.isfinite(masses) & (np.asarray(masses) > 0)))
    if len(weightless):
        row = int(weightless[0])
        raise InputError(
            f"{where}, atom {row + 1}",
            f"scattering mass must be positive, got {float(masses[row])!r}",
            "Name the atom's element in the file or remove the atom.",
        )
