"""Where the tests find other programs' files, and one thread for each library."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# before torch and numpy are imported, as the program does
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

pytest_plugins = ["browser", "particle_fixtures", "training_fixtures"]  # in tests/support

REFERENCE_DATA = Path(
    os.environ.get("CRYOPARTS_REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "data")
)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of other programs' files; the test is skipped, visibly, without it."""
    if not REFERENCE_DATA.is_dir():
        pytest.skip(f"no reference data at {REFERENCE_DATA} (set CRYOPARTS_REFERENCE_DATA)")
    return REFERENCE_DATA
