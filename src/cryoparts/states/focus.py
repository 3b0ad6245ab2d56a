"""Particles looked at through their parts: their states, or their order along a curve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from cryoparts.errors import InputError
from cryoparts.parts.embedding import Method, embed
from cryoparts.seeds import Purpose, seed_for
from cryoparts.states.focused_particles import PRESENCE, FocusedParticles
from cryoparts.states.mixture import density_rank, membership, mixture_labels
from cryoparts.states.particle_features import ParticleFeatures, describe_particles
from cryoparts.states.states import MOST_STATES, choose_number, cluster
from cryoparts.states.trajectory import curve_coordinate, cut_into_states

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.config import Order

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["FocusedParticles", "by_presence", "focus_on_features", "focus_on_part"]

STATES_ALONG_A_CURVE = 3
"""States that a curve is cut into where no number is given."""

MOST_STATES_OF_SEVERAL_PARTS = 12
"""States looked for where several parts are seen together: two of each of three, and some."""

FOUND = "found"

_AMPLITUDE_DIFFERS = 0.05
"""Difference of the mean relative amplitudes beyond which states are ordered by amplitude."""


def focus_on_part(
    names: NDArray[np.str_],
    members: NDArray[np.bool_] | NDArray[np.integer],
    relative_amplitudes: NDArray[np.floating] | None = None,
    displacements: NDArray[np.floating] | None = None,
    *,
    n_states: int | None = None,
    order: Order = "clusters",
    method: Method = "pca",
    seed: int = 0,
    counted: NDArray[np.bool_] | None = None,
) -> FocusedParticles:
    """Group or order particles by what one part, or several, do in them.

    Parameters
    ----------
    names : str array, shape (P,)
    members : bool or int array, shape (N,)
        The part's Gaussians; or for each Gaussian the number of its part, 0 where
        it is not looked at.
    relative_amplitudes : array, shape (P, N), optional
    displacements : array, shape (P, N, 3), optional
        Å.
    n_states : int, optional
        Default: found, by the gap statistic or, for a mixture, by BIC: 1 to 5 for
        one part, up to 12 for several (3 along a curve).
    order : "clusters", "mixture" or "curve"
        K-means, a mixture of Gaussians, or equal parts of a principal curve.
    method : "pca" or "umap"
        Layout in the plane, for looking at; states never depend on it.
    seed : int
    counted : bool array, shape (P,), optional
        Particles that tell which states there are; the others are put where they fit
        best. Default: all.

    Raises
    ------
    InputError
        If there are fewer particles than states asked for.
    ValueError
        If shapes disagree or nothing is given to look at.
    """
    seen = describe_particles(members, relative_amplitudes, displacements, counted=counted)
    return focus_on_features(
        names,
        seen,
        parts_of(members),
        n_states=n_states,
        order=order,
        method=method,
        seed=seed,
        counted=counted,
    )


def parts_of(members: NDArray[np.bool_] | NDArray[np.integer]) -> tuple[int, ...]:
    """Numbers of the parts that are looked at; none where members are merely marked."""
    of_part = np.asarray(members)
    return () if of_part.dtype == bool else tuple(np.unique(of_part[of_part > 0]).tolist())


def focus_on_features(
    names: NDArray[np.str_],
    seen: ParticleFeatures,
    parts: tuple[int, ...],
    *,
    n_states: int | None = None,
    order: Order = "clusters",
    method: Method = "pca",
    seed: int = 0,
    counted: NDArray[np.bool_] | None = None,
) -> FocusedParticles:
    """As `focus_on_part`, of particles that have been described.

    Parameters
    ----------
    names : str array, shape (P,)
    seen : ParticleFeatures
        Of P particles.
    parts : tuple of int
        Numbers of the parts that they were described by.
    n_states, order, method, seed, counted
        See `focus_on_part`.

    Raises
    ------
    InputError
        If there are fewer particles than states asked for.
    ValueError
        If there are not as many names as particles.
    """
    if n_states is not None and not 1 <= n_states <= len(names):
        raise InputError(
            "--states",
            f"must be between 1 and the number of particles, {len(names)}, got {n_states}",
            "Ask for fewer states, or leave the option out.",
        )
    if len(seen) != len(names):
        raise ValueError(f"{len(names)} names for {len(seen)} particles")
    if counted is None or counted.sum() < (n_states or 1):
        counted = np.ones(len(seen), dtype=bool)
    states, coordinate, certainty = _states(
        seen, n_states, order, max(len(parts), 1), seed, counted
    )
    found = n_states is None and order != "curve"
    return FocusedParticles(
        names=names,
        embedding=_plane(seen.components, method, seed),
        states=states,
        coordinate=coordinate,
        mean_amplitude=seen.mean_amplitude,
        displacement_rms_angstrom=seen.displacement_rms_angstrom,
        order=order,
        chosen_by=FOUND if found else "given",
        parts=parts,
        density=density_rank(seen.components),
        certainty=certainty,
        amplitude_of_part=seen.amplitude_of_part,
        displacement_of_part=seen.displacement_of_part,
    )


def by_presence(
    focused: FocusedParticles,
    components: FloatArray,
    probability: FloatArray,
    counted: NDArray[np.bool_] | None = None,
) -> FocusedParticles | None:
    """The same particles, the last state those without the part, as the images say.

    Images tell of each part by itself; in the latent space several parts' presence is
    mixed, and that of a small one comes last. Clusters of particles that have the part
    remain states of their own. None where no particle, or every one, has it.

    Parameters
    ----------
    focused : FocusedParticles
        By one part, in clusters or in one state.
    components : array, shape (P, C)
        By which they were clustered.
    probability : array, shape (P,)
        That the part is there in each particle, as the images say.
    counted : bool array, shape (P,), optional
        Particles that tell which clusters have the part. Default: all.
    """
    there = probability > 0.5
    if there.all() or not there.any():
        return None
    own = np.ones(len(there), dtype=bool) if counted is None else counted
    having = _clusters_with(focused.states, there, own)
    states = np.ones(len(there), dtype=np.int64)
    certainty = np.where(there, probability, 1 - probability)
    if len(having) > 1:
        rows = np.flatnonzero(there)
        found = _nearest_of(having, focused.states, components, own & there)[rows]
        states[rows] = found
        certainty[rows] *= membership(components[rows], found - 1, own[rows])
    states[~there] = states.max() + 1
    return replace(
        focused,
        states=states,
        order=PRESENCE,
        chosen_by=FOUND,
        certainty=certainty,
        presence=probability,
    )


def _clusters_with(
    states: IntArray, there: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> IntArray:
    """Those of the states in which most of the particles that count have the part."""
    number = int(states.max()) + 1
    size = np.bincount(states[counted], minlength=number)
    having = np.bincount(states[counted & there], minlength=number)
    return np.flatnonzero(2 * having > size)


def _nearest_of(
    chosen: IntArray, states: IntArray, components: FloatArray, counted: NDArray[np.bool_]
) -> IntArray:
    """Which of the chosen states, from 1, each particle (P,) is in, or else nearest to."""
    centres = np.stack([components[counted & (states == k)].mean(axis=0) for k in chosen])
    nearest = cdist(components, centres).argmin(axis=1)
    place = np.full(int(states.max()) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    own = place[states]
    return np.where(own < 0, nearest, own) + 1


def _plane(components: FloatArray, method: Method, seed: int) -> FloatArray:
    """Layout of the particles in the plane, its first axis the way of the first component."""
    plane = embed(
        components, method=method, seed=seed_for(seed, Purpose.PARTICLE_LAYOUT)
    ).coordinates
    backwards = float((plane[:, 0] - plane[:, 0].mean()) @ components[:, 0]) < 0
    turned: FloatArray = plane * np.array([-1.0 if backwards else 1.0, 1.0])
    return turned


def _states(
    seen: ParticleFeatures,
    n_states: int | None,
    order: Order,
    n_parts: int,
    seed: int,
    counted: NDArray[np.bool_],
) -> tuple[IntArray, FloatArray, FloatArray]:
    """States (1 ...), coordinate and certainty of each particle."""
    if order == "curve":
        coordinate = curve_coordinate(seen.components, counted=counted)
        number = n_states or min(STATES_ALONG_A_CURVE, int(counted.sum()))
        states = cut_into_states(coordinate, number, counted)
        return states, coordinate, np.full(len(seen), np.nan)
    most = MOST_STATES if n_parts == 1 else MOST_STATES_OF_SEVERAL_PARTS
    if order == "mixture":
        labels, _ = mixture_labels(seen.components, n_states, most, seed, counted)
    else:
        number = n_states or choose_number(seen.components[counted], seed, most)
        labels = cluster(seen.components, number, seed, counted)
    certainty = membership(seen.components, labels, counted)
    return _numbered(labels, seen, counted), seen.components[:, 0], certainty


def _numbered(labels: IntArray, seen: ParticleFeatures, counted: NDArray[np.bool_]) -> IntArray:
    """States from 1: by falling mean amplitude, or along the first component."""
    count = int(labels.max()) + 1
    of = [(labels == k) & counted for k in range(count)]
    amplitude = np.array([seen.mean_amplitude[rows].mean() for rows in of])
    along = np.array([seen.components[rows, 0].mean() for rows in of])
    key = -amplitude if np.ptp(amplitude) > _AMPLITUDE_DIFFERS else along
    number = np.empty(count, dtype=np.int64)
    number[np.argsort(key, kind="stable")] = np.arange(1, count + 1)
    return number[labels]
