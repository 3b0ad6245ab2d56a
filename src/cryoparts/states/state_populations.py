"""How many particles are in each state: counted, and by probability."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from cryoparts.io.tables import write_table
from cryoparts.states.focused_particles import PRESENCE, FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

FEWEST_IN_STATE = 10
"""Particles that a state needs for its own spread to be estimated."""


@dataclass(frozen=True)
class StatePopulation:
    """One state of one part.

    Parameters
    ----------
    part, state : int
    hard : int
        Particles that count and that focus put into it.
    soft : float
        Particles by probability, where the states are clusters; else NaN.
    """

    part: int
    state: int
    hard: int
    soft: float


def state_populations(
    focus_folders: Mapping[int, Path], counted: NDArray[np.bool_] | None = None
) -> list[StatePopulation]:
    """Populations of the states of each part that focus has looked at.

    Parameters
    ----------
    focus_folders : mapping of int to Path
    counted : bool array, shape (P,), optional
        Particles that count. Default: all.

    Raises
    ------
    InputError
        If a folder cannot be read.
    """
    found = []
    for part, folder in focus_folders.items():
        focused = FocusedParticles.load(folder)
        own = slice(None) if counted is None else counted
        states = focused.states[own]
        hard = np.bincount(states, minlength=focused.n_states + 1)[1:]
        soft = np.full(len(hard), np.nan)
        # cut along a curve into equal parts, the numbers are of our own making
        if focused.presence is not None:
            there = focused.presence[own]
            soft = np.append(there.sum() * hard[:-1] / max(hard[:-1].sum(), 1), (1 - there).sum())
        elif focused.order not in ("curve", PRESENCE):
            soft = soft_counts(focused.embedding[own], states)
        found += [
            StatePopulation(part, state, int(hard[state - 1]), float(soft[state - 1]))
            for state in range(1, focused.n_states + 1)
        ]
    return found


def soft_counts(points: FloatArray, states: NDArray[np.int64]) -> FloatArray:
    """Expected number of particles (K,) in each state of a Gaussian mixture.

    The mixture starts from the states 1 ... K as they are, so each of its
    components is one of them; K-means gives clusters of unlike width and size
    wrong borders, which this mends. NaN where a state has too few particles.

    Parameters
    ----------
    points : array, shape (P, C)
    states : int array, shape (P,)
    """
    number = int(states.max(initial=0))
    hard = np.bincount(states, minlength=number + 1)[1:]
    spread = np.ptp(points, axis=0)
    used = points[:, spread > 1e-6 * max(float(spread.max()), 1e-300)]
    if number == 1 or not used.shape[1] or hard.min() < FEWEST_IN_STATE:
        return np.where(hard >= FEWEST_IN_STATE, hard.astype(np.float64), np.nan)
    used = used / used.std(axis=0)
    groups = [used[states == k] for k in range(1, number + 1)]
    floor = 1e-6 * np.eye(used.shape[1])
    mixture = GaussianMixture(
        number,
        weights_init=hard / hard.sum(),
        means_init=np.stack([g.mean(axis=0) for g in groups]),
        precisions_init=np.stack(
            [np.linalg.inv(np.atleast_2d(np.cov(g.T)) + floor) for g in groups]
        ),
        random_state=0,
    )
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(used)
        counts: FloatArray = mixture.predict_proba(used).sum(axis=0)
    return counts


def save_populations(path: Path, populations: list[StatePopulation]) -> None:
    """Write part, state, hard, soft as .csv."""
    write_table(
        path,
        {
            "part": np.array([f"part_{p.part}" for p in populations], dtype=np.str_),
            "state": np.array([p.state for p in populations], dtype=np.int64),
            "hard": np.array([p.hard for p in populations], dtype=np.int64),
            "soft": np.array(
                ["" if np.isnan(p.soft) else f"{p.soft:.1f}" for p in populations], dtype=np.str_
            ),
        },
    )
