"""A hidden distribution is found beneath errors, and none where the errors are all there is."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.statistics.hidden_normal import hidden_normal

COUNT, SIZE = 600, 4


def known(true: np.ndarray, error: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What is told of vectors known with errors that differ from one to the other and by axis."""
    random = np.random.default_rng(seed)
    deviation = error * random.uniform(0.5, 2.0, true.shape)
    seen = true + deviation * random.normal(size=true.shape)
    information = np.einsum("ni,ij->nij", deviation**-2, np.eye(true.shape[1]))
    return (information @ seen[..., None])[..., 0], information


def along(deviations, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(SIZE, SIZE))).Q
    return (random.normal(size=(COUNT, SIZE)) * deviations) @ axes.T, axes


def test_mean_deviation_and_axis_are_found():
    true, axes = along([5.0, 0.0, 0.0, 0.0])
    mean = np.array([1.0, -2.0, 0.5, 3.0])
    found = hidden_normal(*known(true + mean, 2.0), start=3.0)
    assert found.deviation[0] == pytest.approx(5.0, rel=0.1)
    assert found.deviation[1] < 1.0
    assert abs(found.axes[:, 0] @ axes[:, 0]) > 0.99
    np.testing.assert_allclose(found.mean, mean, atol=0.6)
    assert found.gain[0] > 1.0
    assert found.gain[1] < 0.1


def test_errors_alone_are_no_variation():
    found = hidden_normal(*known(np.zeros((COUNT, SIZE)), 2.0), start=3.0)
    assert (found.gain < 0.1).all()
    assert (found.deviation < 1.0).all()


def test_what_is_never_known_is_not_needed():
    told, information = known(along([5.0, 0.0, 0.0, 0.0])[0], 2.0)
    information[:, 3] = information[:, :, 3] = 0.0
    told[:, 3] = 0.0
    found = hidden_normal(told, information, start=3.0)
    last = np.argmax(np.abs(found.axes[3]))
    assert found.gain[last] == pytest.approx(0.0, abs=0.05)
    assert np.isfinite(found.deviation).all()


def test_a_few_wild_ones_set_nothing():
    true, _ = along([3.0, 0.0, 0.0, 0.0])
    wild = true.copy()
    wild[:: COUNT // 12] += 60.0
    clean, with_wild = (hidden_normal(*known(x, 1.0), start=3.0) for x in (true, wild))
    assert with_wild.deviation[0] < 1.6 * clean.deviation[0]
