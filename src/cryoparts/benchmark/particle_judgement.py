"""Whether a run's probability that an image is a particle in its pose is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.evaluation.composition_accuracy import area_under_curve
from cryoparts.statistics.trusted import TRUSTED

if TYPE_CHECKING:
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.simulation.ground_truth import CompositionTruth, Truth

PROBABILITY_FILE = "probability.npy"
"""In a run folder: probability (P,) that each particle is what the model describes."""

LOST = "lost pose"


def particle_judgement(run: RunDirectory, truth: Truth) -> dict[str, Any]:
    """How well good particles are told from junk and from lost poses.

    Parameters
    ----------
    run : RunDirectory
    truth : Truth
        Of the run's particles, in their order.

    Returns
    -------
    dict
        "area_under_curve" of junk against good particles, of each kind of junk and of
        lost poses in "kinds", and the shares of good and bad ones that are thrown away; empty
        where the run has no such probability or nothing is wrong with the particles.

    Raises
    ------
    InputError
        If the probabilities are not of these particles.
    """
    wrong, path = truth.nuisances, run.root / PROBABILITY_FILE
    if wrong is None or not path.is_file() or truth.good.all():
        return {}
    probability = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    good, junk = truth.good, wrong.junk_kind != ""
    if probability.shape != good.shape:
        raise InputError(
            str(path),
            f"holds {probability.shape} numbers for {len(good)} particles",
            "Train again.",
        )
    kinds = {str(kind): wrong.junk_kind == kind for kind in np.unique(wrong.junk_kind[junk])}
    if wrong.lost.any():
        kinds[LOST] = wrong.lost

    def against(bad: Any) -> float | None:
        counted = good | bad
        return area_under_curve(probability[counted], good[counted])

    return {
        "area_under_curve": against(junk) if junk.any() else None,
        "kinds": {name: against(bad) for name, bad in kinds.items()},
        "good_thrown_away": float((probability[good] <= TRUSTED).mean()),
        "bad_thrown_away": float((probability[~good] <= TRUSTED).mean()),
    }


def mass_shares(truth: CompositionTruth) -> dict[str, float]:
    """Share of the molecule's mass that each segment has."""
    mass = np.bincount(truth.atom_segment, weights=truth.atom_masses)
    names = [str(name) for name in truth.segment_names]
    return dict(zip(names, (mass / mass.sum()).tolist(), strict=True))
