"""Pieces of the core that fade: what the images are asked of."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.parts.core_pieces import MOST, NEIGHBOURS, PIECES, core_pieces
from cryoparts.parts.part_labels import CORE, UNASSIGNED, PartLabels

COUNT, SAMPLE, MIN_SIZE = 900, 400, 10


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    return np.random.default_rng(0).uniform(-40, 40, (COUNT, 3))


def region(positions: np.ndarray) -> np.ndarray:
    """A corner with about a tenth of the Gaussians."""
    return (positions > 3).all(axis=1)


def decoded(members: np.ndarray, fades_by: float, noise: float = 0.3, seed: int = 1) -> np.ndarray:
    """Amplitudes (S, N) of a region that is there in half of the particles, faintly."""
    rng = np.random.default_rng(seed)
    there = rng.random(SAMPLE) < 0.5
    own = noise * rng.normal(size=(SAMPLE, 6)) @ rng.normal(size=(6, len(members))) / np.sqrt(6)
    return 1 + own - fades_by * np.outer(~there, members)


def pieces(positions: np.ndarray, amplitudes: np.ndarray | None, labels: np.ndarray | None = None):
    given = np.zeros(len(positions), dtype=np.int64) if labels is None else labels
    nothing = np.zeros(len(given))
    plane = np.zeros((len(given), 2))
    found = PartLabels(given, plane, positions, nothing, nothing, "pca")
    return core_pieces(found, amplitudes, min_part_size=MIN_SIZE)


def test_a_part_fainter_than_the_noise_of_its_gaussians_is_among_the_pieces(positions):
    members = region(positions)
    found = pieces(positions, decoded(members, 0.6))
    best = max(
        (members & (found == k)).sum() / (members | (found == k)).sum()
        for k in range(1, found.max() + 1)
    )
    assert best > 0.8


def test_a_core_that_does_not_fade_has_no_piece(positions):
    assert not pieces(positions, decoded(region(positions), 0.0, noise=0.1)).any()
    assert not pieces(positions, np.ones((SAMPLE, COUNT))).any()
    assert not pieces(positions, None).any()


def test_what_is_not_in_a_piece_keeps_its_label(positions):
    members = region(positions)
    labels = np.zeros(COUNT, dtype=np.int64)
    labels[positions[:, 0] < -20] = 2
    labels[positions[:, 1] < -25] = 1
    labels[positions[:, 2] < -30] = UNASSIGNED
    found = pieces(positions, decoded(members, 0.6), labels)
    assert found.max() > 2
    np.testing.assert_array_equal(found[found <= 2], labels[found <= 2])
    np.testing.assert_array_equal(found[labels > CORE], labels[labels > CORE])


def test_a_faint_part_has_its_gaussians_that_are_like_no_part(positions):
    members = region(positions)
    labels = np.where(members & (np.arange(COUNT) % 3 == 0), UNASSIGNED, CORE)
    found = pieces(positions, decoded(members, 0.6), labels)
    np.testing.assert_array_equal(np.maximum(found, CORE), pieces(positions, decoded(members, 0.6)))
    piece = np.bincount(found[members & (found > CORE)]).argmax()
    assert (labels[found == piece] == UNASSIGNED).mean() > 0.2


def test_half_of_the_core_stays_to_set_the_scale(positions):
    """Every eighth of it fades on its own."""
    octant = ((positions > 0) @ [1, 2, 4]).astype(np.int64)
    amplitudes = sum(decoded(octant == k, 0.8, noise=0.05, seed=k) for k in range(8)) / 8
    found = pieces(positions, 1 + 8 * (amplitudes - 1))
    assert found.max() >= 3
    assert (found == CORE).sum() >= MOST * COUNT


def test_a_small_core_is_not_divided(positions):
    labels = np.ones(COUNT, dtype=np.int64)
    labels[: PIECES * NEIGHBOURS - 1] = CORE
    np.testing.assert_array_equal(
        pieces(positions, decoded(region(positions), 0.8), labels), labels
    )


def test_a_core_of_two_islands_is_divided_without_a_word(positions, recwarn):
    apart = positions + np.where(positions[:, :1] > 0, 1000.0, 0.0)
    assert pieces(apart, decoded(region(positions), 0.6)).any()
    assert not recwarn.list
