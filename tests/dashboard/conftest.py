"""A dashboard of a small run for every test."""

import pytest

from dashboard_of import dashboard_of
from run_of_particles import make_run


@pytest.fixture
def server(tmp_path):
    with dashboard_of(make_run(tmp_path / "run").root) as listening:
        yield listening
