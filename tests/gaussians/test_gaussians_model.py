"""The model's own rules and its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel

if TYPE_CHECKING:
    from pathlib import Path


def test_saved_and_loaded_models_are_equal(tmp_path: Path) -> None:
    model = GaussianModel.of([[1.0, 2, 3], [4, 5, 6]], [1.5, 0.0], [2.0, 3.0])
    model.save(tmp_path / "gaussians.npz")
    loaded = GaussianModel.load(tmp_path / "gaussians.npz")
    for name in ("positions", "amplitudes", "widths"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    assert len(loaded) == 2


@pytest.mark.parametrize(
    ("positions", "amplitudes", "widths"),
    [
        ([[0, 0, 0]], [1.0, 2.0], [1.0, 1.0]),
        ([[0, 0, 0]], [-1.0], [1.0]),
        ([[0, 0, 0]], [1.0], [0.0]),
        ([[0, 0, np.nan]], [1.0], [1.0]),
    ],
)
def test_impossible_models(positions: list, amplitudes: list, widths: list) -> None:
    with pytest.raises(ValueError, match=r"model of|must be"):
        GaussianModel.of(positions, amplitudes, widths)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", positions=np.zeros((2, 3)))
    for name in ("other.npz", "absent.npz"):
        with pytest.raises(InputError, match=name):
            GaussianModel.load(tmp_path / name)
