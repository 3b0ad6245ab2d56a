"""Which particles are trained on and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.seeds import Purpose, random_for
from cryoparts.statistics.trusted import only_trusted

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_HELD_OUT = 2000
"""More would only cost time: the mean FRC of 2,000 particles is known to a few parts in 10^4."""


@dataclass(frozen=True)
class Split:
    """Disjoint sets of particle numbers, each in increasing order."""

    training: NDArray[np.int64]
    held_out: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that no particle is in both sets."""
        if np.intersect1d(self.training, self.held_out).size:
            raise ValueError("a particle is both trained on and held out")

    def only_trusted(self, probability: NDArray[np.float64]) -> Split:
        """The particles of each side that are probably good.

        Parameters
        ----------
        probability : array, shape (P,)
            Of being what the model describes.
        """
        return Split(
            only_trusted(self.training, probability), only_trusted(self.held_out, probability)
        )


def split_particles(
    half_set: NDArray[np.int8],
    half: int | None,
    held_out_fraction: float,
    seed: int,
    *,
    image: NDArray[np.int64] | None = None,
    plain_seed: bool = False,
) -> Split:
    """Choose the held-out particles at random, within the half set if one is asked for.

    Images are drawn, with all rows that show them: no image is on both sides.

    Parameters
    ----------
    half_set : array, shape (P,)
        1 or 2 for each particle.
    half : int or None
        Train on this half only.
    held_out_fraction : float
        Part of the particles never trained on; at least one where it is not 0.
    seed : int
        Seed of the choice.
    image : int array, shape (P,), optional
        Number of each row's image. Default: an image a row.
    plain_seed : bool
        Draw from the seed itself, as version 0.1.0 did, not from the seed of this purpose.

    Raises
    ------
    InputError
        If too few particles remain to train on.
    """
    eligible = np.flatnonzero(half_set == half) if half else np.arange(len(half_set))
    of_row = eligible if image is None else image[eligible]
    images = np.unique(of_row)
    count = 0
    if held_out_fraction > 0:
        most = max(1, MAX_HELD_OUT * len(images) // max(1, len(eligible)))
        count = min(most, max(1, round(held_out_fraction * len(images))))
    if len(images) - count < 1:
        raise InputError(
            "--half" if half else "particles",
            f"no particle is left to train on: of {len(images)}, {count} held out",
            "Give more particles, or --held-out-fraction 0.",
        )
    random = np.random.default_rng(seed) if plain_seed else random_for(seed, Purpose.HELD_OUT)
    drawn = random.choice(images, size=count, replace=False)
    held_out = np.isin(of_row, drawn)
    return Split(eligible[~held_out], eligible[held_out])


def rows_of_half(half_set: NDArray[np.int8], half: int | None) -> NDArray[np.int64]:
    """Particles that a training may know of: those of its half set, or all.

    Scales, priors and calibrations are taken over these, so that trainings on two half
    sets share no particle. What they do share is said in docs/maps.md: poses, CTFs, model.
    """
    everyone = np.arange(len(half_set))
    return everyone if half is None else np.flatnonzero(half_set == half)
