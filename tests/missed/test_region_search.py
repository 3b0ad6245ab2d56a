"""A region that changes together is found in gradients, and nothing is found in noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryoparts.missed.region_search import EXCESS, search_regions
from cryoparts.missed.residual_gradients import ResidualGradients

COUNT, PARTICLES = 300, 3000


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(0)
    positions = random.uniform(-50, 50, size=(COUNT, 3))
    # neighbours ask for the same: projections are blurred
    near = np.exp(-(np.linalg.norm(positions[:, None] - positions, axis=2) ** 2) / (2 * 15.0**2))
    blur = np.linalg.cholesky(near + 1e-3 * np.eye(COUNT))
    return positions, np.ones(COUNT), blur


def noise(blur, seed):
    return np.random.default_rng(seed).normal(size=(PARTICLES, COUNT)) @ blur.T


def piece(positions, centre, count):
    members = np.zeros(COUNT, dtype=bool)
    members[cKDTree(positions).query(positions[centre], k=count)[1]] = True
    return members


def with_change(own, blur, members, strength, seed):
    """Gradients of particles in half of which the members are away."""
    there = np.random.default_rng(seed).random(len(own)) < 0.5
    image = blur @ (blur.T @ members)
    return own + strength * np.outer(there - 0.5, image / np.sqrt(members @ image)), there


def test_nothing_is_found_in_noise(model):
    positions, amplitudes, blur = model
    gradients = ResidualGradients(noise(blur, 1), noise(blur, 2))
    assert search_regions(positions, amplitudes, gradients) == []


def test_two_regions_are_found_with_their_members(model):
    positions, amplitudes, blur = model
    first = piece(positions, int(positions[:, 0].argmin()), 20)
    second = piece(positions, int(positions[:, 0].argmax()), 14)
    own, _ = with_change(noise(blur, 1), blur, first, 3.0, 3)
    own, _ = with_change(own, blur, second, 2.5, 4)
    found = search_regions(positions, amplitudes, ResidualGradients(own, noise(blur, 2)))
    assert len(found) == 2
    for region, true in zip(found, (first, second), strict=True):
        jaccard = (region.members & true).sum() / (region.members | true).sum()
        assert jaccard > 0.5
        assert region.excess > EXCESS


def test_the_excess_is_one_and_a_quarter_of_the_squared_distance(model):
    """Presence in half of the particles has variance 1/4 of the distance's square."""
    positions, amplitudes, blur = model
    members = piece(positions, 5, 20)
    own, _ = with_change(noise(blur, 1), blur, members, 3.0, 3)
    found = search_regions(positions, amplitudes, ResidualGradients(own, noise(blur, 2)))
    assert found[0].excess == pytest.approx(1 + 3.0**2 / 4, rel=0.25)


def test_what_is_common_to_own_and_strange_residuals_is_no_region(model):
    """A region of more noise (a misfit that all particles share) has it in both."""
    positions, amplitudes, blur = model
    members = piece(positions, 5, 20)
    both = [with_change(noise(blur, k), blur, members, 3.0, k)[0] for k in (1, 2)]
    assert search_regions(positions, amplitudes, ResidualGradients(*both)) == []


def test_particles_it_was_not_found_on_judge_a_region(model):
    """A change in the finding half alone is not believed."""
    positions, amplitudes, blur = model
    own = noise(blur, 1)
    changed, _ = with_change(own, blur, piece(positions, 5, 20), 4.0, 3)
    own[0::2] = changed[0::2]
    assert search_regions(positions, amplitudes, ResidualGradients(own, noise(blur, 2))) == []
