"""Run folders with a known molecule in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabricated_run import Made, make_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def fake_run(tmp_path: Path) -> Callable[..., Made]:
    """Makes a run folder with the given properties."""

    def make(name: str = "run", **properties: object) -> Made:
        return make_run(tmp_path / name, **properties)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run in which every step has run; tests must not change it."""
    return make_run(tmp_path_factory.mktemp("whole") / "run", particles=1200)
