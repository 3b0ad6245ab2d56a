"""How probably each particle is what the model describes, as a training knows it between epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.tables import load_array

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

LEAST_WEIGHT = 0.1
"""Of the least probable particle in the loss: a rare state that the networks have yet to learn
agrees badly at first as well, and must not be shut out for good."""

_NAME = "probability_after_"


def judgement_path(folder: Path, epoch: int) -> Path:
    """File of the probabilities found after an epoch."""
    return folder / f"{_NAME}{epoch:04d}.npy"


def loss_weights(probability: FloatArray, training: NDArray[np.int64]) -> FloatArray:
    """Weights (P,) in the loss, with a mean of 1 over the particles trained on.

    Parameters
    ----------
    probability : array, shape (P,)
        Of being what the model describes.
    training : int array
        Particles that are trained on.
    """
    weights = np.maximum(probability, LEAST_WEIGHT)
    found: FloatArray = weights / weights[training].mean()
    return found


def judgements(folder: Path) -> list[Path]:
    """Files of the probabilities that were found, oldest first."""
    return sorted(folder.glob(f"{_NAME}*.npy"))


def known_probability(folder: Path, count: int) -> FloatArray:
    """Probabilities (P,) that were found last; all 1 before any were.

    Raises
    ------
    InputError
        If their file does not fit the particles.
    """
    found = judgements(folder)
    if not found:
        return np.ones(count)
    stored = load_array(found[-1]).astype(np.float64)
    if stored.shape != (count,) or not ((stored >= 0) & (stored <= 1)).all():
        raise InputError(
            str(found[-1]),
            f"holds an array {stored.shape} that is not a probability of each of {count} particles",
            "Delete it and run `cryoparts train` with --resume.",
        )
    return stored


def judged_after(folder: Path) -> int:
    """The epoch after which particles were judged last; 0 where they were not."""
    found = judgements(folder)
    return _epoch_of(found[-1]) if found else 0


def forget_judgements_after(folder: Path, epoch: int) -> bool:
    """Delete what was found after later epochs than this; True if there was any."""
    later = [path for path in judgements(folder) if _epoch_of(path) > epoch]
    for path in later:
        path.unlink()
    return bool(later)


def _epoch_of(path: Path) -> int:
    return int(path.stem.removeprefix(_NAME))
