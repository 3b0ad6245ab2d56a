"""A deformation followed by many small bodies: neighbourhoods of Gaussians.

What does not move rigidly is back-projected along a displacement field that is known at the
Gaussians: u_n, from the decoder, with the parts' motions as the images have corrected them.
An exact back-projection along a field would insert every voxel by itself. The approximation:

- the Gaussians are divided into K neighbourhoods (k-means of their places, so that each is
  compact);
- in each particle, a neighbourhood moves by the rigid motion that fits its Gaussians' u best,
  those around it counting less the farther they are (weights exp(-d² / (2 h²)), h the
  neighbourhood's own radius), so that neighbours move alike;
- its map is back-projected in the composed poses of that motion, and every voxel is taken
  from the neighbourhoods by the shares of their Gaussians' density.

A smooth field u is linear over a short distance: a neighbourhood of radius r leaves the strain
within it, of the order r |e| with e the symmetric part of grad u (its antisymmetric part is the
rotation), and r² |grad grad u| / 2. `residual_angstrom` says how much of u is left over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.rigid.rigid_motion import fit_rigid_motions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

FEWEST_GAUSSIANS = 8
"""Of a neighbourhood on average: a rotation of fewer is mostly the decoder's noise."""

LEAST_WEIGHT = 0.01
"""Gaussians that count less for a neighbourhood are left out of its fit."""


@dataclass(frozen=True)
class Neighbourhood:
    """Gaussians that are near each other, and those around them that steady their motion.

    Parameters
    ----------
    members : int array, shape (n,)
        Its own.
    support : int array, shape (m,)
        All that its motion is fitted to.
    trust : array, shape (m,)
        Their weights, 0 to 1.
    """

    members: IntArray
    support: IntArray
    trust: FloatArray


def find_neighbourhoods(model: GaussianModel, count: int, seed: int) -> list[Neighbourhood]:
    """Divide the Gaussians into compact neighbourhoods.

    Parameters
    ----------
    model : GaussianModel
    count : int
        At most; fewer where a neighbourhood would have less than 8 Gaussians on average.
    seed : int
        Of the k-means.
    """
    places = model.positions.astype(np.float64)
    chosen = max(1, min(count, len(model) // FEWEST_GAUSSIANS))
    means = KMeans(chosen, n_init=1, random_state=seed).fit(
        places, sample_weight=np.maximum(model.amplitudes.astype(np.float64), 1e-12)
    )
    found = []
    for number, centre in enumerate(means.cluster_centers_):
        members = np.flatnonzero(means.labels_ == number)
        if not len(members):
            continue
        squared = ((places - centre) ** 2).sum(axis=1)
        radius = np.sqrt(squared[members].mean()) + 1e-6
        trust = np.exp(-0.5 * squared / radius**2)
        support = np.flatnonzero(trust > LEAST_WEIGHT)
        found.append(Neighbourhood(members, support, trust[support]))
    return found


def follow(
    model: GaussianModel,
    neighbourhoods: Sequence[Neighbourhood],
    displacements: Iterator[tuple[IntArray, FloatArray]],
    weight: FloatArray,
) -> tuple[tuple[Body, ...], float]:
    """Each neighbourhood as a body, moved as its Gaussians are in each particle.

    Memory is that of one batch and of K motions a particle.

    Parameters
    ----------
    model : GaussianModel
    neighbourhoods : sequence of Neighbourhood
    displacements : iterator of (rows, array (n, N, 3))
        Of all Gaussians, Å, in the frame of the poses; all P particles in order.
    weight : array, shape (P,)
        How much each particle counts.

    Returns
    -------
    bodies : tuple of Body
    residual_angstrom : float
        Root mean square of what the neighbourhoods' rigid motions leave of the
        displacements, by mass over all particles.
    """
    places = model.positions.astype(np.float64)
    masses = model.amplitudes.astype(np.float64)
    fits: list[list[RigidMotions]] = [[] for _ in neighbourhoods]
    left, counted = 0.0, 0
    for _, moved in displacements:
        for number, own in enumerate(neighbourhoods):
            fit = fit_rigid_motions(
                places[own.support], moved[:, own.support], masses[own.support], own.trust
            )
            fits[number].append(fit)
            rest = moved[:, own.members] - fit.displace(places[own.members])
            left += float(((rest**2).sum(axis=2) @ masses[own.members]).sum())
        counted += len(moved)
    bodies = tuple(
        Body(
            f"neighbourhood_{number}",
            f"neighbourhood_{number}",
            own.members,
            BodyMotion(
                pieces[0].centre,
                np.concatenate([p.rotation for p in pieces]),
                np.concatenate([p.shift_angstrom for p in pieces]),
            ),
            weight,
        )
        for number, (own, pieces) in enumerate(zip(neighbourhoods, fits, strict=True), start=1)
    )
    return bodies, float(np.sqrt(left / max(counted * masses.sum(), 1e-12)))


def corrected_field(
    model: GaussianModel,
    bodies: Sequence[Body],
    decoded: Callable[[IntArray], FloatArray],
    n_particles: int,
    batch: int,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Displacements of all Gaussians: the decoder's, with each part's rigid motion corrected.

    Of a part's Gaussians what the decoder adds to a rigid motion stays, and the rigid motion
    is the one that the images have told.

    Parameters
    ----------
    model : GaussianModel
    bodies : sequence of Body
        The parts.
    decoded : callable
        Displacements (n, N, 3) of chosen particles, Å, in the frame of the poses.
    n_particles : int
    batch : int
        Particles at once.

    Yields
    ------
    rows : int array, shape (n,)
    displacements : array, shape (n, N, 3)
    """
    places = model.positions.astype(np.float64)
    masses = model.amplitudes.astype(np.float64)
    for start in range(0, n_particles, batch):
        rows = np.arange(start, min(start + batch, n_particles))
        moved = np.array(decoded(rows), dtype=np.float64)
        for body in bodies:
            own = body.members
            as_decoded = fit_rigid_motions(places[own], moved[:, own], masses[own])
            motion = body.motion.take(rows)
            turned = np.einsum("pij,nj->pni", motion.rotation, places[own])
            told = turned + motion.offset_angstrom[:, None] - places[own]
            moved[:, own] += told - as_decoded.displace(places[own])
        yield rows, moved
