from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.evaluation.motion_axes import axis_accuracy, run_axis_accuracy
from cryoparts.io.tables import write_table
from cryoparts.motion.motion_files import write_motion_summary
from cryoparts.simulation.ground_truth import MotionTruth


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), flipped=st.booleans())
def test_axis_pivot_and_angles_are_compared_whichever_way_the_axis_points(seed, flipped):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    across = np.cross(axis, rng.normal(size=3))
    across /= np.linalg.norm(across)
    pivot, angles = rng.normal(size=3) * 20, rng.uniform(-10, 10, 50)
    tilt = np.deg2rad(7)
    side = -1 if flipped else 1
    found = axis_accuracy(
        1,
        side * (np.cos(tilt) * axis + np.sin(tilt) * across),
        pivot,
        side * 0.8 * angles + 3,
        axis,
        pivot + 4 * np.cross(axis, across),
        angles,
    )
    assert found.axis_error_degrees == pytest.approx(7)
    assert found.pivot_distance_angstrom == pytest.approx(4)
    assert found.angle_correlation == pytest.approx(1)
    assert found.angle_slope == pytest.approx(0.8)
    assert found.angle_rmse_degrees == pytest.approx(0.2 * angles.std())


def test_a_shift_along_the_axis_is_no_error_and_unlike_angles_are_seen():
    rng = np.random.default_rng(1)
    angles, axis = rng.normal(size=3000), np.array([0, 0, 1.0])
    found = axis_accuracy(1, axis, [0, 0, 50.0], rng.normal(size=3000), axis, np.zeros(3), angles)
    assert found.pivot_distance_angstrom == found.axis_distance_angstrom == 0
    assert abs(found.angle_correlation) < 0.1
    still = axis_accuracy(1, axis, np.zeros(3), np.zeros(3000), axis, np.zeros(3), angles)
    assert still.angle_correlation == 0
    with pytest.raises(ValueError, match="must agree"):
        axis_accuracy(1, axis, np.zeros(3), np.zeros(2), axis, np.zeros(3), np.zeros(3))


def test_a_run_is_joined_to_the_truth_by_name(tmp_path):
    rng = np.random.default_rng(2)
    names = np.array([f"{i:06d}@s.mrcs" for i in range(20)])
    angles = rng.uniform(-10, 10, (20, 2))
    truth = MotionTruth(
        names, 0, 1.0, "dark", np.zeros((1, 3), np.float32), np.ones(1, np.float32), np.zeros(1),
        np.array(["arm", "leg"]), np.eye(3)[:2], np.zeros((2, 3)), angles,
    )  # fmt: skip
    assert run_axis_accuracy(tmp_path, truth, {"arm": 2, "leg": None}, "run") == {}
    order = rng.permutation(20)
    write_table(
        tmp_path / "part_2.csv",
        {"name": names[order], "signed_angle_degrees": -angles[order, 0]},
    )
    screw = {"axis": [-1.0, 0, 0], "pivot_angstrom": [0, 3.0, 0]}
    write_motion_summary(tmp_path, {"parts": {"part_2": {"screw": screw}}})
    found = run_axis_accuracy(tmp_path, truth, {"arm": 2, "leg": None}, "run")
    assert list(found) == ["arm"]
    assert found["arm"].angle_correlation == pytest.approx(1)
    assert found["arm"].pivot_distance_angstrom == pytest.approx(3)
    assert json.loads(json.dumps(found["arm"].as_dict()))["part"] == 2
