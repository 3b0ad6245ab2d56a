"""The shape at rest is what particles show once their motions are undone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.rigid.rest_shape import rest_shape
from cryoparts.rigid.rigid_motion import fit_rigid_motions, undone


def turned(points, rotation, shift):
    return np.einsum("pij,nj->pni", rotation, points) + shift[:, None]


@given(st.integers(0, 10_000), st.floats(1.0, 40.0))
@settings(max_examples=20, deadline=None)
def test_rigid_motions_of_any_size_leave_the_shape(seed, degrees):
    rng = np.random.default_rng(seed)
    neutral = rng.normal(size=(30, 3)) * 12 + rng.normal(size=3) * 20
    misfit = rng.normal(size=(30, 3))
    about = fit_rigid_motions(neutral, misfit[None], np.ones(30))
    shape = undone((neutral + misfit)[None], about)[0]  # no rigid motion lies between
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * rng.normal(size=(80, 3))).as_matrix()
    rotation = np.concatenate([rotation, rotation.swapaxes(1, 2)])
    moved = turned(shape, rotation, rng.normal(size=(160, 3)) * 3)
    found = rest_shape(neutral, moved - neutral, np.ones(30), np.ones(30))
    # as a body, whatever way it is turned: the mean motion may not be none
    about = fit_rigid_motions(shape, (found - shape)[None], np.ones(30))
    np.testing.assert_allclose(undone(found[None], about)[0], shape, atol=0.02)


def test_angles_about_an_axis_are_not_shortened():
    """As they are if the mean over the particles is taken for the shape at rest."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(50, 3)) * 10 + [60.0, 0.0, 0.0]
    angle = rng.uniform(-30, 30, 400)
    rotation = Rotation.from_rotvec(angle[:, None] * [0, 0, 1], degrees=True).as_matrix()
    moved = turned(points, rotation, np.zeros((400, 3)))

    def slope(rest):
        fitted = fit_rigid_motions(rest, moved - rest, np.ones(50))
        return np.polyfit(angle, np.rad2deg(fitted.rotation_vectors[:, 2]), 1)[0]

    rest = rest_shape(points, moved - points, np.ones(50), np.ones(50))
    assert abs(slope(rest) - 1.0) < 1e-3
    relative = moved - moved.mean(axis=0)
    fitted = fit_rigid_motions(points, relative, np.ones(50))
    assert np.polyfit(angle, np.rad2deg(fitted.rotation_vectors[:, 2]), 1)[0] < 0.97


@given(st.integers(0, 10_000), st.floats(0.0, 35.0))
@settings(max_examples=20, deadline=None)
def test_it_lies_on_the_way_of_a_hinge_whatever_the_neutral_model_is(seed, degrees):
    """Not inside the arc, as a consensus of all particles does."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(40, 3)) * 10
    pivot, axis = rng.normal(size=3) * 40, rng.normal(size=3)
    angle = np.deg2rad(rng.uniform(-degrees, degrees, 300))
    angle = np.concatenate([angle, -angle])
    rotation = Rotation.from_rotvec(angle[:, None] * axis / np.linalg.norm(axis)).as_matrix()
    moved = turned(shape - pivot, rotation, np.broadcast_to(pivot, (600, 3)))
    neutral = moved.mean(axis=0)  # as a consensus has it
    found = rest_shape(neutral, moved - neutral, np.ones(40), np.ones(40))
    np.testing.assert_allclose(found, shape, atol=0.02)


def test_a_part_that_is_only_shifted_rests_in_the_middle():
    rng = np.random.default_rng(5)
    points, shift = rng.normal(size=(12, 3)) * 9, rng.normal(size=(500, 3))
    found = rest_shape(points, np.repeat(shift[:, None], 12, axis=1), np.ones(12), np.ones(12))
    np.testing.assert_allclose(found, points + shift.mean(axis=0), atol=1e-6)


def test_what_goes_nowhere_stays():
    points = np.random.default_rng(2).normal(size=(12, 3))
    found = rest_shape(points, np.zeros((5, 12, 3)), np.ones(12), np.ones(12))
    np.testing.assert_allclose(found, points, atol=1e-12)
