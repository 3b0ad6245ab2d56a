"""Junk and lost poses do not count, nor does the motion of what is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cryoparts.evaluation.composition_accuracy import area_under_curve
from cryoparts.evaluation.composition_evaluation import evaluate_composition
from cryoparts.evaluation.motion_evaluation import evaluate_motion
from cryoparts.evaluation.motion_rmsd import motion_rmsd, true_displacements
from cryoparts.evaluation.run_results import RunResults
from cryoparts.evaluation.truth import load_truth
from cryoparts.simulation.both import simulate_both
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.scene_options import BothOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments


@dataclass(frozen=True)
class Results(RunResults):
    """What a run would say, without one."""

    positions: np.ndarray = None
    amplitudes: np.ndarray = None
    displacements: np.ndarray = None


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    segments = folder / "segments.csv"
    write_toy_segments(segments)
    imaging = ImagingOptions(n_particles=60, box_size=32, pixel_size_angstrom=9.0)
    options = BothOptions(segments_file=segments, move=("lobe_1", "lobe_3"), vanish=("lobe_1",))
    nuisances = Nuisances(junk=0.3, lost_poses=0.1)
    folder = simulate_both(toy_complex(0), folder / "set", imaging, options, None, nuisances)
    return load_truth(folder)


@pytest.fixture
def results(truth, tmp_path):
    """A run that is right about every good particle."""
    positions = truth.atom_positions[::20]
    segment = truth.atom_segment[::20]
    motion = truth.motion
    displaced = true_displacements(
        positions,
        motion.atom_region[::20],
        Hinges(motion.axes, motion.pivots),
        motion.angles_degrees[truth.good],
    )
    run = SimpleNamespace(
        root=tmp_path,
        parts_path=Path("nowhere"),
        motion_path=Path("nowhere"),
        composition_path=Path("nowhere"),
        coordination_path=Path("nowhere"),
    )
    amplitudes = truth.presence[truth.good][:, segment].astype(np.float32)
    return Results(run, None, truth.good, positions, amplitudes, displaced.astype(np.float32))


def test_a_run_that_is_right_about_the_good_particles_is_right(truth, results):
    assert truth.good.sum() == 60 - 18 - 6
    _, details = evaluate_composition(results, truth, oracle=False)
    found = details["composition"]
    assert found["all_accuracy"] > 0.98  # Gaussians whose atoms belong to two segments
    by_name = {segment["name"]: segment for segment in found["segments"]}
    assert by_name["lobe_1"]["area_under_curve"] == 1.0
    assert by_name["core"]["area_under_curve"] is None
    assert by_name["lobe_1"]["mean_accuracy"] == 1.0
    assert details["displacement_rms_angstrom"] > 1.0


def test_the_motion_of_a_segment_counts_where_it_is_there(truth, results):
    presence = truth.presence[:, truth.moving]
    _, details = evaluate_motion(results, truth.motion, presence)
    right = details["motion"]
    assert right["no_motion_rmsd_angstrom"] > 1.0
    assert right["rmsd_angstrom"] < 0.3 * right["no_motion_rmsd_angstrom"]
    # wrong displacements where the segment is not there change nothing
    wrong = results.displacements.copy()
    region = truth.motion.atom_region[::20]
    absent = ~presence[truth.good][:, 0]
    wrong[np.ix_(absent, region == 1)] += 50.0
    spoiled = replace(results, displacements=wrong)
    _, again = evaluate_motion(spoiled, truth.motion, presence)
    lobe = {r["name"]: r for r in again["motion"]["regions"]}["lobe_1"]
    assert lobe["rmsd_angstrom"] < 3.0
    _, everywhere = evaluate_motion(spoiled, truth.motion)
    lobe = {r["name"]: r for r in everywhere["motion"]["regions"]}["lobe_1"]
    assert lobe["rmsd_angstrom"] > 10.0


def test_regions_that_no_particle_has_are_left_out():
    positions = np.array([[0.0, 0, 0], [9.0, 0, 0], [9.0, 3, 0]])
    hinges = Hinges(np.array([[0.0, 0, 1]]), np.zeros((1, 3)))
    angles = np.array([[10.0], [20.0]])
    arguments = (np.zeros((2, 3, 3)), positions, [0, 1, 1], hinges, angles)
    nowhere = motion_rmsd(*arguments, there=np.zeros((2, 1), dtype=bool))
    assert nowhere.moving_rmsd_angstrom is None
    assert nowhere.rmsd_angstrom == 0.0
    one = motion_rmsd(*arguments, there=np.array([[False], [True]]))
    alone = motion_rmsd(np.zeros((1, 3, 3)), *arguments[1:4], angles[1:])
    assert one.moving_rmsd_angstrom == pytest.approx(alone.moving_rmsd_angstrom)


def test_area_under_curve_is_the_chance_of_the_right_order():
    assert area_under_curve([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75
    assert area_under_curve([1.0, 2.0], [True, True]) is None
