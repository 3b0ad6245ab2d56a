"""What the images allow of poses, by a solver that is told what each particle looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses
from cryoparts.evaluation.pose_accuracy import PoseErrors
from cryoparts.evaluation.pose_oracle import pose_oracle
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.both import simulate_both
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import BothOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

BOX, PIXEL = 48, 6.0
ROWS = np.arange(64)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Particles that move and come and go, in poses that are off."""
    folder = tmp_path_factory.mktemp("poses")
    write_toy_segments(folder / "segments.csv")
    imaging = ImagingOptions(n_particles=64, box_size=BOX, pixel_size_angstrom=PIXEL, snr=1.0)
    options = BothOptions(segments_file=folder / "segments.csv", vanish=("lobe_1",))
    wrong = Nuisances(pose_error_degrees=3.0, shift_error_angstrom=4.0)
    return simulate_both(toy_complex(0), folder / "set", imaging, options, None, wrong)


def solve(folder, truth, poses=None):
    table = read_particles(folder / "particles.star")
    stack = open_stack(folder / "particles.mrcs")
    return pose_oracle(
        lambda rows: stack.read(table.slice_in_stack[rows]),
        truth,
        table.poses if poses is None else poses,
        table.ctf,
        BOX,
        PIXEL,
        ROWS,
    )


def test_the_told_solver_finds_the_poses_that_images_of_little_noise_show(data_set):
    truth = load_truth(data_set)
    given = PoseErrors.of(read_particles(data_set / "particles.star").poses, truth.nuisances)
    assert given.turn_rms_degrees == pytest.approx(3.0, rel=0.2)
    assert given.shift_rms_angstrom > 2.0
    found = solve(data_set, truth)
    assert found.turn_rms_degrees < 0.35 * given.turn_rms_degrees
    assert found.shift_rms_angstrom < 0.2 * given.shift_rms_angstrom


def test_it_is_told_what_each_particle_looks_like(data_set):
    truth = load_truth(data_set)
    core_alone = np.arange(len(truth.segment_names)) == truth.core
    misled = replace(truth, presence=truth.presence & core_alone)
    assert solve(data_set, misled).turn_rms_degrees > solve(data_set, truth).turn_rms_degrees


def test_poses_that_are_right_are_not_solved_for(data_set):
    truth = load_truth(data_set)
    right = Poses(truth.nuisances.rotation, truth.nuisances.shift_angstrom)
    assert solve(data_set, truth, right) is None
    assert solve(data_set, replace(truth, nuisances=None)) is None


def test_errors_are_angles_and_distances_from_the_true_pose(data_set):
    true = load_truth(data_set).nuisances
    turn = Rotation.from_rotvec([0.0, 0.0, 2.0], degrees=True).as_matrix()
    off = Poses(turn @ true.rotation, true.shift_angstrom + np.array([0.6, -0.8]))
    errors = PoseErrors.of(off, true)
    assert errors.are_wrong
    assert errors.as_dict() == pytest.approx(
        {
            "turn_rms_degrees": 2.0,
            "turn_median_degrees": 2.0,
            "shift_rms_angstrom": 1.0,
            "shift_median_angstrom": 1.0,
        }
    )
    assert str(errors) == "2.00°, 1.00 Å"
