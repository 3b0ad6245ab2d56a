"""The two projectors against each other, against a voxel grid and against their definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryoparts.image_model.losses import FINEST_PIXELS
from cryoparts.imaging.fourier import frequency_grid, ring_index, transform
from cryoparts.imaging.projection import project
from cryoparts.imaging.rotations import random_rotations

PIXEL = 2.5


def model(
    count: int,
    n_gaussians: int,
    box: int,
    widths_px: tuple[float, float],
    *,
    per_particle: bool = False,
    reach: float = 0.3,
    seed: int = 0,
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, n_gaussians) if per_particle else (n_gaussians,)
    positions = torch.randn(*shape, 3, generator=generator) * reach * box * PIXEL
    amplitudes = torch.rand(*shape, generator=generator) + 0.2
    low, high = widths_px
    widths = PIXEL * (low + (high - low) * torch.rand(*shape, generator=generator))
    return [positions, amplitudes, widths, random_rotations(count, generator)]


def values_and_gradients(tensors: list[torch.Tensor], box: int, method: str) -> list[torch.Tensor]:
    """Half planes within the default band and gradients of a random functional of those."""
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    half_planes = project(*leaves, box, PIXEL, method)
    band = ring_index(box) <= round(box / FINEST_PIXELS)
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(*half_planes.shape, 2, generator=generator)
    score = (torch.view_as_real(half_planes) * weights * band[..., None]).sum()
    return [half_planes.detach() * band, *torch.autograd.grad(score, leaves)]


def relative(difference: torch.Tensor, to: torch.Tensor) -> float:
    return float(difference.abs().square().sum().sqrt() / to.abs().square().sum().sqrt())


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 4),
    n_gaussians=st.integers(10, 60),
    box=st.sampled_from([16, 24, 31, 32, 48]),
    narrowest=st.floats(0.3, 1.5),
    spread=st.floats(0.0, 0.5),
    per_particle=st.booleans(),
    reach=st.floats(0.05, 1.0),  # at 1 a third of the points lies beyond the border
    seed=st.integers(0, 999),
)
@example(2, 40, 32, 0.5, 0.0, False, 0.2, 0)
@example(2, 40, 32, 0.5, 0.5, True, 1.0, 0)
@example(1, 10, 16, 1.0, 0.0, False, 0.5, 3)
@example(1, 10, 24, 0.375, 0.0, False, 1.0, 0)  # 1.015e-3
@example(1, 10, 24, 0.375, 0.0, False, 0.5, 0)  # 1.229e-3
def test_the_splat_equals_the_plane_waves_in_the_default_band(
    count, n_gaussians, box, narrowest, spread, per_particle, reach, seed
):
    tensors = model(
        count,
        n_gaussians,
        box,
        (narrowest, narrowest + spread),
        per_particle=per_particle,
        reach=reach,
        seed=seed,
    )
    exact = values_and_gradients(tensors, box, "plane_wave")
    fast = values_and_gradients(tensors, box, "splat")
    # below 1e-3 but for a few models of a few Gaussians, all of them narrow
    assert relative(fast[0] - exact[0], exact[0]) < 2e-3
    for got, expected in zip(fast[1:], exact[1:], strict=True):
        assert got.shape == expected.shape
        assert relative(got - expected, expected) < 1e-2


@pytest.mark.parametrize("box", [31, 64])
@pytest.mark.parametrize("width_px", [0.3, 0.5, 0.75, 1.0, 1.5])
def test_every_ring_of_the_default_band_is_right(width_px, box):
    tensors = model(8, 300, box, (width_px, width_px), reach=0.12)
    exact, fast = (project(*tensors, box, PIXEL, m) for m in ("plane_wave", "splat"))
    for ring in range(1, round(box / FINEST_PIXELS) + 1):
        chosen = ring_index(box) == ring
        assert relative((fast - exact)[:, chosen], exact[:, chosen]) < 1e-2, ring


@pytest.mark.parametrize("width_px", [0.3, 1.0])
def test_narrow_gaussians_are_right_up_to_the_nyquist_frequency(width_px):
    tensors = model(8, 300, 64, (width_px, width_px), reach=0.12)
    exact, fast = (project(*tensors, 64, PIXEL, m) for m in ("plane_wave", "splat"))
    chosen = ring_index(64) == 32
    assert relative((fast - exact)[:, chosen], exact[:, chosen]) < 2e-2


def test_gaussians_that_have_fallen_to_nothing_stay_nothing():
    tensors = model(4, 300, 64, (2.0, 4.0), reach=0.12)
    exact, fast = (project(*tensors, 64, PIXEL, m) for m in ("plane_wave", "splat"))
    band = ring_index(64) <= round(64 / FINEST_PIXELS)
    assert float(((fast - exact) * band).abs().max()) < 1e-5 * float(tensors[1].sum())


def test_plane_waves_are_the_defining_sum():
    positions, amplitudes, widths, rotations = model(2, 3, 8, (0.5, 1.0))
    grid = frequency_grid(8, PIXEL)
    expected = torch.zeros(2, 8, 5, dtype=torch.complex64)
    for b in range(2):
        for n in range(3):
            x, y, _ = rotations[b] @ positions[n]
            phase = grid[..., 0] * x + grid[..., 1] * y
            damping = torch.exp(-2 * math.pi**2 * widths[n] ** 2 * grid.square().sum(-1))
            expected[b] += amplitudes[n] * damping * torch.exp(-2j * math.pi * phase)
    got = project(positions, amplitudes, widths, rotations, 8, PIXEL, "plane_wave")
    assert torch.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("method", ["plane_wave", "splat"])
def test_the_projection_of_a_voxel_grid_is_the_same(method):
    box, pixel = 24, 2.0
    generator = torch.Generator().manual_seed(2)
    positions = torch.randn(6, 3, generator=generator) * 4
    amplitudes = torch.rand(6, generator=generator) + 0.5
    widths = torch.full((6,), 3.0)
    rotation = random_rotations(1, generator)
    axis = (torch.arange(box) - box // 2) * pixel
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = torch.stack([x, y, z], dim=-1).float()
    volume = torch.zeros(box, box, box)
    for point, amplitude, width in zip(positions @ rotation[0].T, amplitudes, widths, strict=True):
        squared = (grid - point).square().sum(-1)
        volume += amplitude * (2 * math.pi * width**2) ** -1.5 * torch.exp(-squared / 2 / width**2)
    expected = transform(volume.sum(0)) * pixel**3  # the integral over each voxel
    got = project(positions, amplitudes, widths, rotation, box, pixel, method)[0]
    assert relative(got - expected, expected) < 1e-3


def test_the_plane_waves_pass_gradcheck():
    leaves = [t.double().requires_grad_() for t in model(2, 2, 6, (0.5, 1.0), per_particle=True)]
    assert torch.autograd.gradcheck(lambda *ts: project(*ts, 6, PIXEL, "plane_wave"), leaves)


def test_the_splat_formulation_passes_gradcheck():
    leaves = [t.double().requires_grad_() for t in model(1, 2, 6, (1.1, 1.4))]
    assert torch.autograd.gradcheck(lambda *ts: project(*ts, 6, PIXEL, "splat"), leaves)


@pytest.mark.parametrize("box", [6, 7])
def test_the_extra_width_has_the_right_gradient_in_the_transform(box):
    # Narrow Gaussians: the whole chain widen, splat, transform, narrow, in double precision.
    # (The extra variance follows the narrowest width, which is held still: it is no leaf.)
    positions, amplitudes, widths, rotations = (
        t.double() for t in model(1, 3, box, (0.6, 0.6), reach=0.1)
    )
    leaves = [positions.requires_grad_(), amplitudes.requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda x, a: project(x, a, widths, rotations, box, PIXEL, "splat"), leaves
    )


@pytest.mark.parametrize("method", ["plane_wave", "splat"])
def test_shared_and_repeated_models_give_the_same(method):
    positions, amplitudes, widths, rotations = model(3, 20, 16, (0.7, 1.2))
    shared = project(positions, amplitudes, widths, rotations, 16, PIXEL, method)
    repeated = project(
        positions.repeat(3, 1, 1),
        amplitudes.repeat(3, 1),
        widths.repeat(3, 1),
        rotations,
        16,
        PIXEL,
        method,
    )
    assert torch.allclose(shared, repeated, atol=1e-4)


@pytest.mark.parametrize("method", ["plane_wave", "splat"])
def test_empty_batches_and_models_are_projected(method):
    for count, n_gaussians in ((0, 4), (2, 0)):
        leaves = [t.requires_grad_() for t in model(count, n_gaussians, 8, (1.0, 1.0))]
        half_planes = project(*leaves, 8, PIXEL, method)
        assert half_planes.shape == (count, 8, 5)
        assert not half_planes.any()
        gradients = torch.autograd.grad(half_planes.real.sum(), leaves)
        assert not any(g.any() for g in gradients)


@pytest.mark.parametrize("method", ["plane_wave", "splat"])
def test_no_argument_is_changed_and_the_result_repeats_to_the_bit(method):
    tensors = model(3, 20, 16, (0.7, 1.2))
    before = [t.clone() for t in tensors]
    first, second = (values_and_gradients(tensors, 16, method) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'slice'"):
        project(*model(1, 2, 8, (1.0, 1.0)), 8, PIXEL, "slice")
