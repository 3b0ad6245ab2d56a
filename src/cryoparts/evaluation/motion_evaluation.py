"""A run against the truth of regions that turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.evaluation.motion_axes import run_axis_accuracy
from cryoparts.evaluation.motion_rmsd import motion_rmsd
from cryoparts.evaluation.occupancy_evaluation import evaluate_coordination
from cryoparts.evaluation.part_agreement import coordinate_agreement
from cryoparts.evaluation.rigid_displacements import rigid_displacements
from cryoparts.evaluation.run_results import parts_headline
from cryoparts.parts.part_labels import PartLabels
from cryoparts.simulation.rigid_motion import Hinges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.evaluation.motion_rmsd import MotionAccuracy
    from cryoparts.evaluation.run_results import Found, RunResults
    from cryoparts.simulation.ground_truth import MotionTruth


def evaluate_motion(
    results: RunResults, truth: MotionTruth, presence: NDArray[np.bool_] | None = None
) -> Found:
    """Displacements, parts, angles, axes and coordination against the truth.

    Parameters
    ----------
    results : RunResults
    truth : MotionTruth
        Of all particles, in the run's order.
    presence : bool array, shape (P, R), optional
        Whether each region is there; where it is not its motion does not count.

    Raises
    ------
    InputError
        If positions did not vary in the run.
    """
    good = results.good
    displacements = results.displacements
    if displacements is None:
        raise InputError(
            str(results.run.root),
            "positions did not vary in this run, and the truth is a motion",
            "Train with --vary position.",
        )
    names = [str(name) for name in truth.region_names]
    there = np.ones(truth.angles_degrees.shape, dtype=bool) if presence is None else presence
    there = there & good[:, None]
    assigned = results.assigned(truth.atom_positions, truth.atom_region)
    hinges = Hinges(truth.axes, truth.pivots)

    def compared(predicted: NDArray[np.float32]) -> MotionAccuracy:
        return motion_rmsd(
            predicted,
            results.positions,
            assigned.segment,
            hinges,
            truth.angles_degrees[good],
            names,
            there[good],
        )

    accuracy = compared(displacements)
    headline = {
        "displacement error": f"{accuracy.rmsd_angstrom:.2f} Å",
        "no motion would give": f"{accuracy.no_motion_rmsd_angstrom:.2f} Å",
    }
    details: dict[str, Any] = {"motion": accuracy.as_dict()}
    if results.amplitudes is not None and presence is None:
        # of regions that are always there, by a decoder that explains motion by absence
        spread = float(np.median(results.amplitudes.std(axis=0)))
        details["amplitude_spread"] = spread
        headline["relative amplitudes vary by, median over Gaussians"] = f"{spread:.2f}"
    rigid = _rigid(results)
    if rigid is not None:
        bodies = compared(rigid[good])
        details["rigid_motion"] = bodies.as_dict()
        headline["displacement error, parts as rigid bodies"] = f"{bodies.rmsd_angstrom:.2f} Å"
    parts = _evaluate_parts(results, truth, assigned.segment, there)
    return headline | parts[0], details | parts[1]


def _evaluate_parts(
    results: RunResults, truth: MotionTruth, region: Any, there: NDArray[np.bool_]
) -> Found:
    """Parts, and the angles and axes that they say."""
    names = [str(name) for name in truth.region_names]
    agreement = results.parts(region, 0, ["still", *names])
    if agreement is None:
        return {}, {}
    headline, details = parts_headline(agreement), {"parts": agreement.as_dict()}
    part_of = {name: agreement.part_of(name) for name in names}
    angles = {}
    for number, name in enumerate(names):
        focused = results.focused(part_of[name])
        if focused is not None:
            rows = there[:, number]
            true = truth.angles_degrees[rows, number]
            angles[name] = coordinate_agreement(focused.coordinate[rows], true).as_dict()
            headline[f"correlation with the angle of {name}"] = f"{angles[name]['pearson']:.3f}"
    details["angles"] = angles
    coordinated = evaluate_coordination(results.run, truth, part_of)
    headline |= coordinated[0]
    details |= coordinated[1]
    folder, where = results.run.motion_path, str(results.run.root)
    for name, axis in run_axis_accuracy(folder, truth, part_of, where, there).items():
        details.setdefault("axes", {})[name] = axis.as_dict()
        headline[f"axis of {name}"] = (
            f"{axis.axis_error_degrees:.1f}° off, passes the pivot at "
            f"{axis.pivot_distance_angstrom:.1f} Å, angle correlation "
            f"{axis.angle_correlation:.3f}"
        )
    return headline, details


def _rigid(results: RunResults) -> NDArray[np.float32] | None:
    run = results.run
    if not run.parts_path.exists():
        return None
    labels, names = PartLabels.load(run.parts_path), results.trained.particles.names
    return rigid_displacements(run.motion_path, labels, results.positions, names)
