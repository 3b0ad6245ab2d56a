from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cryoparts.particles.prepared import PreparedParticles

sys.path.insert(0, str(Path(__file__).parent))
from training_example import QUICK, Example, make_example


@pytest.fixture
def example(tmp_path) -> Example:
    return make_example(tmp_path / "run", QUICK)


@pytest.fixture
def particles(example) -> PreparedParticles:
    return PreparedParticles.open(example.run.particles_path)
