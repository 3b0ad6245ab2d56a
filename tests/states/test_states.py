from __future__ import annotations

import numpy as np
import pytest

from cryoparts.states.states import choose_number


@pytest.mark.parametrize("seed", range(3))
def test_two_states_with_long_tails_stay_two(seed):
    """Presence and absence, each with particles on the way to the other."""
    random = np.random.default_rng(seed)
    present = 1 - random.exponential(0.07, 1000)
    absent = random.exponential(0.05, 1000)
    along = np.concatenate([present, absent])[:, None]
    points = np.hstack([along, 0.03 * random.normal(size=(2000, 3))])
    assert choose_number(points, 0) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_continuous_motion_has_no_states(seed):
    random = np.random.default_rng(seed)
    points = np.hstack([random.uniform(-1, 1, (1500, 1)), 0.1 * random.normal(size=(1500, 2))])
    assert choose_number(points, 0) == 1


def test_three_separate_states_are_three():
    random = np.random.default_rng(0)
    centres = np.repeat([0.0, 1.0, 2.0], 500)[:, None]
    points = np.hstack([centres, np.zeros((1500, 1))]) + 0.12 * random.normal(size=(1500, 2))
    assert choose_number(points, 0) == 3
