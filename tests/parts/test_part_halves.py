"""Parts divided in two: what the images are asked of."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.parts.part_halves import part_halves
from cryoparts.parts.part_labels import PartLabels

COUNT, SAMPLE, MIN_SIZE = 600, 400, 10


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    return np.random.default_rng(0).uniform(-40, 40, (COUNT, 3))


def found_as(positions: np.ndarray, labels: np.ndarray, fades: float = 0.5) -> PartLabels:
    change = np.full(len(labels), fades)
    return PartLabels(
        labels, np.zeros((len(labels), 2)), positions, change, np.zeros(len(labels)), "pca"
    )


def decoded(*members: np.ndarray, noise: float = 0.3, seed: int = 1) -> np.ndarray:
    """Amplitudes (S, N) of regions that come and go on their own."""
    rng = np.random.default_rng(seed)
    amplitudes = 1 + noise * rng.normal(size=(SAMPLE, len(members[0])))
    for region in members:
        amplitudes -= 0.8 * np.outer(rng.random(SAMPLE) < 0.5, region)
    return amplitudes


def halves(positions: np.ndarray, labels: np.ndarray, amplitudes, parts, fades: float = 0.5):
    found = found_as(positions, labels, fades)
    return part_halves(found, amplitudes, parts, min_part_size=MIN_SIZE)


def test_two_regions_that_came_as_one_part_are_its_halves(positions):
    upper = positions[:, 2] > 20
    beside = (positions[:, 2] > 0) & ~upper
    labels = (upper | beside).astype(np.int64)
    found, half_of = halves(positions, labels, decoded(upper, beside), [1])
    assert half_of == {2: 1}
    smaller, larger = sorted((upper, beside), key=np.sum)
    assert (found[smaller] == 2).mean() > 0.95
    assert (found[larger] == 1).mean() > 0.95
    assert (found == 2).sum() <= (found == 1).sum()
    np.testing.assert_array_equal(found > 0, labels > 0)


def test_parts_that_are_not_asked_keep_their_labels(positions):
    labels = np.digitize(positions[:, 2], [-10, 10]).astype(np.int64)
    regions = [(labels == part) & (positions[:, 0] > 0) for part in (1, 2)]
    amplitudes = decoded(*regions, labels == 1, labels == 2)
    found, half_of = halves(positions, labels, amplitudes, [2])
    assert half_of == {3: 2}
    np.testing.assert_array_equal(found[labels != 2], labels[labels != 2])
    assert halves(positions, labels, amplitudes, [1, 2])[1] == {3: 1, 4: 2}


@pytest.mark.parametrize("why", ["small", "does not fade", "nothing varies", "one Gaussian"])
def test_what_cannot_be_two_is_left_whole(positions, why):
    upper, beside = positions[:, 2] > 20, (positions[:, 2] > 0) & (positions[:, 2] <= 20)
    labels, fades = (upper | beside).astype(np.int64), 0.5
    amplitudes: np.ndarray | None = decoded(upper, beside)
    if why == "small":
        labels[np.flatnonzero(labels)[23:]] = 0
    elif why == "does not fade":
        fades = 0.1
    elif why == "one Gaussian":
        corner = np.abs(positions - 40).sum(axis=1).argmin()  # its own half
        amplitudes = decoded(np.arange(COUNT) == corner, noise=0.01)
    else:
        amplitudes = None
    found, half_of = halves(positions, labels, amplitudes, [1], fades)
    assert not half_of
    np.testing.assert_array_equal(found, labels)
