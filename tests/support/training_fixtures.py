"""A small run that can be trained, for every folder of tests that needs one."""

from __future__ import annotations

import pytest

from cryoparts.particles.prepared import PreparedParticles
from training_example import QUICK, Example, make_example


@pytest.fixture
def example(tmp_path) -> Example:
    return make_example(tmp_path / "run", QUICK)


@pytest.fixture
def particles(example) -> PreparedParticles:
    return PreparedParticles.open(example.run.particles_path)
