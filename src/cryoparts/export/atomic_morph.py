"""An atomic model moved along a part's motion: rigid parts, hinges between, bonds as they were.

Every residue moves as a rigid body along the part's screw by a share of its angle: all of it
within the part, none elsewhere, and a ramp along the chain where it passes from one to the
other. Bonds within a residue are then exact; those between the residues of a hinge are not,
nor are the angles there. Least squares on the lengths of bonds and on the distances across
their angles, tied weakly to where the ramp put the atoms, mends these atoms alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

BOND_TOLERANCE_ANGSTROM = 0.3
"""Atoms nearer than their covalent radii and this are bonded."""

NEAREST_BOND_ANGSTROM = 0.5
"""Nearer than this are alternatives of one atom."""

SHORTEST_RUN = 6
"""Residues: a shorter stretch of a chain on the other side of a border stays with its chain."""

HINGE = 10
"""Residues of a ramp. A turn by 20 degrees moves a residue 30 Å from the axis by 10 Å."""

ANGLE_WEIGHT = 0.3
"""Of the distance across an angle against that of a bond: angles are softer."""

TETHER = 1e-3
"""Of an atom's distance from where the ramp put it, against a bond's."""

MOST_STEPS = 500


@dataclass(frozen=True)
class Bonded:
    """Distances of an atomic model that stay as they are.

    Parameters
    ----------
    bonds : int array, shape (B, 2)
    angles : int array, shape (C, 2)
        The ends of two bonds that share an atom.
    """

    bonds: IntArray
    angles: IntArray

    def links(self, residue: IntArray) -> IntArray:
        """Pairs (L, 2) of residues that are bonded; `residue` (A,) is that of each atom."""
        pairs = residue[self.bonds]
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
        return np.asarray(np.unique(pairs, axis=0), dtype=np.int64).reshape(-1, 2)


def find_bonds(positions: FloatArray, radii: FloatArray) -> Bonded:
    """Bonds of A atoms by their distances, and the pairs that are two bonds apart.

    Parameters
    ----------
    positions : array, shape (A, 3)
        Å.
    radii : array, shape (A,)
        Covalent radii, Å.
    """
    reach = 2 * float(radii.max(initial=0.0)) + BOND_TOLERANCE_ANGSTROM
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray").astype(np.int64)
    length = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    near = length <= radii[pairs].sum(axis=1) + BOND_TOLERANCE_ANGSTROM
    bonds = pairs[near & (length >= NEAREST_BOND_ANGSTROM)]
    count = len(positions)
    ends = np.concatenate([bonds, bonds[:, ::-1]])
    shape = (count, count)
    joined = coo_array((np.ones(len(ends), dtype=np.int8), ends.T), shape=shape).tocsr()
    two = (joined.astype(np.int32) @ joined.astype(np.int32)).tocoo()
    row, column = two.coords
    apart = row < column
    angles = np.stack([row[apart], column[apart]], axis=1).astype(np.int64)
    return Bonded(bonds, angles)


def ramp(inside: NDArray[np.bool_], links: IntArray, hinge: int = HINGE) -> FloatArray:
    """Share (R,) of the part's motion that each residue takes.

    A ramp is centred where a chain passes into the part, and counts residues along the
    bonds between them: what the file calls a chain does not matter.

    Parameters
    ----------
    inside : bool array, shape (R,)
        Whether the residue lies in the part.
    links : int array, shape (L, 2)
        Residues that are bonded to each other.
    hinge : int
        Residues of a ramp.
    """
    part = _without_islands(inside, links)
    steps = np.full(len(part), np.inf)  # to the nearest residue on the other side
    border = links[part[links[:, 0]] != part[links[:, 1]]].ravel()
    steps[border] = 1.0
    same = links[part[links[:, 0]] == part[links[:, 1]]]
    for _ in range(hinge):
        for a, b in (same.T, same[:, ::-1].T):
            np.minimum.at(steps, b, steps[a] + 1.0)
    side = np.where(part, 1.0, -1.0)
    return np.asarray(np.clip(0.5 + side * (steps - 0.5) / hinge, 0.0, 1.0))


def _without_islands(inside: NDArray[np.bool_], links: IntArray) -> NDArray[np.bool_]:
    """Stretches that are too short to be bodies of their own go with what they are bonded to."""
    out, count = inside.copy(), len(inside)
    for _ in range(SHORTEST_RUN):
        same = links[out[links[:, 0]] == out[links[:, 1]]]
        shape = (count, count)
        graph = coo_array((np.ones(len(same), dtype=np.int8), same.T), shape=shape)
        _, stretch = connected_components(graph, directed=False)
        short = np.bincount(stretch)[stretch] < SHORTEST_RUN
        torn = links[out[links[:, 0]] != out[links[:, 1]]].ravel()
        bordering = np.zeros(count, dtype=bool)
        bordering[stretch[torn]] = True  # by stretch
        flipped = short & bordering[stretch]
        # one of two short neighbours alone, or both would change sides for ever
        flipped &= ~out if (flipped & ~out).any() else out
        if not flipped.any():
            return out
        out[flipped] = ~out[flipped]
    return out


@dataclass(frozen=True)
class Screw:
    """A motion about an axis.

    Parameters
    ----------
    axis, pivot : arrays, shape (3,)
        Unit vector, and a point of the axis (Å).
    slide_angstrom_per_degree : float
        Along the axis.
    """

    axis: FloatArray
    pivot: FloatArray
    slide_angstrom_per_degree: float

    def moved(self, positions: FloatArray, degrees: FloatArray) -> FloatArray:
        """Each of n points (n, 3) turned by its own angle (n,), and slid along the axis."""
        turn = Rotation.from_rotvec(np.deg2rad(degrees)[:, None] * self.axis)
        slide = (degrees * self.slide_angstrom_per_degree)[:, None] * self.axis
        return np.asarray(turn.apply(positions - self.pivot) + self.pivot + slide)


def morph(
    positions: FloatArray,
    bonded: Bonded,
    share: FloatArray,
    screw: Screw,
    degrees: Sequence[float],
) -> FloatArray:
    """Places (T, A, 3) of the atoms at each of T angles of the part's motion, Å.

    Parameters
    ----------
    positions : array, shape (A, 3)
    bonded : Bonded
        Of these positions.
    share : array, shape (A,)
        Of the motion that each atom takes: the ramp of its residue.
    screw : Screw
    degrees : sequence of float
        T angles.
    """
    free = _near_hinges(share, bonded)
    return np.stack(
        [
            _mended(positions, screw.moved(positions, share * angle), bonded, free)
            for angle in degrees
        ]
    )


def bond_deviation(positions: FloatArray, moved: FloatArray, bonded: Bonded) -> tuple[float, float]:
    """Root mean square and largest change of a bond's length, Å."""
    change = _lengths(moved, bonded.bonds) - _lengths(positions, bonded.bonds)
    if not len(change):
        return 0.0, 0.0
    return float(np.sqrt((change**2).mean())), float(np.abs(change).max())


