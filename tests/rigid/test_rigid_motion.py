from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.rigid.rigid_motion import (
    fit_rigid_motions,
    join_particles,
    rigid_trust,
    without_core_motion,
)
from moving_parts import hinged, turn

seeds = st.integers(0, 10**6)
few = settings(max_examples=10, deadline=None)


def moved_as_one(points, rotations, shifts):
    """Displacements (P, n, 3) of points turned about the origin, then shifted."""
    return np.einsum("pij,nj->pni", rotations, points) + shifts[:, None] - points


@few
@given(seed=seeds)
def test_a_rigid_motion_is_found_exactly_whatever_its_angle(seed):
    rng = np.random.default_rng(seed)
    points, masses = rng.normal(size=(12, 3)) * 15 + 30, rng.uniform(0.1, 3, 12)
    rotations = Rotation.random(20, random_state=seed).as_matrix()
    shifts = rng.normal(size=(20, 3)) * 10
    found = fit_rigid_motions(points, moved_as_one(points, rotations, shifts), masses)
    np.testing.assert_allclose(found.rotation, rotations, atol=1e-8)
    np.testing.assert_allclose(found.residual_rms_angstrom, 0, atol=1e-8)
    centre = masses @ points / masses.sum()
    np.testing.assert_allclose(found.centre, centre)
    np.testing.assert_allclose(
        found.shift_angstrom, rotations @ centre + shifts - centre, atol=1e-8
    )
    angles = np.rad2deg(Rotation.from_matrix(rotations).magnitude())
    np.testing.assert_allclose(found.angle_degrees, angles, atol=1e-6)


@few
@given(seed=seeds)
def test_no_other_rigid_motion_fits_better(seed):
    rng = np.random.default_rng(seed)
    points, masses = rng.normal(size=(9, 3)) * 10, rng.uniform(0.1, 3, 9)
    moved = rng.normal(size=(4, 9, 3)) * 4
    found = fit_rigid_motions(points, moved, masses)

    def misfit(rotation, shift):
        arms = points - found.centre
        left = arms + moved - arms @ np.swapaxes(rotation, 1, 2) - shift[:, None]
        return np.sqrt((left**2).sum(axis=2) @ masses / masses.sum())

    best = misfit(found.rotation, found.shift_angstrom)
    np.testing.assert_allclose(found.residual_rms_angstrom, best, atol=1e-9)
    assert np.all(best <= found.displacement_rms_angstrom + 1e-12)
    for _ in range(5):
        nudge = Rotation.from_rotvec(rng.normal(size=(4, 3)) * 0.05).as_matrix()
        other = misfit(nudge @ found.rotation, found.shift_angstrom + rng.normal(size=(4, 3)) * 0.1)
        assert np.all(other >= best)
    assert np.allclose(np.linalg.det(found.rotation), 1.0)


@few
@given(seed=seeds)
def test_the_angle_about_an_axis_is_right_handed_and_the_true_one(seed):
    rng = np.random.default_rng(seed)
    case = hinged(rng, n=20, particles=30, degrees=(-150, 150))
    found = fit_rigid_motions(case.positions, case.displacements, case.masses)
    np.testing.assert_allclose(found.angles_about(case.axis, case.pivot), case.angles, atol=1e-6)
    np.testing.assert_allclose(found.angles_about(-case.axis, case.pivot), -case.angles, atol=1e-6)


def test_seen_against_the_axis_positive_angles_turn_counter_clockwise():
    points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 2, 0]])
    moved = turn(points, np.array([0, 0, 1.0]), np.zeros(3), np.array([90.0]))
    np.testing.assert_allclose((points + moved[0])[0], [0, 1, 0], atol=1e-12)
    found = fit_rigid_motions(points, moved, np.ones(4))
    assert found.angles_about([0, 0, 1.0], np.zeros(3))[0] == pytest.approx(90.0)


