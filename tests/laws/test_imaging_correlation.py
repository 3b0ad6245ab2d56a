"""Laws of ring sums and of the Fourier ring correlation."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.imaging.fourier import ring_weights, shift_phases, transform
from cryoparts.imaging.shell_correlation import fourier_ring_correlation, ring_products

BOXES = st.integers(2, 24)
SEEDS = st.integers(0, 99)


def images(box: int, seed: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, box, box, generator=generator, dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(box=BOXES, seed=SEEDS)
def test_parseval(box, seed):
    a, b = images(box, seed), images(box, seed + 1)
    in_space = (a * b).sum((1, 2)) * box**2
    in_frequency = ((transform(a) * transform(b).conj()).real * ring_weights(box)).sum((1, 2))
    assert torch.allclose(in_space, in_frequency)


@settings(max_examples=15, deadline=None)
@given(box=BOXES, seed=SEEDS, scale=st.floats(1e-3, 1e3))
def test_an_image_correlates_with_itself_at_any_scale(box, seed, scale):
    half_planes = transform(images(box, seed))
    ones = torch.ones(2, box // 2 + 1, dtype=torch.float64)
    assert torch.allclose(fourier_ring_correlation(half_planes, scale * half_planes), ones)
    assert torch.allclose(fourier_ring_correlation(half_planes, -scale * half_planes), -ones)


@settings(max_examples=15, deadline=None)
@given(box=BOXES, seed=SEEDS)
def test_the_correlation_is_symmetric_and_at_most_one(box, seed):
    a, b = transform(images(box, seed)), transform(images(box, seed + 1))
    curve = fourier_ring_correlation(a, b)
    assert torch.allclose(curve, fourier_ring_correlation(b, a))
    assert (curve.abs() <= 1 + 1e-9).all()


@settings(max_examples=15, deadline=None)
@given(box=BOXES, seed=SEEDS, x=st.floats(-9, 9), y=st.floats(-9, 9))
def test_a_common_shift_leaves_the_correlation_alone(box, seed, x, y):
    a, b = transform(images(box, seed)), transform(images(box, seed + 1))
    ramp = shift_phases(torch.tensor([[x, y]], dtype=torch.float64), box, 1.0)
    expected = fourier_ring_correlation(a, b)
    assert torch.allclose(fourier_ring_correlation(a * ramp, b * ramp), expected)


@settings(max_examples=15, deadline=None)
@given(box=BOXES, seed=SEEDS)
def test_ring_products_are_bilinear(box, seed):
    a, b, c = (transform(images(box, seed + i)) for i in range(3))
    left = ring_products(a, 2 * b - 3 * c)
    assert torch.allclose(left, 2 * ring_products(a, b) - 3 * ring_products(a, c))
