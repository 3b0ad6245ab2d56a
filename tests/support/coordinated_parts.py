"""Parts whose presence is known, measured with errors as images give them."""

from __future__ import annotations

import numpy as np

from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes


def measured(presence, seed=0, error=0.35, overlap=0.6):
    """Amplitudes of parts whose errors are correlated, as those of overlapping parts are."""
    rng = np.random.default_rng(seed)
    count, parts = presence.shape
    covariance = np.empty((count, parts, parts))
    noise = np.empty((count, parts))
    for row in range(count):
        shared = overlap * np.sign(rng.normal() - 0.5)
        matrix = error**2 * ((1 - abs(shared)) * np.eye(parts) + abs(shared))
        signs = np.ones(parts)
        signs[1::2] = np.sign(shared)
        covariance[row] = matrix * np.outer(signs, signs)
        noise[row] = rng.multivariate_normal(np.zeros(parts), covariance[row])
    names = np.array([f"{i:06d}@p.mrcs" for i in range(count)])
    return ImageAmplitudes(names, presence + noise, covariance)


def pairs_of(presence, strata=None, **options):
    composition = find_composition(
        measured(presence, **options), [f"p{k}" for k in range(presence.shape[1])]
    )
    signals = [PartSignal(k, "presence", composition.parts[k - 1].probability)
               for k in composition.optional]  # fmt: skip
    strata = np.zeros(len(presence), dtype=int) if strata is None else strata
    return find_coordination(signals, strata, composition, permutations=299), composition
