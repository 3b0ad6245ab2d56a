"""Images of what is no particle in its place.

What lies beside or beyond the box is projected into a box twice as wide, passes the
CTF there and is cut, so that nothing wraps around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch

from cryoparts.conventions import Poses
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_grid, inverse_transform, transform
from cryoparts.simulation.acquisition import uniform_rotations
from cryoparts.simulation.atom_projection import AtomGroups, project_groups

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, FloatArray

    Images = NDArray[np.float32]

WIDER = 2
"""Side of the box in which junk is made, in boxes."""

PLANES = 4
"""Planes that cut the molecule: a broken one lacks a side of one of them."""

OTHER_ATOMS = 4000
NEIGHBOUR_DISTANCE = (0.4, 0.65)
"""Distance of a neighbour from the centre, in boxes: part of it is in the image."""

OFF_CENTRE = (0.2, 0.45)
"""Distance of a particle off centre, in boxes."""

CONTAMINATION = (0.5, 2.0)
"""Standard deviation of ice and carbon in standard deviations of the noise."""

CARBON_GRAIN_ANGSTROM = 8.0
"""Correlation length of the carbon's texture."""


class Projector(Protocol):
    """What projects the particles' own scene."""

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Half planes of the particles `rows` in the given poses."""


@dataclass(frozen=True)
class JunkMaterial:
    """Molecules that junk is made of.

    Parameters
    ----------
    cells : AtomGroups
        The molecule cut by `PLANES` planes; group g lies on the upper side of plane p
        where bit p of g is set.
    other : AtomGroups
        Another molecule of the same mass: a hollow barrel, one group.
    """

    cells: AtomGroups
    other: AtomGroups

    @classmethod
    def of(cls, positions: ArrayLike, masses: ArrayLike, rng: np.random.Generator) -> Self:
        """Cut the molecule (A, 3), Å about the box centre, and make another one of its size."""
        points, mass = np.asarray(positions, dtype=np.float64), np.asarray(masses, np.float64)
        centre = np.average(points, axis=0, weights=mass)
        normals = rng.normal(size=(PLANES, 3))
        upper = (points - centre) @ normals.T > 0.0
        cell = upper @ (1 << np.arange(PLANES))
        radius = float(np.sqrt(np.average(((points - centre) ** 2).sum(axis=1), weights=mass)))
        barrel = _barrel(radius, rng)
        weights = rng.uniform(0.2, 1.8, len(barrel))
        weights *= mass.sum() / weights.sum()
        return cls(
            AtomGroups.of(points, mass, cell, 1 << PLANES),
            AtomGroups.of(barrel, weights, np.zeros(len(barrel)), 1),
        )


def _barrel(radius_of_gyration: float, rng: np.random.Generator) -> FloatArray:
    """Points (n, 3) of a hollow cylinder with the radius of gyration of the molecule, nearly."""
    distance = radius_of_gyration * np.sqrt(rng.uniform(0.3, 1.1, OTHER_ATOMS))
    angle = rng.uniform(0.0, 2.0 * np.pi, OTHER_ATOMS)
    height = radius_of_gyration * rng.uniform(-1.0, 1.0, OTHER_ATOMS)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle), height], axis=1)


@dataclass(frozen=True)
class JunkImages:
    """Makes junk, kind by kind.

    Parameters
    ----------
    material : JunkMaterial
    scene : Projector
        The particles' own scene in the wide box.
    box_size : int
        Of the images.
    pixel_size_angstrom : float
    """

    material: JunkMaterial
    scene: Projector
    box_size: int
    pixel_size_angstrom: float

    def draw(
        self,
        kind: str,
        rows: NDArray[np.int64],
        poses: Poses,
        ctf: CtfParameters,
        unit: float,
        rng: np.random.Generator,
    ) -> Images:
        """Images (n, D, D) of one kind, CTF applied, without noise.

        Parameters
        ----------
        kind : str
            One of `JUNK_KINDS`.
        rows : int array, shape (n,)
            Whose scene a kind that shows particles uses.
        poses, ctf
            Of these rows.
        unit : float
            Standard deviation of the noise in the units of the projections.
        rng : numpy Generator
        """
        count, box = len(rows), self.box_size
        if kind == "noise":
            return np.zeros((count, box, box), dtype=np.float32)
        if kind in ("ice", "edge"):
            shapes = self._ice(count, rng) if kind == "ice" else self._edges(count, rng)
            images = self._imaged(transform(torch.from_numpy(shapes)), ctf)
            # ice and carbon scatter so much that electrons are lost: amplitude contrast
            images += 0.3 * shapes[:, *self._inner]
            images -= images.mean(axis=(1, 2), keepdims=True)
            images /= images.std(axis=(1, 2), keepdims=True)
            strength = unit * rng.uniform(*CONTAMINATION, size=(count, 1, 1))
            made: Images = (strength * images).astype(np.float32)
            return made
        return self._imaged(torch.from_numpy(self._molecules(kind, rows, poses, rng)), ctf)

    @property
    def _inner(self) -> tuple[slice, slice]:
        first = (WIDER - 1) * self.box_size // 2
        return (slice(first, first + self.box_size),) * 2

    def _imaged(self, planes: torch.Tensor, ctf: CtfParameters) -> Images:
        """The inner box of wide half planes after the CTF."""
        wide = WIDER * self.box_size
        passed = planes * contrast_transfer(ctf, wide, self.pixel_size_angstrom)
        images: Images = inverse_transform(passed).numpy()[:, *self._inner].copy()
        return images

    def _molecules(
        self, kind: str, rows: NDArray[np.int64], poses: Poses, rng: np.random.Generator
    ) -> NDArray[np.complex64]:
        """Wide half planes of particles that are misplaced, broken or others."""
        count = len(rows)
        if kind == "broken":
            plane = rng.integers(PLANES, size=count)
            bit = (np.arange(1 << PLANES) >> plane[:, None]) & 1
            there = bit == rng.integers(2, size=count)[:, None]
            return self._atoms(self.material.cells, poses, there)
        if kind == "other":
            anyhow = Poses(uniform_rotations(count, rng), poses.shift_angstrom)
            return self._atoms(self.material.other, anyhow, np.ones((count, 1)))
        angle = rng.uniform(0.0, 2.0 * np.pi, count)
        if kind == "off-centre":
            away = self._away(angle, OFF_CENTRE, rng)
            return self.scene.half_planes(
                rows, Poses(uniform_rotations(count, rng), poses.shift_angstrom + away)
            )
        if kind != "neighbour":
            raise ValueError(f"no junk is called {kind!r}")
        # the second neighbour lies anywhere in the half circle opposite the first
        angles = (angle, angle + rng.uniform(0.5, 1.5, count) * np.pi)
        first, second = (
            self.scene.half_planes(
                rows,
                Poses(uniform_rotations(count, rng), self._away(a, NEIGHBOUR_DISTANCE, rng)),
            )
            for a in angles
        )
        return first + second

    def _away(
        self, angle: FloatArray, distance: tuple[float, float], rng: np.random.Generator
    ) -> FloatArray:
        """Shifts (n, 2), Å, in the directions `angle` by a distance in boxes."""
        side = self.box_size * self.pixel_size_angstrom
        length = side * rng.uniform(*distance, size=len(angle))
        return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)

    def _atoms(self, atoms: AtomGroups, poses: Poses, weights: ArrayLike) -> NDArray[np.complex64]:
        groups = (len(poses), atoms.n_groups)
        return project_groups(
            atoms,
            np.broadcast_to(poses.rotation[:, None, :2, :], (*groups, 2, 3)),
            np.broadcast_to(poses.shift_angstrom[:, None, :], (*groups, 2)),
            weights,
            WIDER * self.box_size,
            self.pixel_size_angstrom,
        )

    def _ice(self, count: int, rng: np.random.Generator) -> Images:
        """Wide images of one to four roundish crystals with soft borders."""
        y, x = self._grid()
        shapes = np.zeros((count, *x.shape), dtype=np.float32)
        crystals = rng.integers(1, 5, size=count)
        for number in range(4):
            radius = rng.uniform(0.06, 0.25, size=(count, 1, 1))
            cx, cy = rng.uniform(-0.5, 0.5, size=(2, count, 1, 1))
            flat = rng.uniform(0.6, 1.0, size=(count, 1, 1))
            depth = np.sqrt(((x - cx) / flat) ** 2 + (y - cy) ** 2) / radius
            height = rng.uniform(0.5, 1.0, size=(count, 1, 1)) * (number < crystals)[:, None, None]
            shapes += (height / (1.0 + np.exp(np.minimum(8.0 * (depth - 1.0), 50.0)))).astype(
                np.float32
            )
        return shapes

    def _edges(self, count: int, rng: np.random.Generator) -> Images:
        """Wide images of a carbon film that ends near the centre."""
        y, x = self._grid()
        angle = rng.uniform(0.0, 2.0 * np.pi, size=(count, 1, 1))
        offset = rng.uniform(-0.25, 0.25, size=(count, 1, 1))
        film = 1.0 / (1.0 + np.exp(-60.0 * (x * np.cos(angle) + y * np.sin(angle) - offset)))
        side = len(x)
        white = rng.standard_normal((count, side, side), dtype=np.float32)
        squared = frequency_grid(side, self.pixel_size_angstrom).square().sum(dim=-1)
        gain = (1.0 + (2.0 * np.pi * CARBON_GRAIN_ANGSTROM) ** 2 * squared).rsqrt()
        grain = inverse_transform(transform(torch.from_numpy(white)) * gain).numpy()
        grain /= grain.std()
        made: Images = (film * (1.0 + grain)).astype(np.float32)
        return made

    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """(y, x) of the wide box's pixels, in boxes about the centre."""
        wide = WIDER * self.box_size
        y, x = np.mgrid[:wide, :wide]
        return (y - wide // 2) / self.box_size, (x - wide // 2) / self.box_size
