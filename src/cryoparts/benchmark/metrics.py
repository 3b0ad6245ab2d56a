"""The numbers that a benchmark puts into its table, taken from what an evaluation found."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Unit = Literal["share", "angstrom", "degrees", "number", "count", "seconds", "milliseconds", "mib"]
Values = dict[str, float]

ORACLE = "oracle"


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Parameters
    ----------
    key : str
    title : str
    unit : str
        How its values are written.
    """

    key: str
    title: str
    unit: Unit


_COSTS = (
    Metric("held_out_frc", "held-out FRC, highest of all epochs", "number"),
    Metric("total_seconds", "time, particles to report", "seconds"),
    Metric("training_seconds", "of it the training", "seconds"),
    Metric("milliseconds_a_particle", "training step, a particle", "milliseconds"),
    Metric("peak_memory_mib", "peak memory", "mib"),
)

_PARTS = (
    Metric("parts", "parts found", "count"),
    Metric("adjusted_rand_index", "adjusted Rand index of the Gaussians", "number"),
    Metric("unassigned", "Gaussians in no part", "share"),
)

_COORDINATION = (
    Metric("independent_pairs", "independent pairs of parts tested", "count"),
    Metric("false_coordination", "of these, called coordinated", "count"),
)

_AREAS = (
    Metric("area_mean", "area under the curve by segment, mean", "number"),
    Metric("area_minimum", "area under the curve by segment, worst", "number"),
)

_JUDGED = (
    Metric("junk_area", "junk against good particles, area under the curve", "number"),
    Metric("good_thrown_away", "good particles called none", "share"),
)

METRICS: dict[str, tuple[Metric, ...]] = {
    "composition": (
        Metric("accuracy", "accuracy, Gaussians of optional segments", "share"),
        Metric("clear_accuracy", "of these, not straddling two segments", "share"),
        Metric("straddling_accuracy", "of these, straddling two segments", "share"),
        Metric("straddling_share", "share of those that straddle", "share"),
        Metric("interior_accuracy", "of these, away from borders", "share"),
        Metric("border_accuracy", "of these, next to another segment", "share"),
        Metric("best_threshold_accuracy", "accuracy at the best threshold", "share"),
        Metric("segment_mean", "accuracy by segment, mean", "share"),
        Metric("segment_median", "accuracy by segment, median", "share"),
        Metric("segment_minimum", "accuracy by segment, worst", "share"),
        *_AREAS,
        Metric("displacement_rms", "displacements, which in truth are none", "angstrom"),
        Metric("recovered", "optional segments found", "count"),
        *_PARTS,
        Metric("state_accuracy", "particles in the right state, mean over parts", "share"),
        Metric("presence_accuracy", "part there or not, from the images, mean", "share"),
        Metric("presence_minimum", "part there or not, from the images, worst", "share"),
        Metric("occupancy_error", "error of the occupancy, mean over parts", "share"),
        Metric("occupancy_error_maximum", "error of the occupancy, worst part", "share"),
        *_COORDINATION,
        *_JUDGED,
        *_COSTS,
    ),
    "motion": (
        Metric("rmsd_angstrom", "displacement error (RMSD)", "angstrom"),
        Metric("moving_rmsd_angstrom", "of it the moving regions", "angstrom"),
        Metric("still_rmsd_angstrom", "of it the still core", "angstrom"),
        Metric("rigid_rmsd_angstrom", "displacement error, parts as rigid bodies", "angstrom"),
        Metric("recovered", "moving regions found", "count"),
        Metric("still_found", "still core found", "count"),
        *_PARTS,
        Metric("angle_correlation", "correlation with the angle, mean over regions", "number"),
        Metric("angle_correlation_minimum", "correlation with the angle, worst region", "number"),
        Metric("coordinate_correlation", "of the particles' coordinate, mean", "number"),
        Metric("axis_error_degrees", "error of the axis, mean over regions", "degrees"),
        Metric("axis_error_maximum", "error of the axis, worst region", "degrees"),
        Metric("amplitude_spread", "spread of amplitudes, which in truth is none", "number"),
        *_COORDINATION,
        *_JUDGED,
        *_COSTS,
    ),
    "both": (
        Metric("accuracy", "presence, accuracy over Gaussians of all but the core", "share"),
        Metric("clear_accuracy", "of these, not straddling two segments", "share"),
        Metric("segment_mean", "accuracy by segment that comes and goes, mean", "share"),
        Metric("segment_minimum", "accuracy by segment that comes and goes, worst", "share"),
        *_AREAS,
        Metric("rmsd_angstrom", "displacement error (RMSD) of what is there", "angstrom"),
        Metric("moving_rmsd_angstrom", "of it the segments that turn", "angstrom"),
        Metric("still_rmsd_angstrom", "of it the rest", "angstrom"),
        Metric("rigid_rmsd_angstrom", "displacement error, parts as rigid bodies", "angstrom"),
        Metric("angle_correlation", "correlation with the angle, mean over segments", "number"),
        Metric("angle_correlation_minimum", "correlation with the angle, worst segment", "number"),
        Metric("axis_error_degrees", "error of the axis, mean over segments", "degrees"),
        Metric("recovered", "segments found", "count"),
        *_PARTS,
        Metric("presence_accuracy", "part there or not, from the images, mean", "share"),
        *_JUDGED,
        *_COSTS,
    ),
    "assembly": (
        Metric("parts", "parts found", "count"),
        Metric("part_correlation", "part's amplitude and density over maps, mean r", "number"),
        Metric("chain_correlation", "chain's density and its part's amplitude, median r", "number"),
        Metric("presence_auc", "part there or not, area under ROC, mean", "number"),
        Metric("presence_accuracy", "part there or not, accuracy, mean", "share"),
        Metric("states_information", "states and presence of the part, NMI, mean", "number"),
        Metric("joint_information", "states of all parts and maps, NMI", "number"),
        Metric("joint_purity", "states of all parts and maps, purity", "share"),
        Metric("classes", "combinations of states", "count"),
        Metric("protein_correlation", "presence and proteins' occupancy, mean r", "number"),
        Metric("protein_agreement", "maps in which presence and proteins agree, mean", "share"),
        Metric("requirements", "order of assembly, requirements found", "count"),
        Metric("requirements_upheld", "of these, upheld by the proteins' occupancies", "count"),
        *_COSTS,
    ),
}


