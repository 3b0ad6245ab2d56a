"""How much a straight line can read of each segment's presence from latent vectors.

Linear probe: logistic regression on standardised coordinates, five folds; a particle is
judged by the regression that has not seen it. Programs lay out their latent spaces as they
like, so none is judged by what it names a state; a probe asks what the coordinates hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


@dataclass(frozen=True)
class Probed:
    """Of each segment that may be absent.

    Attributes
    ----------
    accuracy : list of float
        Share of particles in which the probe agrees with the truth.
    base_rate : list of float
        What the more frequent answer alone would reach.
    """

    accuracy: list[float]
    base_rate: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracy))

    @property
    def mean_base_rate(self) -> float:
        return float(np.mean(self.base_rate))


def probe(latents: np.ndarray, presence: np.ndarray, seed: int = 0) -> Probed:
    """Judge latent vectors.

    Parameters
    ----------
    latents : ndarray, shape (P, D)
        In the order of `presence`.
    presence : ndarray of bool, shape (P, S)
        Whether each segment is in each particle; each is absent in some and present in some.
    seed : int
        Of the folds.

    Raises
    ------
    ValueError
        Where the rows are not as many, or a coordinate is not finite.
    """
    if len(latents) != len(presence):
        raise ValueError(f"{len(latents)} latent vectors of {len(presence)} particles")
    if not np.isfinite(latents).all():
        raise ValueError("a latent coordinate is not finite")
    accuracy, base_rate = [], []
    for truth in presence.T:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        told = cross_val_predict(model, latents, truth, cv=folds)
        accuracy.append(float((told == truth).mean()))
        base_rate.append(float(max(truth.mean(), 1 - truth.mean())))
    return Probed(accuracy, base_rate)
