"""Presence, occupancy and coordination of a run against the truth of its simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.evaluation.coordination_accuracy import coordination_accuracy
from cryoparts.evaluation.occupancy_accuracy import occupancy_accuracy
from cryoparts.evaluation.truth import align_truth
from cryoparts.occupancy.composition import Composition
from cryoparts.simulation.ground_truth import CompositionTruth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoparts.evaluation.run_results import Found
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.simulation.ground_truth import MotionTruth


def evaluate_occupancies(
    run: RunDirectory, truth: CompositionTruth, part_of: Mapping[str, int | None]
) -> Found:
    """Occupancies and probabilities of presence, where composition has been judged.

    Raises
    ------
    InputError
        If the folder cannot be read, or its particles are not the truth's.
    """
    if not (run.composition_path / "occupancies.csv").is_file():
        return {}, {}
    composition = Composition.load(run.composition_path)
    true = align_truth(truth, composition.names, str(run.composition_path))
    found: dict[str, Any] = {}
    for number, name in enumerate(truth.segment_names.tolist()):
        part = part_of.get(name)
        if not part or np.isnan(composition.parts[part - 1].occupancy):
            continue
        judged = composition.parts[part - 1]
        found[name] = occupancy_accuracy(
            judged.probability[true.good],
            true.presence[true.good, number],
            judged.occupancy,
            judged.low,
            judged.high,
        ).as_dict()
    if not found:
        return {}, {}
    worst = max(one["error_points"] for one in found.values())
    gap = float(np.mean([one["calibration_error"] for one in found.values()]))
    right = float(np.mean([one["accuracy"] for one in found.values()]))
    headline = {
        "occupancies, largest error": f"{worst:.2f} percentage points",
        "presence judged rightly, mean over parts": f"{100 * right:.2f}%",
        "probability of presence, calibration error": f"{100 * gap:.2f} percentage points",
    }
    return headline, {"occupancies": found}


def evaluate_coordination(
    run: RunDirectory,
    truth: CompositionTruth | MotionTruth,
    part_of: Mapping[str, int | None],
) -> Found:
    """Pairs called coordinated against the couplings of the simulation, where tested."""
    if not (run.coordination_path / "pairs.csv").is_file():
        return {}, {}
    if isinstance(truth, CompositionTruth):
        names, values = truth.segment_names.tolist(), truth.presence.astype(np.float64)
    else:
        names, values = truth.region_names.tolist(), truth.angles_degrees
    found = coordination_accuracy(
        run.coordination_path, part_of, values, names, truth.couplings.tolist()
    )
    if found is None:
        return {}, {}
    headline = {
        "independent pairs called coordinated": f"{found.false_positives} of {found.independent}",
    }
    if found.coupled:
        headline["coupled pairs found"] = f"{found.found_coupled} of {found.coupled}"
    if found.requirements or found.wrong_requirements:
        headline["order of assembly, requirements found"] = (
            f"{found.found_requirements} of {found.requirements}, {found.wrong_requirements} wrong"
        )
    return headline, {"coordination": found.as_dict()}
