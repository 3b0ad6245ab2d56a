from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.parts.changes import gaussian_features, measure_changes
from cryoparts.parts.embedding import embed
from cryoparts.statistics.principal_components import principal_scores


@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_components_keep_all_distances(count, width, seed):
    features = np.random.default_rng(seed).normal(size=(count, width))
    scores = principal_scores(features, 100)
    original = ((features[:, None] - features[None]) ** 2).sum(-1)
    reduced = ((scores[:, None] - scores[None]) ** 2).sum(-1)
    np.testing.assert_allclose(reduced, original, atol=1e-8)
    variance = scores.var(axis=0)
    assert (np.diff(variance) <= 1e-9).all()


def test_number_of_modes_is_the_number_of_independent_changes():
    rng = np.random.default_rng(1)
    group = np.arange(400) // 100
    present = rng.random((300, 4)) < 0.5
    present[:, 0] = True
    amplitudes = 0.2 + 0.8 * present[:, group] + 0.15 * rng.normal(size=(300, 400))
    changes = measure_changes(rng.normal(size=(400, 3)), amplitudes)
    assert changes.n_modes == 3
    # rms over the particles: 0.4 for a part seen in half of the particles
    rms = np.sqrt((changes.modes**2).sum(axis=(1, 2)))
    assert rms[group == 0].max() < 0.1
    np.testing.assert_allclose(rms[group > 0], 0.4, atol=0.06)


def test_a_rigid_rotation_has_one_local_rotation():
    rng = np.random.default_rng(2)
    body = np.arange(500) < 200
    positions = rng.normal(size=(500, 3)) * 20
    positions[~body, 0] += 150  # a core that stays
    axis = np.array([0.48, 0.6, 0.64])
    angle = rng.normal(size=(50, 1, 1)) * 0.05
    moved = angle * np.cross(axis, positions) * body[:, None]
    moved += 1e-3 * rng.normal(size=moved.shape)
    changes = measure_changes(positions, displacements=moved)
    features = gaussian_features(changes)[body]
    local = features[:, 3 * changes.n_modes :]
    displaced = features[:, : 3 * changes.n_modes]
    spread = np.sqrt(local.var(axis=0).sum())
    assert spread < 0.15 * np.sqrt((local.mean(axis=0) ** 2).sum())
    assert np.sqrt(displaced.var(axis=0).sum()) > 3 * spread
    # the rotation's rms angle times the model's radius, in displacement units; along the axis
    radius = np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())
    expected = np.std(angle) * radius / changes.displacement_unit_angstrom
    vector = np.median(local, axis=0).reshape(3, -1)
    square = vector @ vector.T
    np.testing.assert_allclose(square / np.trace(square), np.outer(axis, axis), atol=0.02)
    assert 0.75 < np.sqrt(np.trace(square)) / expected < 1.02  # a little damped


def test_umap_separates_what_is_apart_and_repeats_itself():
    rng = np.random.default_rng(3)
    group = np.arange(150) // 50
    features = np.eye(3)[group] * 5 + 0.1 * rng.normal(size=(150, 3))
    first, second = (embed(features, method="umap", seed=4) for _ in range(2))
    assert first.method == "umap"
    np.testing.assert_array_equal(first.coordinates, second.coordinates)
    centres = np.stack([first.coordinates[group == g].mean(axis=0) for g in range(3)])
    nearest = ((first.coordinates[:, None] - centres) ** 2).sum(-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, group)


@pytest.mark.parametrize("count", [1, 2, 14])
def test_few_points_fall_back_to_components(count):
    layout = embed(np.random.default_rng(0).normal(size=(count, 6)), method="umap")
    assert layout.method == "pca"
    assert layout.coordinates.shape == (count, 2)


def test_what_umap_compiles_is_kept_on_disk():
    points = np.random.default_rng(8).normal(size=(80, 6))
    assert embed(points).method == "umap"
    from umap import umap_

    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths):
        assert "umap-learn-" in function.stats.cache_path
