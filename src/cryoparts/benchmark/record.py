"""Everything that a benchmark keeps of one run, taken from its folder and the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import map_coordinates

from cryoparts.benchmark.amplitude_histogram import amplitude_histogram
from cryoparts.benchmark.metrics import (
    ORACLE,
    Values,
    assembly_values,
    composition_references,
    composition_values,
    motion_references,
    motion_values,
)
from cryoparts.benchmark.particle_judgement import mass_shares, particle_judgement
from cryoparts.evaluation.assembly_agreement import assembly_agreement
from cryoparts.evaluation.assignment import assign_gaussians
from cryoparts.evaluation.chain_agreement import PartEvidence, chain_agreement
from cryoparts.evaluation.motion_rmsd import motion_rmsd, particle_rmsd, true_displacements
from cryoparts.evaluation.run_evaluation import evaluate_run
from cryoparts.evaluation.truth import align_truth, load_truth, rows_of
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.calibration import PRESENT_ABOVE
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.occupancy.composition import Composition
from cryoparts.parts.part_labels import PartLabels
from cryoparts.simulation.ground_truth import BothTruth, CompositionTruth, MapsTruth, MotionTruth
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.evaluation.assembly_agreement import ProteinOccupancies
    from cryoparts.evaluation.chain_agreement import ChainDensities
    from cryoparts.io.run_directory import RunDirectory


@dataclass(frozen=True)
class MapKnowledge:
    """What is known of the maps that particles came from.

    Parameters
    ----------
    densities : list of arrays, shape (D, D, D)
        The maps [z, y, x], in the order of the truth's.
    voxel_size_angstrom : float
    chains : ChainDensities or None
        A structure that lies in the maps.
    proteins : ProteinOccupancies or None
        How much of each protein the maps hold, with the structure's chain names.
    """

    densities: list[NDArray[np.float32]]
    voxel_size_angstrom: float
    chains: ChainDensities | None
    proteins: ProteinOccupancies | None = None

    def at(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Density (M, N) of every map at points (N, 3) about the box centre, Å."""
        side = len(self.densities[0])
        where = positions[:, ::-1].T / self.voxel_size_angstrom + side // 2
        return np.stack([map_coordinates(d, where, order=1) for d in self.densities]).astype(
            np.float64
        )


@dataclass(frozen=True)
class Measured:
    """Numbers of one run.

    Parameters
    ----------
    values : dict
        For the table.
    references : dict
        Of the oracle and of the empty prediction, on the same particles.
    details : dict
        Everything else that is worth keeping, for results.json.
    arrays : dict of str to array
        For the figures.
    """

    values: Values
    references: dict[str, Values]
    details: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def measure_run(
    run: RunDirectory,
    data: Path,
    oracle: dict[str, Any] | None,
    maps: MapKnowledge | None = None,
) -> Measured:
    """Compare a run with the truth of its data set.

    Parameters
    ----------
    run : RunDirectory
        Trained, with its parts and states found.
    data : Path
        Folder of the simulated data set.
    oracle : dict or None
        See `oracle_of_data`.
    maps : MapKnowledge, optional
        Needed where the particles came from maps.
    """
    details = evaluate_run(run, data, oracle=False).details
    trained = TrainedDecoder(run)
    truth = align_truth(load_truth(data), trained.particles.names, str(run.root))
    wrong = particle_judgement(run, truth)
    if wrong:
        details["judgement"] = wrong
    if isinstance(truth, BothTruth):
        presence = truth.presence[:, truth.moving]
        return _merged(
            _composition(run, trained, truth, details, oracle),
            _motion(run, trained, truth.motion, details, oracle, presence),
        )
    if isinstance(truth, CompositionTruth):
        return _composition(run, trained, truth, details, oracle)
    if isinstance(truth, MotionTruth):
        return _motion(run, trained, truth, details, oracle)
    if maps is None:
        raise ValueError("particles of maps are compared with the maps: give them")
    return _assembly(run, truth, details, oracle, maps)


def _merged(composition: Measured, motion: Measured) -> Measured:
    """Everything of segments that turn and come and go; parts are those of the composition."""
    names = {*composition.references, *motion.references}
    return Measured(
        motion.values | composition.values,
        {n: motion.references.get(n, {}) | composition.references.get(n, {}) for n in names},
        motion.details | composition.details,
        motion.arrays | composition.arrays,
    )


def _composition(
    run: RunDirectory,
    trained: TrainedDecoder,
    truth: CompositionTruth,
    details: dict[str, Any],
    oracle: dict[str, Any] | None,
) -> Measured:
    positions = GaussianModel.load(run.gaussians_path).positions
    assigned = assign_gaussians(positions, truth.atom_positions, truth.atom_segment)
    amplitudes = trained.decode().relative_amplitudes
    assert amplitudes is not None  # evaluate_run has refused it
    optional = assigned.segment != truth.core
    good, there = truth.good, truth.presence[truth.good]
    histogram = amplitude_histogram(amplitudes[good], assigned.segment, there, optional)
    plain = histogram.as_dict()
    presence = _presence_accuracy(run, truth, details)
    wrong = (amplitudes[good] > PRESENT_ABOVE) != there[:, assigned.segment]
    details["mass_share"] = mass_shares(truth)
    return Measured(
        composition_values(details, plain, presence),
        composition_references(details, oracle),
        {
            "evaluation": details,
            "histogram": plain,
            "presence": presence,
            "oracle": _without_rows(oracle),
        },
        {
            "segment": assigned.segment,
            "border": assigned.border,
            "error_of_gaussian": wrong.mean(axis=0).astype(np.float32),
        },
    )


