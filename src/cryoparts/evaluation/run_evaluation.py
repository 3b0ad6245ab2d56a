"""A whole run against the ground truth of its simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from cryoparts.errors import InputError
from cryoparts.evaluation.assignment import Assignment, assign_gaussians
from cryoparts.evaluation.composition_accuracy import composition_accuracy
from cryoparts.evaluation.motion_axes import run_axis_accuracy
from cryoparts.evaluation.motion_rmsd import motion_rmsd
from cryoparts.evaluation.occupancy_evaluation import evaluate_coordination, evaluate_occupancies
from cryoparts.evaluation.oracle import oracle_accuracy
from cryoparts.evaluation.part_agreement import (
    coordinate_agreement,
    part_agreement,
    state_agreement,
)
from cryoparts.evaluation.rigid_displacements import rigid_displacements
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.parts.part_labels import PartLabels
from cryoparts.simulation.ground_truth import CompositionTruth, MapsTruth, MotionTruth
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.evaluation.motion_rmsd import MotionAccuracy
    from cryoparts.evaluation.part_agreement import PartAgreement
    from cryoparts.io.run_directory import RunDirectory

    Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RunEvaluation:
    """What a run got right.

    Parameters
    ----------
    headline : dict of str to str
        The main numbers, in words.
    details : dict
        Every number, for evaluation.json; the headline too.
    """

    headline: dict[str, str]
    details: dict[str, Any]


def evaluate_run(
    run: RunDirectory, truth_path: Path, *, oracle: bool, progress: Progress | None = None
) -> RunEvaluation:
    """Compare everything a run folder holds with the truth.

    Parameters
    ----------
    run : RunDirectory
        Trained; its parts and states are compared where they have been found.
    truth_path : Path
        truth.npz, or the folder it is in.
    oracle : bool
        Also solve with the true segments told (composition only).
    progress : callable or None
        Told the particles that the oracle has done, and all particles.

    Raises
    ------
    InputError
        If the truth is unreadable or of other particles.
    """
    trained = TrainedDecoder(run)
    truth = align_truth(load_truth(truth_path), trained.particles.names, str(run.root))
    if isinstance(truth, CompositionTruth):
        return _composition(run, trained, truth, progress if oracle else None, oracle=oracle)
    if isinstance(truth, MotionTruth):
        return _motion(run, trained, truth)
    return _maps(run, truth)


def _composition(
    run: RunDirectory,
    trained: TrainedDecoder,
    truth: CompositionTruth,
    progress: Progress | None,
    *,
    oracle: bool,
) -> RunEvaluation:
    assigned = _assigned(run, truth.atom_positions, truth.atom_segment)
    amplitudes = trained.decode().relative_amplitudes
    if amplitudes is None:
        raise InputError(
            str(run.root),
            "amplitudes did not vary in this run, and the truth is a composition",
            "Train with --vary amplitude.",
        )
    accuracy = composition_accuracy(
        amplitudes,
        assigned.segment,
        truth.presence,
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
    details: dict[str, Any] = {"kind": truth.kind, "composition": accuracy.as_dict()}
    if oracle:
        particles = trained.particles
        told = oracle_accuracy(
            particles.images,
            truth,
            particles.poses,
            particles.ctf,
            particles.box_size,
            particles.pixel_size_angstrom,
            progress,
        )
        details["oracle"] = told.as_dict()
        headline["accuracy if the segments were told"] = _percent(told.optional_accuracy)
    agreement = _parts(run, assigned.segment, truth.core, truth.segment_names.tolist())
    if agreement is not None:
        details["parts"] = agreement.as_dict()
        headline |= _parts_headline(agreement)
        states = {}
        for number in truth.optional_segments:
            name = str(truth.segment_names[number])
            focused = _focused(run, agreement.part_of(name))
            if focused is not None:
                states[name] = state_agreement(focused.states, truth.presence[:, number]).as_dict()
        details["states"] = states
        if states:
            mean = float(np.mean([state["accuracy"] for state in states.values()]))
            headline["particles in the right state, mean over parts"] = _percent(mean)
        part_of = {str(name): agreement.part_of(str(name)) for name in truth.segment_names}
        for found in (
            evaluate_occupancies(run, truth, part_of),
            evaluate_coordination(run, truth, part_of),
        ):
            headline |= found[0]
            details |= found[1]
    return RunEvaluation(headline, details)


def _motion(run: RunDirectory, trained: TrainedDecoder, truth: MotionTruth) -> RunEvaluation:
    assigned = _assigned(run, truth.atom_positions, truth.atom_region)
    displacements = trained.decode().displacements
    if displacements is None:
        raise InputError(
            str(run.root),
            "positions did not vary in this run, and the truth is a motion",
            "Train with --vary position.",
        )
    names = [str(name) for name in truth.region_names]
    positions = GaussianModel.load(run.gaussians_path).positions

    def compared(predicted: NDArray[np.float32]) -> MotionAccuracy:
        hinges = Hinges(truth.axes, truth.pivots)
        return motion_rmsd(
            predicted, positions, assigned.segment, hinges, truth.angles_degrees, names
        )

    accuracy = compared(displacements)
    del displacements
    headline = {
        "displacement error": f"{accuracy.rmsd_angstrom:.2f} Å",
        "no motion would give": f"{accuracy.no_motion_rmsd_angstrom:.2f} Å",
    }
    details: dict[str, Any] = {"kind": truth.kind, "motion": accuracy.as_dict()}
    rigid = _rigid(run, trained, positions)
    if rigid is not None:
        bodies = compared(rigid)
        details["rigid_motion"] = bodies.as_dict()
        headline["displacement error, parts as rigid bodies"] = f"{bodies.rmsd_angstrom:.2f} Å"
    agreement = _parts(run, assigned.segment, 0, ["still", *names])
    if agreement is not None:
        details["parts"] = agreement.as_dict()
        headline |= _parts_headline(agreement)
        angles = {}
        for number, name in enumerate(names):
            focused = _focused(run, agreement.part_of(name))
            if focused is not None:
                angles[name] = coordinate_agreement(
                    focused.coordinate, truth.angles_degrees[:, number]
                ).as_dict()
        details["angles"] = angles
        for name, found in angles.items():
            headline[f"correlation with the angle of {name}"] = f"{found['pearson']:.3f}"
        parts = {name: agreement.part_of(name) for name in names}
        coordinated = evaluate_coordination(run, truth, parts)
        headline |= coordinated[0]
        details |= coordinated[1]
        for name, axis in run_axis_accuracy(run.motion_path, truth, parts, str(run.root)).items():
            details.setdefault("axes", {})[name] = axis.as_dict()
            headline[f"axis of {name}"] = (
                f"{axis.axis_error_degrees:.1f}° off, passes the pivot at "
                f"{axis.pivot_distance_angstrom:.1f} Å, angle correlation "
                f"{axis.angle_correlation:.3f}"
            )
    return RunEvaluation(headline, details)


def _rigid(
    run: RunDirectory, trained: TrainedDecoder, positions: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    if not run.parts_path.exists():
        return None
    labels = PartLabels.load(run.parts_path)
    return rigid_displacements(run.motion_path, labels, positions, trained.particles.names)


def _maps(run: RunDirectory, truth: MapsTruth) -> RunEvaluation:
    details: dict[str, Any] = {"kind": truth.kind, "states": {}}
    headline = {}
    parts = PartLabels.load(run.parts_path).n_parts if run.parts_path.exists() else 0
    for part in range(1, parts + 1):
        focused = _focused(run, part)
        if focused is not None:
            score = float(adjusted_rand_score(truth.map_index, focused.states))
            details["states"][f"part_{part}"] = {"adjusted_rand_index": score}
            headline[f"states of part_{part} and maps, adjusted Rand index"] = f"{score:.3f}"
    return RunEvaluation(headline or {"parts": "none found"}, details)


def _assigned(run: RunDirectory, positions: Any, segment: Any) -> Assignment:
    return assign_gaussians(GaussianModel.load(run.gaussians_path).positions, positions, segment)


def _parts(
    run: RunDirectory, true_segment: Any, core: int, names: Sequence[str]
) -> PartAgreement | None:
    if not run.parts_path.exists():
        return None
    return part_agreement(PartLabels.load(run.parts_path).labels, true_segment, core, names)


def _parts_headline(agreement: PartAgreement) -> dict[str, str]:
    return {
        "parts found": str(agreement.parts),
        "true segments recovered (Jaccard index > 0.5)": (
            f"{agreement.recovered} of {agreement.segments}"
        ),
        "adjusted Rand index": f"{agreement.adjusted_rand_index:.3f}",
    }


def _focused(run: RunDirectory, part: int | None) -> FocusedParticles | None:
    if part is None or not run.focus_path(part).exists():
        return None
    return FocusedParticles.load(run.focus_path(part))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"
