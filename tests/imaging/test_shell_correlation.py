"""Ring and shell correlation against numpy's full transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.imaging.fourier import transform
from cryoparts.imaging.shell_correlation import (
    correlation_from_products,
    fourier_ring_correlation,
    fourier_shell_correlation,
    ring_products,
    ring_statistics,
)


def images(count: int, box: int, seed: int) -> torch.Tensor:
    return torch.randn(count, box, box, generator=torch.Generator().manual_seed(seed))


def full_plane_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of two arrays of any dimension, with every frequency of the full transform."""
    box = a.shape[0]
    k = np.fft.fftfreq(box, 1.0 / box)
    length = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[k] * a.ndim)))
    x, y = np.fft.fftn(a), np.fft.fftn(b)
    curve = []
    for ring in range(box // 2 + 1):
        inside = np.rint(length) == ring
        cross = (x[inside] * y[inside].conj()).sum().real
        power = (np.abs(x[inside]) ** 2).sum() * (np.abs(y[inside]) ** 2).sum()
        curve.append(cross / np.sqrt(power))
    return np.array(curve)


@settings(max_examples=15, deadline=None)
@given(box=st.integers(2, 24), seed=st.integers(0, 99))
def test_the_half_plane_gives_what_the_full_plane_gives(box, seed):
    a, b = images(2, box, seed), images(2, box, seed + 1)
    got = fourier_ring_correlation(transform(a), transform(b))
    expected = [full_plane_correlation(*pair) for pair in zip(a.numpy(), b.numpy(), strict=True)]
    assert got.shape == (2, box // 2 + 1)
    assert np.allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("box", [8, 9])
def test_shells_of_maps_are_those_of_the_full_space(box):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, box, box, box))
    assert np.allclose(fourier_shell_correlation(a, b), full_plane_correlation(a, b))


def test_shells_without_power_give_zero():
    flat = np.ones((6, 6, 6))
    assert np.allclose(fourier_shell_correlation(flat, flat), [1, 0, 0, 0])
    assert not fourier_shell_correlation(flat, 0 * flat).any()


def test_maps_of_different_size_are_refused():
    with pytest.raises(ValueError, match="cubes of one size"):
        fourier_shell_correlation(np.zeros((4, 4, 4)), np.zeros((6, 6, 6)))
    with pytest.raises(ValueError, match="cubes of one size"):
        fourier_shell_correlation(np.zeros((4, 4, 6)), np.zeros((4, 4, 6)))


def test_an_empty_model_has_correlation_zero_and_finite_gradients():
    data = transform(images(2, 12, 0))
    nothing = torch.zeros_like(data, requires_grad=True)
    curve = fourier_ring_correlation(data, nothing)
    assert not curve.any()
    (gradient,) = torch.autograd.grad(curve.sum(), [nothing])
    assert gradient.isfinite().all()


def test_one_empty_ring_leaves_the_others_their_gradient():
    data, model = transform(images(1, 12, 0)), transform(images(1, 12, 1))
    model[:, 0, 0] = 0  # all of ring 0
    model.requires_grad_()
    (gradient,) = torch.autograd.grad(fourier_ring_correlation(data, model).sum(), [model])
    assert gradient.isfinite().all()
    assert gradient[0, 0, 0] == 0
    assert (gradient.abs() > 0).float().mean() > 0.5


def test_images_of_any_scale_are_safe_in_single_precision():
    data, model = transform(images(1, 16, 0)), transform(images(1, 16, 1))
    plain = fourier_ring_correlation(data, model)
    for scale in (1e-6, 1e12):
        assert torch.allclose(
            fourier_ring_correlation(scale * data, model * scale), plain, atol=1e-5
        )


def test_the_gradient_of_the_correlation_passes_gradcheck():
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(2, 6, 4, generator=generator, dtype=torch.complex128).requires_grad_()
        for _ in range(2)
    )
    assert torch.autograd.gradcheck(fourier_ring_correlation, [a, b])


def test_products_and_statistics_agree():
    a, b = transform(images(2, 10, 0)), transform(images(2, 10, 1))
    ab, aa, bb = ring_statistics(a, b)
    assert torch.allclose(ab, ring_products(b, a))
    assert torch.allclose(aa, ring_products(a, a))
    assert torch.allclose(bb, ring_products(b, b))
    assert torch.equal(correlation_from_products(ab, aa, bb), fourier_ring_correlation(a, b))


def test_half_planes_that_do_not_match_are_refused():
    a = transform(images(2, 10, 0))
    with pytest.raises(ValueError, match="two sets of half planes"):
        ring_products(a, a[:1])
