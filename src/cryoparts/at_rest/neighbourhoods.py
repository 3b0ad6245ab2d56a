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
from cryoparts.parallel.current import team
from cryoparts.rigid.rigid_motion import fit_rigid_motions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    Field = Callable[[IntArray], FloatArray]

FEWEST_GAUSSIANS = 8
"""Of a neighbourhood on average: a rotation of fewer is mostly the decoder's noise."""

BATCH = 64
"""Particles at a time."""

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


@dataclass(frozen=True)
class CorrectedField:
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
    """

    model: GaussianModel
    bodies: Sequence[Body]
    decoded: Field

    def __call__(self, rows: IntArray) -> FloatArray:
        """Of the particles `rows` (n, N, 3)."""
        places, masses = _places_and_masses(self.model)
        moved = np.array(self.decoded(rows), dtype=np.float64)
        for body in self.bodies:
            own = body.members
            as_decoded = fit_rigid_motions(places[own], moved[:, own], masses[own])
            motion = body.motion.take(rows)
            turned = np.einsum("pij,nj->pni", motion.rotation, places[own])
            told = turned + motion.offset_angstrom[:, None] - places[own]
            moved[:, own] += told - as_decoded.displace(places[own])
        return moved


def follow(
    model: GaussianModel,
    neighbourhoods: Sequence[Neighbourhood],
    field: Field,
    weight: FloatArray,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[Body, ...], float]:
    """Each neighbourhood as a body, moved as its Gaussians are in each particle.

    Memory is that of one batch and of K motions a particle.

    Parameters
    ----------
    model : GaussianModel
    neighbourhoods : sequence of Neighbourhood
    field : callable
        Displacements (n, N, 3) of all Gaussians in chosen particles, Å, in the frame of the
        poses: a `CorrectedField` for example. It can be sent to another process.
    weight : array, shape (P,)
        How much each particle counts.
    progress : callable, optional
        Told the particles done, and all.

    Returns
    -------
    bodies : tuple of Body
    residual_angstrom : float
        Root mean square of what the neighbourhoods' rigid motions leave of the
        displacements, by mass over all particles.
    """
    task, everyone = _Following(model, tuple(neighbourhoods), field), np.arange(len(weight))
    found = task.joined([of for _, of in team().sweep(task, everyone, BATCH, progress)])
    bodies = tuple(
        Body(f"neighbourhood_{number}", f"neighbourhood_{number}", own.members, motion, weight)
        for number, (own, motion) in enumerate(
            zip(neighbourhoods, found.motions, strict=True), start=1
        )
    )
    mass = max(len(weight) * float(model.amplitudes.sum(dtype=np.float64)), 1e-12)
    return bodies, float(np.sqrt(found.left / mass))


@dataclass(frozen=True)
class _Followed:
    """Motions of the neighbourhoods in some particles, and the mass times Å² that they leave."""

    motions: tuple[BodyMotion, ...]
    left: float


@dataclass(frozen=True)
class _Following:
    """Fits the neighbourhoods' motions in a batch of particles."""

    model: GaussianModel
    neighbourhoods: tuple[Neighbourhood, ...]
    field: Field

    def __call__(self, rows: IntArray) -> _Followed:
        """Of the particles `rows`."""
        places, masses = _places_and_masses(self.model)
        moved, motions, left = self.field(rows), [], 0.0
        for own in self.neighbourhoods:
            fit = fit_rigid_motions(
                places[own.support], moved[:, own.support], masses[own.support], own.trust
            )
            motions.append(BodyMotion(fit.centre, fit.rotation, fit.shift_angstrom))
            rest = moved[:, own.members] - fit.displace(places[own.members])
            left += float(((rest**2).sum(axis=2) @ masses[own.members]).sum())
        return _Followed(tuple(motions), left)

    def joined(self, several: Sequence[_Followed]) -> _Followed:
        """Of parts of the particles, one behind the other."""
        motions = tuple(
            BodyMotion(
                pieces[0].centre,
                np.concatenate([piece.rotation for piece in pieces]),
                np.concatenate([piece.shift_angstrom for piece in pieces]),
            )
            for pieces in zip(*(one.motions for one in several), strict=True)
        )
        return _Followed(motions, sum(one.left for one in several))


def _places_and_masses(model: GaussianModel) -> tuple[FloatArray, FloatArray]:
    return model.positions.astype(np.float64), model.amplitudes.astype(np.float64)
