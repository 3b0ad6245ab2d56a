"""Whether the latent space tells how a particle was seen instead of what it is.

A latent space that predicts the viewing direction or the defocus has learned
the imaging, and groups of particles found in it are suspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import CtfParameters, Poses

    FloatArray = NDArray[np.float64]

MOST_PARTICLES = 4000
FEWEST_PARTICLES = 200
NEIGHBOURS = 15
WORRYING = 0.15
"""Share of variance above which the page warns."""


@dataclass(frozen=True)
class Leak:
    """How well z predicts one imaging quantity of particles it was not fitted to.

    Parameters
    ----------
    quantity : str
    explained : float
        Share of the quantity's variance that is predicted, 0 to 1.
    """

    quantity: str
    explained: float

    @property
    def worrying(self) -> bool:
        """More than the page lets pass without a warning."""
        return self.explained > WORRYING


def measure_leaks(z: FloatArray, poses: Poses, ctf: CtfParameters, *, seed: int = 0) -> list[Leak]:
    """Five-fold cross-validated nearest-neighbour regression of imaging quantities on z.

    Parameters
    ----------
    z : array, shape (P, Z)
    poses, ctf : of the same P particles
    seed : int
        Draws at most 4,000 particles and the folds.

    Returns
    -------
    list of Leak
        Empty for fewer than 200 particles, where it would say nothing.
    """
    count = len(z)
    if count < FEWEST_PARTICLES or float(np.std(z, axis=0).max()) < 1e-12:
        return []
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(count)[:MOST_PARTICLES]
    defocus = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)
    in_plane = _in_plane_angle(poses.rotation)
    quantities = {
        "viewing direction": poses.rotation[:, 2],
        "in-plane angle": np.column_stack([np.cos(in_plane), np.sin(in_plane)]),
        "shift": poses.shift_angstrom,
        "defocus": defocus[:, None],
    }
    scaled = StandardScaler().fit_transform(z[chosen])
    return [
        Leak(name, _explained(scaled, np.asarray(values, dtype=np.float64)[chosen], seed))
        for name, values in quantities.items()
        if float(np.var(values, axis=0).sum()) > 1e-9
    ]


def _in_plane_angle(rotation: FloatArray) -> FloatArray:
    """Angle psi of the Z-Y-Z angles: the direction of the reference's z axis in the image."""
    angle: FloatArray = np.arctan2(rotation[:, 1, 2], rotation[:, 0, 2])
    return angle


def _explained(z: FloatArray, values: FloatArray, seed: int) -> float:
    predicted = np.empty_like(values)
    for train, test in KFold(5, shuffle=True, random_state=seed).split(z):
        neighbours = KNeighborsRegressor(min(NEIGHBOURS, len(train))).fit(z[train], values[train])
        predicted[test] = neighbours.predict(z[test]).reshape(len(test), -1)
    residual = float(((values - predicted) ** 2).sum())
    total = float(((values - values.mean(axis=0)) ** 2).sum())
    return float(np.clip(1.0 - residual / total, 0.0, 1.0))
