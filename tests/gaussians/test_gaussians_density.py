"""Rendering and its adjoint, resampling and filtering against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.gaussians.density import add_gaussians, density_gradient, render
from cryoparts.gaussians.map_grid import low_pass, resample
from cryoparts.gaussians.model import GaussianModel


def _coordinates(box: int, pixel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    line = (np.arange(box) - box // 2) * pixel
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    return x, y, z


@pytest.mark.parametrize("box", [24, 25])
def test_render_is_the_formula(box: int) -> None:
    model = GaussianModel.of([[3.0, -5.0, 1.0], [-8.0, 0.5, 6.0]], [2.0, 5.0], [3.0, 4.5])
    x, y, z = _coordinates(box, 2.0)
    expected = np.zeros((box,) * 3)
    for centre, a, s in zip(model.positions, model.amplitudes, model.widths, strict=True):
        squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        expected += a * (2 * np.pi * s**2) ** -1.5 * np.exp(-squared / (2 * s**2))
    np.testing.assert_allclose(
        render(model, box, 2.0), expected, atol=5e-6 * expected.max(), rtol=0
    )


@settings(deadline=None, max_examples=25)
@given(
    pixel=st.floats(0.8, 5.0),
    place=st.tuples(*[st.floats(-8.0, 8.0)] * 3),
    width=st.floats(0.01, 1.5),
)
def test_render_keeps_mass_and_centre_of_mass(
    pixel: float, place: tuple[float, float, float], width: float
) -> None:
    model = GaussianModel.of([np.array(place) * pixel], [7.0], [width * pixel])
    volume = render(model, 32, pixel).astype(np.float64)
    assert volume.sum() * pixel**3 == pytest.approx(7.0, rel=0.006)
    centroid = [(c * volume).sum() / volume.sum() for c in _coordinates(32, pixel)]
    np.testing.assert_allclose(centroid, model.positions[0], atol=0.01 * pixel + 1e-4)


def test_density_outside_the_box_is_lost_quietly() -> None:
    model = GaussianModel.of([[500.0, 0, 0], [-500.0, 400.0, 0], [0, 0, 0]], [1, 1, 1], [2, 2, 2])
    assert render(model, 20, 2.0).sum() * 8.0 == pytest.approx(1.0, rel=1e-3)


def test_gradient_is_the_derivative_of_the_density() -> None:
    generator = np.random.default_rng(2)
    residual = generator.normal(size=(14, 14, 14)).astype(np.float32)
    centres = generator.uniform(3, 10, size=(5, 3))
    amplitudes, widths = generator.uniform(1, 2, 5), generator.uniform(0.9, 1.6, 5)

    def value(c: np.ndarray, a: np.ndarray, w: np.ndarray) -> float:
        volume = np.zeros(residual.shape, dtype=np.float32)
        add_gaussians(volume, c, a, w, 8.0)
        return float((volume.astype(np.float64) * residual).sum())

    by_centre, by_amplitude, by_width = density_gradient(residual, centres, amplitudes, widths, 8.0)
    step = 1e-2
    for n in range(5):
        unit = np.zeros(5)
        unit[n] = step
        high, low = (
            value(centres, amplitudes + unit, widths),
            value(centres, amplitudes - unit, widths),
        )
        assert (high - low) / (2 * step) == pytest.approx(by_amplitude[n], abs=2e-3)
        high, low = (
            value(centres, amplitudes, widths + unit),
            value(centres, amplitudes, widths - unit),
        )
        assert (high - low) / (2 * step) == pytest.approx(by_width[n], abs=2e-3)
        for axis in range(3):
            move = np.zeros((5, 3))
            move[n, axis] = step
            high, low = (
                value(centres + move, amplitudes, widths),
                value(centres - move, amplitudes, widths),
            )
            assert (high - low) / (2 * step) == pytest.approx(by_centre[n, axis], abs=2e-3)


@pytest.mark.parametrize(
    ("old", "new"), [(32, 48), (33, 48), (48, 33), (49, 32), (32, 49), (32, 32)]
)
def test_resampling_gives_the_same_density_on_the_other_grid(old: int, new: int) -> None:
    length = 96.0
    model = GaussianModel.of([[5.0, -11.0, 8.0]], [1.0], [6.0])
    changed = resample(render(model, old, length / old), new)
    expected = render(model, new, length / new)
    np.testing.assert_allclose(changed, expected, atol=2e-3 * expected.max(), rtol=0)


def test_low_pass_adds_variances() -> None:
    narrow = GaussianModel.of([[4.0, 0.0, -6.0]], [1.0], [3.0])
    wide = GaussianModel.of([[4.0, 0.0, -6.0]], [1.0], [5.0])
    filtered = low_pass(render(narrow, 40, 2.0), 2.0, 4.0)
    expected = render(wide, 40, 2.0)
    np.testing.assert_allclose(filtered, expected, atol=1e-3 * expected.max(), rtol=0)