def composition_values(
    details: Mapping[str, Any], histogram: Mapping[str, Any], presence: Mapping[str, float]
) -> Values:
    """Values of a run on a composition.

    Parameters
    ----------
    details : dict
        evaluation.json.
    histogram : dict
        `AmplitudeHistogram.as_dict`.
    presence : dict of str to float
        For each segment that a part recovers, the share of particles in which
        `cryoparts composition` is right about its presence.
    """
    found = details["composition"]
    optional = [s for s in found["segments"] if s["amplitude_absent"] is not None]
    by_segment = [s["mean_accuracy"] for s in optional if s["mean_accuracy"] is not None]
    states = [state["accuracy"] for state in details.get("states", {}).values()]
    wrong = [one["error_points"] / 100 for one in details.get("occupancies", {}).values()]
    n_optional = sum(s["gaussians"] for s in optional)
    areas = [s["area_under_curve"] for s in optional if s["area_under_curve"] is not None]
    return _known(
        area_mean=mean(areas) if areas else None,
        area_minimum=min(areas, default=None),
        displacement_rms=details.get("displacement_rms_angstrom"),
        accuracy=found["optional_accuracy"],
        clear_accuracy=found["clear_accuracy"],
        straddling_accuracy=found["straddling_accuracy"],
        straddling_share=found["straddling_gaussians"] / n_optional if n_optional else None,
        occupancy_error=mean(wrong) if wrong else None,
        occupancy_error_maximum=max(wrong, default=None),
        interior_accuracy=found["interior_accuracy"],
        border_accuracy=found["border_accuracy"],
        best_threshold_accuracy=histogram["best_accuracy"],
        segment_mean=mean(by_segment) if by_segment else None,
        segment_median=median(by_segment) if by_segment else None,
        segment_minimum=min(by_segment, default=None),
        state_accuracy=mean(states) if states else None,
        presence_accuracy=mean(presence.values()) if presence else None,
        presence_minimum=min(presence.values(), default=None),
        **_coordination_values(details),
        **_judged_values(details),
        **_part_values(details),
    )


def motion_values(details: Mapping[str, Any]) -> Values:
    """Values of a run on a motion, from evaluation.json."""
    found = details["motion"]
    regions = {region["name"]: region for region in found["regions"]}
    # Signed angles about the part's axis; failing them, the coordinate of its particles.
    coordinates = [angle["pearson"] for angle in details.get("angles", {}).values()]
    axes = list(details.get("axes", {}).values())
    correlations = [abs(axis["angle_correlation"]) for axis in axes] or coordinates
    # A region that no part recovers has no angle: it counts as uncorrelated.
    correlations += [0.0] * (len(regions) - 1 - len(correlations)) if correlations else []
    coordinates += [0.0] * (len(regions) - 1 - len(coordinates)) if coordinates else []
    errors = [axis["axis_error_degrees"] for axis in axes]
    still = [m for m in details.get("parts", {}).get("matches", []) if m["segment"] == "still"]
    return _known(
        rmsd_angstrom=found["rmsd_angstrom"],
        moving_rmsd_angstrom=found["moving_rmsd_angstrom"],
        still_rmsd_angstrom=regions["still"]["rmsd_angstrom"],
        rigid_rmsd_angstrom=details.get("rigid_motion", {}).get("rmsd_angstrom"),
        still_found=sum(bool(m["recovered"]) for m in still) if still else None,
        angle_correlation=mean(correlations) if correlations else None,
        angle_correlation_minimum=min(correlations, default=None),
        coordinate_correlation=mean(coordinates) if coordinates else None,
        axis_error_degrees=mean(errors) if errors else None,
        axis_error_maximum=max(errors, default=None),
        amplitude_spread=details.get("amplitude_spread"),
        **_judged_values(details),
        **_coordination_values(details),
        **_part_values(details),
    )