@few
@given(seed=seeds)
def test_a_turn_of_the_whole_molecule_is_no_motion_of_a_part(seed):
    """The gauge: poses and displacements can trade a rotation of everything."""
    rng = np.random.default_rng(seed)
    core = rng.normal(size=(40, 3)) * 20
    case = hinged(rng, n=25, particles=50, noise=0.1)
    points = np.concatenate([core, case.positions])
    moved = np.concatenate([np.zeros((50, 40, 3)), case.displacements], axis=1)
    rotations = Rotation.from_rotvec(np.deg2rad(rng.normal(size=(50, 3)) * 5)).as_matrix()
    shifts = rng.normal(size=(50, 3)) * 3
    turned = (points + moved) @ np.swapaxes(rotations, 1, 2) + shifts[:, None] - points
    own = fit_rigid_motions(core, turned[:, :40], np.ones(40))
    seen = without_core_motion(points, turned, own)
    np.testing.assert_allclose(seen, moved, atol=1e-8)
    part = fit_rigid_motions(case.positions, seen[:, 40:], case.masses)
    plain = fit_rigid_motions(case.positions, turned[:, 40:], case.masses)
    true = case.angles
    kept = np.corrcoef(part.angles_about(case.axis, case.pivot), true)[0, 1]
    lost = np.corrcoef(plain.angles_about(case.axis, case.pivot), true)[0, 1]
    assert kept > 0.999
    assert lost < 0.97
    # what is not rigid is the same from anywhere
    np.testing.assert_allclose(part.residual_rms_angstrom, plain.residual_rms_angstrom, atol=1e-8)


@few
@given(seed=seeds, foreign=st.integers(0, 25))
def test_gaussians_that_stay_behind_do_not_pull_the_axis(seed, foreign):
    rng = np.random.default_rng(seed)
    case = hinged(rng, n=80, particles=60, noise=0.2)
    moved = case.displacements.copy()
    order = np.argsort(case.positions @ case.axis)[:foreign]
    moved[:, order] = 0.2 * rng.normal(size=(60, foreign, 3))
    trust = rigid_trust(case.positions, moved, case.masses)
    found = fit_rigid_motions(case.positions, moved, case.masses, trust)
    angles = found.angles_about(case.axis, case.pivot)
    assert np.abs(angles - case.angles).mean() < 1.0
    if foreign:
        rest = np.setdiff1d(np.arange(80), order)
        assert trust[order].mean() < 0.5 * trust[rest].mean()


def test_alike_gaussians_are_trusted_alike():
    case = hinged(np.random.default_rng(1), noise=0.5, particles=200)
    trust = rigid_trust(case.positions, case.displacements, case.masses)
    assert trust.max() / trust.min() < 2


def test_points_on_a_line_do_not_turn():
    """About the line they could turn by anything."""
    for points in (np.array([[1.0, 2, 3]]), np.outer(np.arange(5.0), [1, 1, 0])):
        rng = np.random.default_rng(0)
        moved = np.broadcast_to(rng.normal(size=(6, 1, 3)), (6, len(points), 3))
        found = fit_rigid_motions(points, moved, np.ones(len(points)))
        np.testing.assert_allclose(found.rotation, np.broadcast_to(np.eye(3), (6, 3, 3)))
        np.testing.assert_allclose(found.shift_angstrom, moved[:, 0], atol=1e-12)


def test_particles_in_chunks_are_the_same_as_at_once():
    case = hinged(np.random.default_rng(2), noise=1.0, particles=50)
    whole = fit_rigid_motions(case.positions, case.displacements, case.masses)
    pieces = [
        fit_rigid_motions(case.positions, case.displacements[rows], case.masses)
        for rows in (slice(0, 20), slice(20, 50))
    ]
    joined = join_particles(pieces)
    np.testing.assert_allclose(joined.rotation, whole.rotation, atol=1e-12)
    np.testing.assert_allclose(joined.residual_rms_angstrom, whole.residual_rms_angstrom)
    assert len(whole.take(np.arange(50) < 7)) == 7


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        fit_rigid_motions(np.zeros((3, 3)), np.zeros((2, 4, 3)), np.ones(3))
    with pytest.raises(ValueError, match="mass"):
        fit_rigid_motions(np.zeros((3, 3)), np.zeros((2, 3, 3)), np.zeros(3))
