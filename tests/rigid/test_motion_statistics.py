from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.rigid.motion_statistics import ScrewError, distribution, mean_screw
from cryoparts.rigid.rigid_motion import fit_rigid_motions
from moving_parts import axis_error, hinged, off_axis, turn

seeds = st.integers(0, 10**6)


@settings(max_examples=15, deadline=None)
@given(
    seed=seeds,
    noise=st.floats(0, 2.0),
    limits=st.sampled_from([(-12.0, 12.0), (0.0, 25.0), (10.0, 25.0)]),
)
def test_axis_and_angles_are_found_through_noise(seed, noise, limits):
    """The accuracy that is promised: axis within 5 degrees, angles correlated above 0.95."""
    case = hinged(np.random.default_rng(seed), degrees=limits, noise=noise)
    found = fit_rigid_motions(case.positions, case.displacements, case.masses)
    screw = mean_screw(found, resamples=20)
    assert axis_error(screw.axis, case.axis) < 5
    angles = found.angles_about(screw.axis, screw.pivot)
    assert abs(np.corrcoef(angles, case.angles)[0, 1]) > 0.95
    assert off_axis(case.pivot, screw.pivot, screw.axis) < 5
    assert screw.share > 0.75  # the rest is noise, of up to 2 Å
    side = np.sign(screw.axis @ case.axis)
    assert np.abs(side * angles - case.angles).mean() < 2.5


@settings(max_examples=8, deadline=None)
@given(seed=seeds, slide=st.floats(-0.5, 0.5))
def test_a_slide_along_the_axis_is_told_from_the_turn(seed, slide):
    case = hinged(np.random.default_rng(seed), slide=slide)
    found = fit_rigid_motions(case.positions, case.displacements, case.masses)
    screw = mean_screw(found, resamples=5)
    assert axis_error(screw.axis, case.axis) < 0.5
    assert screw.slide_angstrom_per_degree == pytest.approx(slide, abs=0.01)
    assert off_axis(case.pivot, screw.pivot, screw.axis) < 1.0


def test_the_pivot_is_the_point_of_the_axis_nearest_to_the_part():
    case = hinged(np.random.default_rng(3), reach=40)
    found = fit_rigid_motions(case.positions, case.displacements, np.ones(60))
    screw = mean_screw(found, resamples=5)
    middle = case.positions.mean(axis=0) + found.shift_angstrom.mean(axis=0)
    assert (middle - screw.pivot) @ screw.axis == pytest.approx(0, abs=1e-6)
    assert screw.axis[np.abs(screw.axis).argmax()] > 0
    assert np.linalg.norm(screw.axis) == pytest.approx(1)


def test_uncertainty_covers_the_error_and_shrinks_with_particles():
    """95% of the truths should be inside; a few cases in 14 may be outside."""
    covered, errors = 0, {30: [], 300: []}
    for seed in range(14):
        for particles in errors:
            case = hinged(np.random.default_rng(seed), particles=particles, noise=3.0, n=30)
            found = fit_rigid_motions(case.positions, case.displacements, np.ones(30))
            screw = mean_screw(found, seed=seed, resamples=60)
            errors[particles].append(screw.axis_error_degrees)
            if particles == 300:
                covered += axis_error(screw.axis, case.axis) <= 1.2 * screw.axis_error_degrees
    assert covered >= 12
    assert np.mean(errors[300]) < 0.5 * np.mean(errors[30])


def test_a_mere_shift_has_a_far_axis_and_no_turn_of_its_own():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(50, 3)) * 12
    direction = np.array([0.6, 0.8, 0.0])
    moved = (rng.uniform(-8, 8, 300)[:, None] * direction)[:, None] * np.ones((1, 50, 1))
    noisy = moved + 0.3 * rng.normal(size=(300, 50, 3))
    screw = mean_screw(fit_rigid_motions(points, noisy, np.ones(50)), resamples=5)
    assert screw.turning_share < 0.01
    assert np.linalg.norm(screw.pivot) > 200 or axis_error(screw.axis, direction) < 5
    line = np.outer(np.arange(4.0), [1, 0, 0])
    stiff = mean_screw(fit_rigid_motions(line, moved[:, :4], np.ones(4)), resamples=5)
    assert not stiff.turns
    assert axis_error(stiff.axis, direction) < 1e-3


def test_what_two_axes_share():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(60, 3)) * 15
    angles = rng.uniform(-10, 10, (2, 400))
    first, second = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    moved = turn(points, first, np.zeros(3), angles[0]) + turn(
        points, second, np.zeros(3), 0.5 * angles[1]
    )
    screw = mean_screw(fit_rigid_motions(points, moved, np.ones(60)), resamples=5)
    assert axis_error(screw.axis, first) < 8
    assert 0.7 < screw.share < 0.9


def test_distribution_and_refusal():
    summary = distribution(np.arange(101.0))
    assert summary["mean"] == summary["quantile_50"] == 50
    assert (summary["quantile_05"], summary["quantile_95"]) == (5, 95)
    case = hinged(np.random.default_rng(6), particles=2)
    with pytest.raises(ValueError, match="at least 3"):
        mean_screw(fit_rigid_motions(case.positions, case.displacements, case.masses))


def test_the_error_of_a_screw_is_that_of_what_it_was_found_from():
    """The jackknife of a mean is its standard error, here of two directions across the axis."""
    rng = np.random.default_rng(7)
    vectors = np.array([0, 0, 1.0, 0, 5.0, 0]) + 0.1 * rng.normal(size=(400, 6))
    without = (vectors.sum(axis=0) - vectors) / 399
    found = ScrewError.of(vectors.mean(axis=0), without)
    across = np.sqrt(-np.log(0.05)) * np.sqrt(2) * 0.1 / np.sqrt(400)
    assert found.axis_degrees == pytest.approx(np.rad2deg(across), rel=0.1)
    # the axis lies 5 Å off: it is displaced by the shift, and by what the turn is long
    assert found.pivot_angstrom == pytest.approx(across * np.sqrt(1 + 5**2 / 2), rel=0.2)
    assert ScrewError.of(vectors[0], vectors[:1].repeat(10, 0)) == ScrewError(0.0, 0.0)


def test_an_error_from_beside_is_added():
    case = hinged(np.random.default_rng(8), noise=1.0)
    motions = fit_rigid_motions(case.positions, case.displacements, case.masses)
    alone, beside = mean_screw(motions), mean_screw(motions, beside=ScrewError(3.0, 4.0))
    assert beside.axis_error_degrees == pytest.approx(np.hypot(alone.axis_error_degrees, 3.0))
    assert beside.pivot_error_angstrom == pytest.approx(np.hypot(alone.pivot_error_angstrom, 4.0))
    np.testing.assert_array_equal(alone.axis, beside.axis)
