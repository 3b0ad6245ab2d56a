from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.evaluation.motion_rmsd import motion_rmsd, true_displacements
from cryoparts.simulation.rigid_motion import Hinges, move_atoms

P, N, R = 300, 50, 2


def case(seed):
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(R, 3))
    hinges = Hinges(axes / np.linalg.norm(axes, axis=1, keepdims=True), rng.normal(0, 9, (R, 3)))
    points = rng.normal(0, 20, (N, 3))
    region = np.concatenate([np.arange(R + 1), rng.integers(0, R + 1, N - R - 1)])
    return rng, points, region, hinges, rng.uniform(-15, 15, (P, R))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_true_displacements_are_those_of_atoms_at_the_gaussians(seed):
    _, points, region, hinges, angles = case(seed)
    truth = true_displacements(points, region, hinges, angles[:5])
    for row in range(5):
        moved = move_atoms(points, region, hinges, angles[row])
        np.testing.assert_allclose(truth[row], moved - points, atol=1e-9)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_perfection_scores_zero_and_no_motion_the_size_of_the_motion(seed):
    _, points, region, hinges, angles = case(seed)
    truth = true_displacements(points, region, hinges, angles)
    perfect = motion_rmsd(truth, points, region, hinges, angles)
    assert perfect.rmsd_angstrom == pytest.approx(0.0, abs=1e-9)
    assert perfect.explained_fraction == pytest.approx(1.0)
    still = motion_rmsd(np.zeros_like(truth), points, region, hinges, angles)
    size = np.sqrt((truth**2).sum(axis=2).mean(axis=1)).mean()
    assert still.rmsd_angstrom == still.no_motion_rmsd_angstrom == pytest.approx(size)
    assert perfect.no_motion_rmsd_angstrom == pytest.approx(size)
    assert still.explained_fraction == pytest.approx(0.0)
    moving = np.sqrt((truth[:, region > 0] ** 2).sum(axis=2).mean(axis=1)).mean()
    assert still.moving_rmsd_angstrom == pytest.approx(moving)
    # Of the opposite motion twice the size is wrong.
    opposite = motion_rmsd(-truth, points, region, hinges, angles)
    assert opposite.rmsd_angstrom == pytest.approx(2 * size)
    assert opposite.explained_fraction == pytest.approx(-3.0)


def test_each_region_has_its_own_error():
    rng, points, region, hinges, angles = case(2)
    truth = true_displacements(points, region, hinges, angles)
    predicted = truth.copy()
    predicted[:, region == 2, 0] += 3.0
    result = motion_rmsd(predicted, points, region, hinges, angles, ["arm", "leg"])
    still, arm, leg = result.regions
    assert [r.name for r in result.regions] == ["still", "arm", "leg"]
    assert [r.gaussians for r in result.regions] == np.bincount(region).tolist()
    assert (still.rmsd_angstrom, still.no_motion_rmsd_angstrom) == (0.0, 0.0)
    assert arm.rmsd_angstrom == pytest.approx(0.0, abs=1e-9)
    assert leg.rmsd_angstrom == pytest.approx(3.0)
    share = np.mean(region == 2)
    assert result.rmsd_angstrom == pytest.approx(3.0 * np.sqrt(share))
    assert json.loads(json.dumps(result.as_dict()))["regions"][2]["name"] == "leg"
    order = rng.permutation(P)
    again = motion_rmsd(predicted[order], points, region, hinges, angles[order])
    assert again.rmsd_angstrom == pytest.approx(result.rmsd_angstrom)
    wrong = motion_rmsd(predicted[order], points, region, hinges, angles)
    assert wrong.rmsd_angstrom > result.rmsd_angstrom + 0.5


def test_shapes_that_do_not_fit_are_refused():
    _, points, region, hinges, angles = case(1)
    with pytest.raises(ValueError, match="displacements"):
        motion_rmsd(np.zeros((P, N)), points, region, hinges, angles)
