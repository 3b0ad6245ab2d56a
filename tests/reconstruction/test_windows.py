from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.reconstruction.windows import effective_count, soft_windows


@given(st.integers(3, 9), st.integers(9, 300), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_particle_counts_once_and_every_frame_alike(frames, count, seed):
    coordinate = np.random.default_rng(seed).normal(size=count) ** 3
    weights = soft_windows(coordinate, frames)
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    np.testing.assert_allclose(weights.sum(axis=1), count / frames, rtol=0.15, atol=1.0)
    for i in range(frames):
        for j in range(i + 2, frames):
            assert not (weights[i] * weights[j]).any()
    # frames follow the coordinate
    means = weights @ np.argsort(np.argsort(coordinate)) / weights.sum(axis=1)
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_impossible_numbers_of_frames(frames):
    with pytest.raises(InputError, match="--frames"):
        soft_windows(np.arange(10.0), frames)


def test_effective_count():
    assert effective_count(np.full(20, 0.3)) == pytest.approx(20)
    assert effective_count([1, 1, 0, 0]) == pytest.approx(2)
    assert effective_count([]) == 0
