from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def positions() -> np.ndarray:
    """300 points in a ball of 60 Å."""
    random = np.random.default_rng(3)
    points = random.normal(size=(300, 3))
    radius = 60 * random.random((300, 1)) ** (1 / 3)
    return (radius * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
