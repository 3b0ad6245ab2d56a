"""Laws that any projection of a Gaussian model obeys."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.image_model.losses import FINEST_PIXELS
from cryoparts.imaging.fourier import ring_index, shift_phases
from cryoparts.imaging.projection import project
from cryoparts.imaging.rotations import random_rotations, rotation_about_axis

BOX, PIXEL = 32, 3.0
BAND = ring_index(BOX) <= round(BOX / FINEST_PIXELS)
Z_AXIS = torch.tensor([0.0, 0.0, 1.0])
METHODS = pytest.mark.parametrize("method", ["plane_wave", "splat"])


def model(n_gaussians: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randn(n_gaussians, 3, generator=generator) * 0.12 * BOX * PIXEL
    amplitudes = torch.rand(n_gaussians, generator=generator) + 0.1
    widths = PIXEL * (0.6 + 0.8 * torch.rand(n_gaussians, generator=generator))
    return positions, amplitudes, widths


def rotations(count: int, seed: int = 1) -> torch.Tensor:
    return random_rotations(count, torch.Generator().manual_seed(seed))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-3) -> bool:
    difference, size = ((a - b) * BAND).abs().square().sum(), (b * BAND).abs().square().sum()
    return bool(difference.sqrt() < tolerance * size.sqrt())


@METHODS
def test_turning_the_model_is_turning_the_view(method):
    positions, amplitudes, widths = model()
    first, second = rotations(3), rotations(1, seed=2)
    turned = positions @ second[0].T
    assert close(
        project(turned, amplitudes, widths, first, BOX, PIXEL, method),
        project(positions, amplitudes, widths, first @ second, BOX, PIXEL, method),
    )


@METHODS
def test_a_half_turn_in_the_plane_is_complex_conjugation(method):
    positions, amplitudes, widths = model()
    views = rotations(3)
    turned = rotation_about_axis(Z_AXIS, torch.tensor(180.0)) @ views
    assert close(
        project(positions, amplitudes, widths, turned, BOX, PIXEL, method),
        project(positions, amplitudes, widths, views, BOX, PIXEL, method).conj(),
    )


@METHODS
def test_a_quarter_turn_in_the_plane_turns_the_transform(method):
    positions, amplitudes, widths = model()
    views = rotations(2)
    turned = rotation_about_axis(Z_AXIS, torch.tensor(90.0)) @ views
    half_plane = project(positions, amplitudes, widths, views, BOX, PIXEL, method)
    rotated = project(positions, amplitudes, widths, turned, BOX, PIXEL, method)
    # A point (x, y) goes to (-y, x), so the value on the +ky axis is the old one on the +kx axis.
    length = round(BOX / FINEST_PIXELS)
    on_y, on_x = rotated[:, :length, 0], half_plane[:, 0, :length]
    assert float((on_y - on_x).abs().max()) < 1e-3 * float(on_x.abs().max())


@METHODS
@settings(max_examples=10, deadline=None)
@given(x=st.floats(-200, 200), y=st.floats(-200, 200))
def test_moving_the_model_in_the_plane_is_a_phase_ramp(method, x, y):
    positions, amplitudes, widths = model()
    views = rotations(2)
    shift = torch.tensor([[x, y]])
    moved = positions + (views.transpose(1, 2) @ torch.tensor([x, y, 0.0]))[:, None]
    assert close(
        project(moved, amplitudes, widths, views, BOX, PIXEL, method),
        project(positions, amplitudes, widths, views, BOX, PIXEL, method)
        * shift_phases(shift, BOX, PIXEL),
    )


@METHODS
def test_moving_the_model_along_the_beam_changes_nothing(method):
    positions, amplitudes, widths = model()
    views = rotations(3)
    moved = positions + 17.0 * views[:, 2][:, None]
    assert close(
        project(moved, amplitudes, widths, views, BOX, PIXEL, method),
        project(positions, amplitudes, widths, views, BOX, PIXEL, method),
    )


@METHODS
def test_the_zero_frequency_is_the_sum_of_the_amplitudes(method):
    positions, amplitudes, widths = model()
    half_planes = project(4 * positions, amplitudes, widths, rotations(3), BOX, PIXEL, method)
    total = amplitudes.sum().expand(3)
    assert torch.allclose(half_planes[:, 0, 0].real, total, rtol=1e-3)
    assert half_planes[:, 0, 0].imag.abs().max() < 1e-3 * float(total[0])


@METHODS
def test_the_projection_is_linear_in_the_amplitudes(method):
    positions, amplitudes, widths = model()
    other = amplitudes.flip(0)
    views = rotations(2)

    def image(values: torch.Tensor) -> torch.Tensor:
        return project(positions, values, widths, views, BOX, PIXEL, method)

    assert close(image(2 * amplitudes - 3 * other), 2 * image(amplitudes) - 3 * image(other), 1e-5)


@METHODS
def test_the_gradient_for_amplitudes_is_the_adjoint(method):
    positions, amplitudes, widths = model()
    views = rotations(2)
    amplitudes.requires_grad_()
    half_planes = project(positions, amplitudes, widths, views, BOX, PIXEL, method)
    generator = torch.Generator().manual_seed(3)
    cotangent = torch.randn(half_planes.shape, generator=generator, dtype=torch.complex64)
    cotangent = cotangent * BAND
    direct = (half_planes * cotangent.conj()).real.sum()
    (back,) = torch.autograd.grad(direct, [amplitudes])
    expected = float(direct.detach())
    assert float((back * amplitudes.detach()).sum()) == pytest.approx(expected, rel=1e-4)


@METHODS
def test_wider_gaussians_are_the_same_ones_blurred(method):
    positions, amplitudes, widths = model()
    views = rotations(2)
    extra = 0.8 * PIXEL
    blurred = project(
        positions, amplitudes, (widths**2 + extra**2).sqrt(), views, BOX, PIXEL, method
    )
    frequency = ring_frequency_squared()
    damping = torch.exp(-2 * torch.pi**2 * extra**2 * frequency)
    sharp = project(positions, amplitudes, widths, views, BOX, PIXEL, method)
    assert close(blurred, sharp * damping)


def ring_frequency_squared() -> torch.Tensor:
    kx = torch.fft.rfftfreq(BOX, PIXEL)
    ky = torch.fft.fftfreq(BOX, PIXEL)
    return kx[None, :] ** 2 + ky[:, None] ** 2