def _presence_accuracy(
    run: RunDirectory, truth: CompositionTruth, details: dict[str, Any]
) -> dict[str, float]:
    """Share of particles with the right presence of each segment that a part recovers.

    Of the probabilities that `cryoparts composition` finds in the images; segments whose
    part is not one that comes and goes are left out, as is everything where it has not run.
    """
    judged = _judged_composition(run, truth)
    if judged is None:
        return {}
    found, probability = judged
    there = probability > PRESENT_ABOVE
    part_of = {
        match["segment"]: match["part"]
        for match in details.get("parts", {}).get("matches", [])
        if match["recovered"] and match["part"]
    }
    return {
        name: float((there[:, part_of[name] - 1] == truth.presence[:, number])[truth.good].mean())
        for number, name in enumerate(truth.segment_names.tolist())
        if part_of.get(name) in found.optional
    }


def _judged_composition(
    run: RunDirectory, truth: CompositionTruth | MapsTruth
) -> tuple[Composition, NDArray[np.float64]] | None:
    """What `cryoparts composition` found, and its probabilities (P, K) in the truth's order.

    None where it has not run.
    """
    if not (run.composition_path / "summary.json").is_file():
        return None
    found = Composition.load(run.composition_path)
    return found, found.probability[rows_of(found.names, truth.names, str(run.composition_path))]


def _motion(
    run: RunDirectory,
    trained: TrainedDecoder,
    truth: MotionTruth,
    details: dict[str, Any],
    oracle: dict[str, Any] | None,
    presence: NDArray[np.bool_] | None = None,
) -> Measured:
    positions = GaussianModel.load(run.gaussians_path).positions
    region = assign_gaussians(positions, truth.atom_positions, truth.atom_region).segment
    hinges = Hinges(truth.axes, truth.pivots)
    angles, good = truth.angles_degrees, truth.good
    moved = trained.decode().displacements
    assert moved is not None  # evaluate_run has refused it
    arrays: dict[str, NDArray[Any]] = {
        "region": region,
        "rmsd": particle_rmsd(moved[good], positions, region, hinges, angles[good]),
        "no_motion_rmsd": particle_rmsd(None, positions, region, hinges, angles[good]),
    }
    if oracle is not None:
        rows = np.array(oracle["rows"], dtype=np.int64)
        told = true_displacements(positions, region, hinges, oracle["angles_degrees"])
        there = None if presence is None else presence[rows]
        accuracy = motion_rmsd(told, positions, region, hinges, angles[rows], there=there)
        oracle = oracle | {
            "rmsd_angstrom": accuracy.rmsd_angstrom,
            "moving_rmsd_angstrom": accuracy.moving_rmsd_angstrom,
        }
        arrays["oracle_rmsd"] = particle_rmsd(told, positions, region, hinges, angles[rows])
    return Measured(
        motion_values(details),
        motion_references(details, oracle),
        {"evaluation": details, "oracle": _without_rows(oracle)},
        arrays,
    )


_LONG = ("rows", "angles_degrees", "map_index")
"""Of an oracle, what has a number a particle."""


def _without_rows(oracle: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if oracle is None else {k: oracle[k] for k in oracle if k not in _LONG}


def _assembly(
    run: RunDirectory,
    truth: MapsTruth,
    details: dict[str, Any],
    oracle: dict[str, Any] | None,
    maps: MapKnowledge,
) -> Measured:
    labels = PartLabels.load(run.parts_path)
    positions = GaussianModel.load(run.gaussians_path).positions
    seen = {
        part: FocusedParticles.load(run.focus_path(part))
        for part in range(1, labels.n_parts + 1)
        if run.focus_path(part).exists()
    }
    density = maps.at(positions)
    agreement = chain_agreement(
        PartEvidence(
            labels.labels,
            positions.astype(np.float64),
            {part: focused.mean_amplitude for part, focused in seen.items()},
            {part: focused.states for part, focused in seen.items() if focused.n_states > 1},
        ),
        truth.map_index,
        density,
        maps.chains,
    ).as_dict()
    references: dict[str, Values] = {}
    if oracle is not None:
        references[ORACLE] = {
            "joint_information": float(oracle["information"]),
            "joint_purity": float(oracle["accuracy"]),
        }
    order = _order_of_assembly(run, truth, agreement, maps)
    return Measured(
        assembly_values(agreement, order),
        references,
        {
            "evaluation": details,
            "assembly": agreement,
            "proteins": order,
            "oracle": _without_rows(oracle),
            "map_names": truth.map_names.tolist(),
        },
        {"gaussian_density": density.astype(np.float32)},
    )


def _order_of_assembly(
    run: RunDirectory, truth: MapsTruth, agreement: dict[str, Any], maps: MapKnowledge
) -> dict[str, Any] | None:
    """Presence of the parts and their order against the proteins' occupancies, if known."""
    judged = _judged_composition(run, truth)
    if maps.proteins is None or judged is None:
        return None
    found, probability = judged
    path = run.coordination_path / "assembly.json"
    graph = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return assembly_agreement(
        {f"part_{part}": probability[:, part - 1] for part in found.optional},
        truth.map_index,
        truth.map_names.tolist(),
        maps.proteins,
        chains={f"part_{part['part']}": part["chains"] for part in agreement["parts"]},
        requirements=[(r["earlier"], r["later"]) for r in graph.get("requirements", [])],
    ).as_dict()
