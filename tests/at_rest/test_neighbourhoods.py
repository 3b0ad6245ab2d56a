"""A deformation followed by neighbourhoods: exact where rigid, the better the smaller they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.at_rest.make_maps import Making, group_particles, make_maps
from cryoparts.at_rest.neighbourhoods import CorrectedField, find_neighbourhoods, follow
from cryoparts.at_rest.run_regions import make_regions, molecule_mask
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from toy_particles import Blobs, toy_particles

COUNT = 120


def rod(n: int = 240) -> GaussianModel:
    rng = np.random.default_rng(0)
    points = np.stack([rng.normal(size=n) * 7, rng.normal(size=n) * 7, rng.uniform(-52, 52, n)], 1)
    return GaussianModel.of(points, rng.uniform(0.5, 1.5, n), np.full(n, 4.0))


def bent(points: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Displacements (P, n, 3) by an arc in the plane of x and z: exact, about z = 0."""
    x, z = points[:, 0], points[:, 2]
    angle = curvature[:, None] * z
    safe = np.where(np.abs(curvature) < 1e-9, 1e-9, curvature)[:, None]
    middle_x, middle_z = (1 - np.cos(angle)) / safe, np.sin(angle) / safe
    new_x, new_z = middle_x + x * np.cos(angle), middle_z - x * np.sin(angle)
    return np.stack([new_x - x, 0 * angle, new_z - z], axis=2)


def test_every_gaussian_is_in_one_neighbourhood():
    found = find_neighbourhoods(rod(), 12, seed=0)
    members = np.concatenate([one.members for one in found])
    np.testing.assert_array_equal(np.sort(members), np.arange(240))
    assert len(found) == 12
    assert all(set(one.members) <= set(one.support) for one in found)
    assert len(find_neighbourhoods(rod(30), 24, seed=0)) <= 3


def test_a_rigid_motion_is_followed_exactly():
    model, rng = rod(), np.random.default_rng(1)
    rotation = Rotation.from_rotvec(rng.normal(size=(COUNT, 3)) * 0.2).as_matrix()
    shift = rng.normal(size=(COUNT, 3)) * 3
    places = model.positions.astype(float)
    moved = np.einsum("pij,nj->pni", rotation, places) + shift[:, None] - places
    bodies, left = follow(
        model, find_neighbourhoods(model, 6, 0), moved.__getitem__, np.ones(COUNT)
    )
    assert left < 1e-6
    for body in bodies:
        np.testing.assert_allclose(body.motion.rotation, rotation, atol=1e-6)
        np.testing.assert_allclose(body.motion.offset_angstrom, shift, atol=1e-5)


def test_more_neighbourhoods_leave_less_of_a_bend():
    model = rod()
    curvature = np.random.default_rng(2).uniform(-1, 1, COUNT) * np.deg2rad(30) / 52
    moved = bent(model.positions.astype(float), curvature)
    left = [
        follow(model, find_neighbourhoods(model, k, 0), moved.__getitem__, np.ones(COUNT))[1]
        for k in (1, 6, 24)
    ]
    size = float(np.sqrt((moved**2).sum(2).mean()))
    assert left[2] < 0.6 * left[1] < 0.2 * left[0]
    assert left[2] < 0.06 * size


def test_the_parts_are_moved_as_the_images_say():
    """The decoder's rigid part is replaced, what it adds to it stays."""
    model, rng = rod(60), np.random.default_rng(3)
    own = np.arange(30)
    places = model.positions.astype(float)
    rotation = Rotation.from_rotvec(rng.normal(size=(COUNT, 3)) * 0.1).as_matrix()
    body = Body(
        "part_1", "p", own, BodyMotion(np.zeros(3), rotation, np.ones((COUNT, 3))), np.ones(COUNT)
    )
    decoded = 0.0 * rng.normal(size=(COUNT, 60, 3))
    decoded[:, own[0]] += 0.5
    moved = CorrectedField(model, [body], decoded.__getitem__)(np.arange(COUNT))
    told = np.einsum("pij,nj->pni", rotation, places[own]) + 1.0 - places[own]
    assert np.abs(moved[:, own[1:]] - told[:, 1:]).max() < 0.25
    assert np.abs(moved[:, 30:]).max() == 0.0
    assert np.linalg.norm(moved[:, 0] - told[:, 0], axis=1).min() > 0.5


@pytest.fixture(scope="module")
def shown():
    """Images of a rod that bends, with the exact field: the map at rest, and the truth."""
    model = rod(120)
    blobs = Blobs(model.positions.astype(float), model.amplitudes.astype(float), 4.0)
    curvature = np.random.default_rng(4).uniform(-1, 1, 400) * np.deg2rad(45) / 52
    moved = bent(blobs.positions, curvature)
    box, pixel = 36, 4.0
    particles = toy_particles(blobs, 400, box, pixel, noise=2.0, displaced=moved)
    bodies, _ = follow(model, find_neighbourhoods(model, 12, 0), moved.__getitem__, np.ones(400))
    regions = make_regions(model, [("core", "core", np.arange(120))], box, pixel)
    groups = group_particles(particles, np.ones(400), [], bodies)
    mask = molecule_mask(model, box, pixel)
    return make_maps(particles, groups, regions, model, mask, Making()), blobs.map(box, pixel), mask


def test_the_deformed_map_is_nearer_to_the_truth(shown):
    made, truth, mask = shown
    assert made.judged[0].kept == "deformable"

    def agreement(density):
        return np.asarray(fourier_shell_correlation(density * mask, truth * mask))[1:14].mean()

    assert agreement(made.composite.volumes.whole) > agreement(made.consensus.whole) + 0.1
    assert agreement(made.composite.volumes.whole) > 0.9


def test_neighbourhoods_that_do_not_move_are_the_consensus(shown):
    made, _, _ = shown
    still = replace(made.judged[0], kept="consensus")
    assert still.before is still.qualities["consensus"]
