"""What is in front of the microscope: a molecule whose parts come, go and turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from cryoparts.simulation.atom_projection import AtomGroups, project_groups
from cryoparts.simulation.rigid_motion import Hinges, placements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, Poses


class Scene(Protocol):
    """The particles of a data set, whatever they are made of."""

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """All particles once, `batch` at most at a time, in the order easiest to project."""

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections of the particles `rows`, whose poses are given, shifts applied."""

    def seen_with(self, box_size: int, pixel_size_angstrom: float) -> Self:
        """The same particles in a box of another side (pixels) and pixel size (Å)."""


def in_order(n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
    """0 .. n_particles - 1 in runs of at most `batch`."""
    for start in range(0, n_particles, batch):
        yield np.arange(start, min(start + batch, n_particles))


@dataclass(frozen=True)
class MoleculeScene:
    """Particles of one molecule, whose groups of atoms may be absent and may turn.

    Parameters
    ----------
    atoms : AtomGroups
        G groups.
    box_size : int
    pixel_size_angstrom : float
    presence : bool array, shape (P, G), optional
        Which groups each particle has. Default: all.
    hinges : Hinges, optional
        Axes of the groups 1 .. G - 1; group 0 never turns. Default: nothing turns.
    angles_degrees : float array, shape (P, G - 1), optional
        Angle of each group about its axis.
    """

    atoms: AtomGroups
    box_size: int
    pixel_size_angstrom: float
    presence: NDArray[np.bool_] | None = None
    hinges: Hinges | None = None
    angles_degrees: FloatArray | None = None

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """All particles in order."""
        return in_order(n_particles, batch)

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections (n, D, D // 2 + 1) of the particles `rows` in their poses."""
        groups = (len(rows), self.atoms.n_groups)
        view, shift = poses.rotation[:, None, :2, :], poses.shift_angstrom[:, None, :]
        if self.hinges is None or self.angles_degrees is None:
            matrices = np.broadcast_to(view, (*groups, 2, 3))
            offsets = np.broadcast_to(shift, (*groups, 2))
        else:
            turns, moves = placements(self.hinges, self.angles_degrees[rows])
            matrices, offsets = view @ turns, (view @ moves[..., None])[..., 0] + shift
        weights = np.ones(groups) if self.presence is None else self.presence[rows]
        return project_groups(
            self.atoms, matrices, offsets, weights, self.box_size, self.pixel_size_angstrom
        )

    def seen_with(self, box_size: int, pixel_size_angstrom: float) -> Self:
        """The same particles in another box."""
        return replace(self, box_size=box_size, pixel_size_angstrom=pixel_size_angstrom)