def assembly_values(agreement: Mapping[str, Any], proteins: Mapping[str, Any] | None) -> Values:
    """Values of a run on an assembly.

    Parameters
    ----------
    agreement : dict
        `ChainAgreement.as_dict`.
    proteins : dict or None
        `AssemblyAgreement.as_dict`, where the proteins' occupancies are known.
    """
    order: dict[str, float | None] = {}
    if proteins is not None and proteins["parts"]:
        order = {
            "protein_correlation": proteins["mean_correlation"],
            "protein_agreement": mean(part["agreement"] for part in proteins["parts"]),
            "requirements": proteins["requirements"],
            "requirements_upheld": proteins["upheld"],
        }

    def over_parts(key: str) -> float | None:
        known = [part[key] for part in agreement["parts"] if part[key] is not None]
        return mean(known) if known else None

    chains = [c["correlation"] for c in agreement["chains"] if c["correlation"] is not None]
    return _known(
        parts=len(agreement["parts"]),
        part_correlation=over_parts("correlation"),
        chain_correlation=median(chains) if chains else None,
        presence_auc=over_parts("presence_auc"),
        presence_accuracy=over_parts("presence_accuracy"),
        states_information=over_parts("states_information"),
        joint_information=agreement["joint_information"],
        joint_purity=agreement["joint_purity"],
        classes=agreement["classes"],
        **order,
    )


def cost_values(rows: Sequence[Mapping[str, float]], total_seconds: float | None) -> Values:
    """Time and memory of a run from metrics.jsonl, and its whole time where it is known."""
    trained = [row for row in rows if row["epoch"] > 0]
    speeds = [1000.0 / row["particles_per_second"] for row in trained]
    return _known(
        held_out_frc=max((row["held_out_frc"] for row in trained), default=None),
        total_seconds=total_seconds,
        training_seconds=sum(row["seconds"] for row in trained),
        milliseconds_a_particle=median(speeds) if speeds else None,
        peak_memory_mib=max((row["peak_memory_mib"] for row in trained), default=None),
    )


def composition_references(
    details: Mapping[str, Any], oracle: Mapping[str, Any] | None
) -> dict[str, Values]:
    """What calling everything present gives, and the told solver."""
    references = {"all present": _known(accuracy=details["composition"]["all_present_accuracy"])}
    if oracle is not None:
        optional = {
            s["name"]
            for s in details["composition"]["segments"]
            if s["amplitude_absent"] is not None
        }
        by_segment = [v for name, v in oracle["by_segment"].items() if name in optional]
        references[ORACLE] = _known(
            accuracy=oracle["optional_accuracy"],
            segment_mean=mean(by_segment),
            segment_median=median(by_segment),
            segment_minimum=min(by_segment),
            area_mean=mean(oracle["area_under_curve"].values()),
            area_minimum=min(oracle["area_under_curve"].values()),
        )
    return references


def motion_references(
    details: Mapping[str, Any], oracle: Mapping[str, Any] | None
) -> dict[str, Values]:
    """What predicting no motion gives, and the told solver."""
    found = details["motion"]
    references = {
        "no motion": _known(
            rmsd_angstrom=found["no_motion_rmsd_angstrom"],
            moving_rmsd_angstrom=found["moving_no_motion_rmsd_angstrom"],
            still_rmsd_angstrom=0.0,
        )
    }
    if oracle is not None:
        correlations = list(oracle["correlation"].values())
        references[ORACLE] = _known(
            rmsd_angstrom=oracle["rmsd_angstrom"],
            moving_rmsd_angstrom=oracle["moving_rmsd_angstrom"],
            still_rmsd_angstrom=0.0,
            angle_correlation=mean(correlations),
            angle_correlation_minimum=min(correlations),
        )
    return references


def _coordination_values(details: Mapping[str, Any]) -> dict[str, float | None]:
    found = details.get("coordination")
    if found is None:
        return {}
    return {
        "independent_pairs": found["independent"],
        "false_coordination": found["false_positives"],
    }


def _judged_values(details: Mapping[str, Any]) -> dict[str, float | None]:
    found = details.get("judgement", {})
    return {
        "junk_area": found.get("area_under_curve"),
        "good_thrown_away": found.get("good_thrown_away"),
    }


def _part_values(details: Mapping[str, Any]) -> dict[str, float | None]:
    parts = details.get("parts")
    if parts is None:
        return {}
    return {
        "recovered": parts["recovered"],
        "parts": parts["parts"],
        "adjusted_rand_index": parts["adjusted_rand_index"],
        "unassigned": parts["unassigned_fraction"],
    }


def _known(**values: float | None) -> Values:
    """Without what was not measured."""
    return {key: float(value) for key, value in values.items() if value is not None}
