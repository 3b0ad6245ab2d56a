"""The compiled ring sums against plain torch."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.imaging.fourier import ring_count, ring_index, ring_weights
from cryoparts.kernels.ring_sums import ring_sums, ring_sums_dense, ring_sums_reference


def half_planes(count: int, box: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, box, box // 2 + 1, generator=generator, dtype=torch.complex64)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 4), box=st.integers(1, 25), seed=st.integers(0, 99))
def test_the_compiled_and_the_dense_sums_equal_plain_torch(count, box, seed):
    rings = ring_count(box)
    weights = torch.rand(box, box // 2 + 1, generator=torch.Generator().manual_seed(seed))
    weights[1:] = 0.5 * (weights[1:] + weights[1:].flip(0))  # the same for +ky and -ky
    results = []
    for function in (ring_sums_reference, ring_sums, ring_sums_dense):
        a = half_planes(count, box, seed).requires_grad_()
        b = half_planes(count, box, seed + 1).requires_grad_()
        sums = function(a, b, ring_index(box), weights, rings)
        cotangent = torch.randn(3, count, rings, generator=torch.Generator().manual_seed(seed))
        results.append([sums, *torch.autograd.grad((sums * cotangent).sum(), [a, b])])
    expected, *others = results
    for other in others:
        for got, wanted in zip(other, expected, strict=True):
            assert got.shape == wanted.shape
            assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_one_gradient_is_enough():
    a, b = half_planes(2, 8, 0), half_planes(2, 8, 1).requires_grad_()
    sums = ring_sums(a, b, ring_index(8), ring_weights(8), 5)
    (gradient,) = torch.autograd.grad(sums[0].sum(), [b])
    inside = (ring_index(8) < 5) * ring_weights(8)
    assert torch.allclose(gradient, a * inside, atol=1e-6)


def test_rings_beyond_the_last_are_left_out():
    a = torch.ones(1, 8, 5, dtype=torch.complex64)
    total = ring_sums(a, a, ring_index(8), ring_weights(8), 5).sum(-1)
    pixels = float((ring_weights(8) * (ring_index(8) < 5)).sum())
    assert torch.equal(total, torch.full((3, 1), pixels))
    assert pixels < 64


def test_repeated_sums_agree_to_the_bit_and_change_nothing():
    a, b = half_planes(3, 16, 0), half_planes(3, 16, 1)
    before = a.clone(), b.clone()
    once, twice = (ring_sums(a, b, ring_index(16), ring_weights(16), 9) for _ in range(2))
    assert torch.equal(once, twice)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])
