from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryoparts.parts.segmentation import segment_gaussians
from decoder_outputs import composition, motion


def recovered(segments: np.ndarray, labels: np.ndarray) -> int:
    """Number of true segments (the core not counted) met by a part with Jaccard index > 0.5."""
    met = 0
    for segment in range(1, segments.max() + 1):
        inside = segments == segment
        overlap = [
            (inside & (labels == part)).sum() / (inside | (labels == part)).sum()
            for part in range(1, labels.max() + 1)
        ]
        met += max(overlap, default=0.0) > 0.5
    return met


# the last seed has segments of 1% of the Gaussians beside one of 28%
@pytest.mark.parametrize("seed", [1, 5])
def test_nine_pieces_are_found_by_umap(seed):
    truth = composition(seed)
    found = segment_gaussians(truth.positions, truth.amplitudes, method="umap")
    assert found.method == "umap"
    assert found.n_parts == 8
    assert recovered(truth.segments, found.labels) == 8
    assert adjusted_rand_score(truth.segments, found.labels) >= 0.95
    # the core is the piece that never changes, the others follow by size
    assert np.mean(truth.segments[found.labels == 0] == 0) > 0.9
    sizes = [found.members(part).sum() for part in range(1, 9)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_nine_pieces_are_found_by_components(seed):
    truth = composition(seed, particles=250)
    found = segment_gaussians(truth.positions, truth.amplitudes, method="pca")
    assert found.n_parts == 8
    sizes = [found.members(part).sum() for part in range(1, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert recovered(truth.segments, found.labels) == 8
    assert adjusted_rand_score(truth.segments, found.labels) >= 0.95


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_three_rotating_regions_are_found(seed):
    truth = motion(seed)
    found = segment_gaussians(truth.positions, displacements=truth.displacements)
    assert found.n_parts == 3
    assert recovered(truth.segments, found.labels) == 3
    assert adjusted_rand_score(truth.segments, found.labels) >= 0.95


def test_fading_and_moving_regions_together():
    faded, moved = composition(2, 600, 4, particles=200), motion(2, 600, particles=200)
    quiet = np.zeros((200, 600, 3))
    still = np.ones((200, 600))
    with_fading = segment_gaussians(faded.positions, faded.amplitudes, quiet, method="pca")
    with_moving = segment_gaussians(moved.positions, still, moved.displacements, method="umap")
    assert adjusted_rand_score(faded.segments, with_fading.labels) >= 0.9
    assert adjusted_rand_score(moved.segments, with_moving.labels) >= 0.9


def moved_in_halves(truth, counted):
    """Displacements (S, N, 3) by which the halves of each part are moved by about 1.7 Å.

    As much as `counted` (S, N) says, each half of each part its own way in each particle.
    """
    random = np.random.default_rng(4)
    moved = np.zeros((*counted.shape, 3))
    for segment in range(1, truth.segments.max() + 1):
        inside = truth.segments == segment
        upper = truth.positions[:, 2] > np.median(truth.positions[inside, 2])
        for half in (inside & upper, inside & ~upper):
            way = random.normal(size=(len(counted), 1, 3))
            moved[:, half] = way * counted[:, half, None]
    return moved


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_halves_that_lie_apart_only_where_they_are_away_are_one_part(method):
    truth = composition(2, 600, 4, particles=200)
    moved = moved_in_halves(truth, truth.amplitudes < 0.5)
    found = segment_gaussians(truth.positions, truth.amplitudes, moved, method=method)
    assert found.n_parts == 3
    assert adjusted_rand_score(truth.segments, found.labels) >= 0.9


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_halves_that_move_apart_where_they_are_there_are_two_parts(method):
    truth = composition(2, 600, 4, particles=200)
    moved = moved_in_halves(truth, truth.amplitudes > 0.5)
    found = segment_gaussians(truth.positions, truth.amplitudes, moved, method=method)
    assert found.n_parts == 6


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_noise_and_a_global_scale_are_no_parts(method):
    rng = np.random.default_rng(3)
    positions = rng.normal(size=(300, 3)) * 40
    scale = 1 + 0.3 * rng.normal(size=(150, 1))
    amplitudes = scale * np.ones(300) + 0.2 * rng.normal(size=(150, 300))
    found = segment_gaussians(positions, amplitudes, method=method)
    assert found.n_parts == 0
    assert (found.labels == 0).all()


def test_a_common_drift_is_no_part():
    rng = np.random.default_rng(4)
    positions = rng.normal(size=(300, 3)) * 40
    shifts = 5 * rng.normal(size=(100, 1, 3)) + 0.3 * rng.normal(size=(100, 300, 3))
    found = segment_gaussians(positions, displacements=shifts, method="pca")
    assert found.n_parts == 0


def test_slow_small_drifts_between_gaussians_are_no_parts():
    """Smooth patterns that stay below the smallest change that counts."""
    rng = np.random.default_rng(5)
    positions = rng.normal(size=(400, 3)) * 40
    pattern = np.sin(positions[:, 0] / 30)
    amplitudes = 1 + 0.05 * rng.normal(size=(100, 1)) * pattern
    found = segment_gaussians(positions, amplitudes, method="pca")
    assert found.n_parts == 0


def test_few_gaussians():
    rng = np.random.default_rng(0)
    positions = np.concatenate([rng.normal(size=(6, 3)), rng.normal(size=(6, 3)) + 30])
    present = rng.random((40, 1)) < 0.5
    amplitudes = np.ones((40, 12))
    amplitudes[:, 6:] = np.where(present, 1.0, 0.2)
    amplitudes += 0.05 * rng.normal(size=amplitudes.shape)
    found = segment_gaussians(positions, amplitudes)
    assert found.method == "pca"
    assert adjusted_rand_score(np.arange(12) >= 6, found.labels) == 1.0


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_handful_of_gaussians_gives_an_answer(count):
    rng = np.random.default_rng(count)
    found = segment_gaussians(
        rng.normal(size=(count, 3)) * 20,
        1 + 0.3 * rng.normal(size=(5, count)),
        rng.normal(size=(5, count, 3)),
    )
    assert len(found) == count
    assert found.labels.min() >= -1


def test_the_same_arguments_give_the_same_parts():
    truth = composition(7, 400, 4, particles=100)
    first = segment_gaussians(truth.positions, truth.amplitudes, seed=1)
    second = segment_gaussians(truth.positions, truth.amplitudes, seed=1)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.embedding, second.embedding)


def test_arguments_are_not_written_to():
    truth = composition(8, 300, 3, particles=60)
    positions, amplitudes = truth.positions.copy(), truth.amplitudes.copy()
    segment_gaussians(positions, amplitudes, method="pca")
    np.testing.assert_array_equal(positions, truth.positions)
    np.testing.assert_array_equal(amplitudes, truth.amplitudes)


def test_parts_in_two_places_that_fade_together_are_one_part():
    rng = np.random.default_rng(9)
    positions = np.concatenate([rng.random(size=(100, 3)) * 20 + [x, 0, 0] for x in (-60, 0, 60)])
    present = rng.random((80, 1)) < 0.5
    amplitudes = 1 + 0.1 * rng.normal(size=(80, 300))
    amplitudes[:, :100] -= 0.8 * ~present
    amplitudes[:, 200:] -= 0.8 * ~present
    found = segment_gaussians(positions, amplitudes, method="pca")
    assert found.n_parts == 1
    assert found.pieces(1) == 2
    assert set(np.flatnonzero(found.labels == 1)) == {*range(100), *range(200, 300)}


@pytest.mark.parametrize("method", ["umap", "pca"])
def test_a_part_too_small_for_a_cluster_is_found_by_being_like_no_other(method):
    truth = composition(1)
    core = np.flatnonzero(truth.segments == 0)
    inside = truth.positions[core].mean(axis=0)
    distance = np.linalg.norm(truth.positions[core] - inside, axis=1)
    small = core[np.argsort(distance)[:14]]  # 0.7% of 2,048
    amplitudes = truth.amplitudes.copy()
    gone = np.random.default_rng(2).random(len(amplitudes)) < 0.5
    amplitudes[np.ix_(gone, small)] -= 0.9
    found = segment_gaussians(truth.positions, amplitudes, method=method)
    assert found.n_parts == 9
    assert set(np.flatnonzero(found.labels == 9)) == set(small)
    # the others are as they are where no part may be so small
    larger = segment_gaussians(truth.positions, amplitudes, method=method, min_part_size=20)
    assert larger.n_parts == 8
    assert np.mean(found.labels == larger.labels) > 0.99


def test_nothing_to_segment_by_is_refused():
    with pytest.raises(ValueError, match="give amplitudes"):
        segment_gaussians(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="shape"):
        segment_gaussians(np.zeros((5, 3)), np.zeros((4, 6)))