def _near_hinges(share: FloatArray, bonded: Bonded) -> NDArray[np.bool_]:
    """Atoms of hinges, and those bonded to them: all others keep their rigid motion."""
    free = (share > 0) & (share < 1)
    for _ in range(3):
        touched = free[bonded.bonds].any(axis=1)
        torn = share[bonded.bonds[:, 0]] != share[bonded.bonds[:, 1]]
        free[bonded.bonds[touched | torn].ravel()] = True
    return np.asarray(free)


def _mended(
    at_rest: FloatArray, moved: FloatArray, bonded: Bonded, free: NDArray[np.bool_]
) -> FloatArray:
    """Atoms that are free, moved until bonds and angles are nearly those at rest."""
    if not free.any():
        return moved
    pairs = [p[free[p].any(axis=1)] for p in (bonded.bonds, bonded.angles)]
    pair = np.concatenate(pairs)
    weight = np.concatenate([np.ones(len(pairs[0])), np.full(len(pairs[1]), ANGLE_WEIGHT)])
    target = _lengths(at_rest, pair)
    out = moved.copy()
    chosen = np.flatnonzero(free)
    start = moved[chosen]

    def energy(flat: FloatArray) -> tuple[float, FloatArray]:
        out[chosen] = flat.reshape(-1, 3)
        way = out[pair[:, 0]] - out[pair[:, 1]]
        length = np.maximum(np.linalg.norm(way, axis=1), 1e-6)
        off = length - target
        pull = (2 * weight * off / length)[:, None] * way
        slope = np.zeros_like(out)
        for axis in range(3):
            slope[:, axis] += np.bincount(pair[:, 0], pull[:, axis], minlength=len(out))
            slope[:, axis] -= np.bincount(pair[:, 1], pull[:, axis], minlength=len(out))
        strayed = out[chosen] - start
        slope[chosen] += 2 * TETHER * strayed
        value = float((weight * off**2).sum() + TETHER * (strayed**2).sum())
        return value, slope[chosen].ravel()

    options = {"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "ftol": 1e-10}
    found = minimize(energy, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    out[chosen] = found.x.reshape(-1, 3)
    return out


def _lengths(positions: FloatArray, pairs: IntArray) -> FloatArray:
    return np.asarray(np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1))
