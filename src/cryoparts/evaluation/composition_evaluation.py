"""A run against the truth of segments that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.evaluation.composition_accuracy import composition_accuracy
from cryoparts.evaluation.occupancy_evaluation import evaluate_coordination, evaluate_occupancies
from cryoparts.evaluation.oracle import oracle_accuracy
from cryoparts.evaluation.part_agreement import state_agreement
from cryoparts.evaluation.run_results import parts_headline
from cryoparts.evaluation.truth import align_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoparts.evaluation.run_results import Found, RunResults
    from cryoparts.simulation.ground_truth import CompositionTruth


def evaluate_composition(
    results: RunResults,
    truth: CompositionTruth,
    *,
    oracle: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Amplitudes, parts, states, occupancies and coordination against the truth.

    Parameters
    ----------
    results : RunResults
    truth : CompositionTruth
        Of all particles, in the run's order.
    oracle : bool
        Also solve with the true segments told.
    progress : callable, optional
        Told the particles that the oracle has done, and all particles.

    Raises
    ------
    InputError
        If amplitudes did not vary in the run.
    """
    good = results.good
    assigned = results.assigned(truth.atom_positions, truth.atom_segment)
    amplitudes = results.amplitudes
    if amplitudes is None:
        raise InputError(
            str(results.run.root),
            "amplitudes did not vary in this run, and the truth is a composition",
            "Train with --vary amplitude.",
        )
    accuracy = composition_accuracy(
        amplitudes,
        assigned.segment,
        truth.presence[good],
        truth.core,
        border=assigned.border,
        straddling=assigned.straddling,
        segment_names=[str(name) for name in truth.segment_names],
    )
    headline = {
        "amplitude accuracy, optional segments": _percent(accuracy.optional_accuracy),
        "of these, Gaussians that do not straddle two segments": _percent(accuracy.clear_accuracy),
        "amplitude accuracy, all Gaussians": _percent(accuracy.all_accuracy),
        "calling everything present would give": _percent(accuracy.all_present_accuracy),
    }
    details: dict[str, Any] = {"composition": accuracy.as_dict()}
    if results.displacements is not None:
        # of segments that do not move, or by a decoder that explains absence by displacement
        size = float(np.sqrt((results.displacements**2).sum(axis=2).mean()))
        details["displacement_rms_angstrom"] = size
        headline["displacements about their mean, root mean square"] = f"{size:.2f} Å"
    if oracle:
        told = _told(results, truth, progress)
        details["oracle"] = told
        headline["accuracy if the segments were told"] = _percent(told["optional_accuracy"])
    parts = _evaluate_parts(results, truth, assigned.segment)
    return headline | parts[0], details | parts[1]


def _told(
    results: RunResults, truth: CompositionTruth, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """What the told solver reaches on the good particles, with their given poses and CTFs."""
    particles, rows = results.trained.particles, np.flatnonzero(results.good)
    return oracle_accuracy(
        lambda chosen: particles.images(rows[chosen]),
        align_truth(truth, truth.names[rows]),
        particles.poses.take(rows),
        particles.ctf.take(rows),
        particles.box_size,
        particles.pixel_size_angstrom,
        progress,
    ).as_dict()


def _evaluate_parts(results: RunResults, truth: CompositionTruth, segment: Any) -> Found:
    """Parts and what they say of the particles."""
    names = [str(name) for name in truth.segment_names]
    agreement = results.parts(segment, truth.core, names)
    if agreement is None:
        return {}, {}
    headline, details = parts_headline(agreement), {"parts": agreement.as_dict()}
    part_of = {name: agreement.part_of(name) for name in names}
    states = {}
    for number in truth.optional_segments:
        focused = results.focused(part_of[names[number]])
        if focused is not None:
            there = truth.presence[results.good, number]
            own = state_agreement(focused.states[results.good], there)
            states[names[number]] = own.as_dict()
    details["states"] = states
    if states:
        mean = float(np.mean([state["accuracy"] for state in states.values()]))
        headline["particles in the right state, mean over parts"] = _percent(mean)
    for found in (
        evaluate_occupancies(results.run, truth, part_of),
        evaluate_coordination(results.run, truth, part_of),
    ):
        headline |= found[0]
        details |= found[1]
    return headline, details


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"
