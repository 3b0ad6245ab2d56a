"""Whether what was found tells how a particle was seen instead of what it is.

A latent space, or a part's coordinate, that predicts the viewing direction or
the defocus has learned the imaging, and groups of particles found in it are
suspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.statistics.by_image import one_row_each
from cryoparts.statistics.permutation import upper_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoparts.conventions import CtfParameters, Poses

    FloatArray = NDArray[np.float64]

MOST_PARTICLES = 4000
FEWEST_PARTICLES = 200
NEIGHBOURS = 15
FOLDS = 5
PERMUTATIONS = 50
WORRYING = 0.15
"""Share of variance, beyond what permuted particles give, above which the page warns."""

SIGNIFICANT = 0.01
"""p-value, over permuted particles, below which a prediction is no chance."""


@dataclass(frozen=True)
class Leak:
    """How well a space predicts one imaging quantity of particles it was not fitted to.

    Parameters
    ----------
    quantity : str
    explained : float
        Share of the quantity's variance that is predicted beyond the baseline, 0 to 1.
    baseline : float
        Mean share that is "predicted" when the particles are permuted; a little
        below 0, for a mean of neighbours that know nothing is noise.
    p_value : float
        Of the share, among those of permuted particles.
    space : str
        "latent" or "part_1" and so on.
    """

    quantity: str
    explained: float
    baseline: float = 0.0
    p_value: float = 0.0
    space: str = "latent"

    @property
    def worrying(self) -> bool:
        """More than the page lets pass without a warning, and no accident."""
        return self.explained > WORRYING and self.p_value < SIGNIFICANT


def imaging_quantities(
    poses: Poses, ctf: CtfParameters, image_mean: FloatArray | None = None
) -> dict[str, FloatArray]:
    """What should not matter: how each particle was seen, by name, each (P, 1 to 3).

    Parameters
    ----------
    poses, ctf
        Of P particles.
    image_mean : array, shape (P,), optional
        Mean of each image.
    """
    defocus = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)
    # angle psi of the Z-Y-Z angles: the direction of the reference's z axis in the image
    in_plane = np.arctan2(poses.rotation[:, 1, 2], poses.rotation[:, 0, 2])
    quantities = {
        "viewing direction": poses.rotation[:, 2],
        "in-plane angle": np.column_stack([np.cos(in_plane), np.sin(in_plane)]),
        "shift": poses.shift_angstrom,
        "defocus": defocus[:, None],
    }
    if image_mean is not None:
        quantities["image mean"] = image_mean[:, None]
    return {
        name: np.asarray(values, dtype=np.float64)
        for name, values in quantities.items()
        if float(np.var(values, axis=0).sum()) > 1e-9
    }


def beyond_mass(image_mean: FloatArray, amplitudes: FloatArray) -> FloatArray:
    """Image means (P,) without what the parts' amplitudes (P, K) explain linearly.

    A part that is missing takes its mass out of the image; that the latent space
    knows it is no leak.
    """
    columns = np.column_stack([np.ones(len(image_mean)), amplitudes])
    factors = np.linalg.lstsq(columns, image_mean, rcond=None)[0]
    rest: FloatArray = image_mean - columns @ factors
    return rest


def measure_leaks(
    z: FloatArray,
    poses: Poses,
    ctf: CtfParameters,
    *,
    image_mean: FloatArray | None = None,
    image: NDArray[np.int64] | None = None,
    space: str = "latent",
    seed: int = 0,
) -> list[Leak]:
    """Five-fold cross-validated nearest-neighbour regression of imaging quantities on z.

    Of several rows of one image one is taken, drawn at random: another in the next
    fold would know its defocus.

    Parameters
    ----------
    z : array, shape (P, Z)
        Latent vectors, or a part's coordinate as one column.
    poses, ctf, image_mean : of the same P particles
    image : int array, shape (P,), optional
        Number of each row's image. Default: an image a row.
    space : str
        What z is.
    seed : int
        Draws at most 4,000 particles, the folds and the permutations.

    Returns
    -------
    list of Leak
        Empty for fewer than 200 particles, where it would say nothing.
    """
    single = np.arange(len(z)) if image is None else one_row_each(image, seed)
    count = len(single)
    if count < FEWEST_PARTICLES or float(np.std(z, axis=0).max()) < 1e-12:
        return []
    rng = random_for(seed, Purpose.LEAKAGE_SAMPLE)
    chosen = single[rng.permutation(count)[:MOST_PARTICLES]]
    quantities = imaging_quantities(poses, ctf, image_mean)
    near = _neighbours_of_other_folds(StandardScaler().fit_transform(z[chosen]), seed)
    orders = [rng.permutation(len(chosen)) for _ in range(PERMUTATIONS)]
    return [_leak(near, name, values[chosen], orders, space) for name, values in quantities.items()]


def as_columns(leaks: list[Leak]) -> Mapping[str, NDArray[np.generic]]:
    """A table with one row a leak."""
    return {
        "space": np.array([leak.space for leak in leaks]),
        "quantity": np.array([leak.quantity for leak in leaks]),
        "explained": np.array([leak.explained for leak in leaks]),
        "baseline": np.array([leak.baseline for leak in leaks]),
        "p_value": np.array([leak.p_value for leak in leaks]),
        "worrying": np.array([int(leak.worrying) for leak in leaks]),
    }


def _neighbours_of_other_folds(z: FloatArray, seed: int) -> NDArray[np.int64]:
    """For each particle its nearest ones among those of the other folds, (P, 15)."""
    near = np.empty((len(z), min(NEIGHBOURS, len(z) // 2)), dtype=np.int64)
    for train, test in KFold(
        FOLDS, shuffle=True, random_state=seed_for(seed, Purpose.LEAKAGE_FOLDS)
    ).split(z):
        search = NearestNeighbors(n_neighbors=near.shape[1]).fit(z[train])
        near[test] = train[search.kneighbors(z[test], return_distance=False)]
    return near


def _leak(
    near: NDArray[np.int64],
    name: str,
    values: FloatArray,
    orders: list[NDArray[np.int64]],
    space: str,
) -> Leak:
    observed = _explained(near, values)
    permuted = np.array([_explained(near, values[order]) for order in orders])
    baseline = float(permuted.mean())
    # shares below 0 are as good as 0, and the tail's curve takes positive numbers only
    p_value = upper_tail(1.0 + observed, 1.0 + permuted)
    beyond = float(np.clip((observed - baseline) / max(1.0 - baseline, 1e-12), 0.0, 1.0))
    return Leak(name, beyond, baseline, p_value, space)


def _explained(near: NDArray[np.int64], values: FloatArray) -> float:
    residual = float(((values - values[near].mean(axis=1)) ** 2).sum())
    total = float(((values - values.mean(axis=0)) ** 2).sum())
    return 1.0 - residual / total
