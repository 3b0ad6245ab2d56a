from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.kernels.interpolation import (
    PARTICLES_TOGETHER,
    interpolate,
    interpolate_dense,
    interpolate_reference,
)


def example(seed: int, batch: int, sources: int, targets: int, neighbours: int, channels: int):
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(batch, sources, channels, generator=random, dtype=torch.float32)
    indices = torch.randint(sources, (targets, neighbours), generator=random)
    weights = torch.rand(targets, neighbours, generator=random)
    return values, indices, weights


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    batch=st.sampled_from([0, 1, 2, 5, PARTICLES_TOGETHER, PARTICLES_TOGETHER + 3]),
    sources=st.integers(1, 9),
    targets=st.integers(1, 9),
    neighbours=st.integers(1, 4),
    channels=st.integers(1, 20),
)
def test_fast_ways_equal_the_definition_in_values_and_gradients(
    seed, batch, sources, targets, neighbours, channels
):
    values, indices, weights = example(seed, batch, sources, targets, neighbours, channels)
    cotangent = torch.randn(batch, targets, channels)
    results = []
    for function in (interpolate_reference, interpolate, interpolate_dense):
        leaves = values.clone().requires_grad_(), weights.clone().requires_grad_()
        out = function(leaves[0], indices, leaves[1])
        out.backward(cotangent)
        results.append((out.detach(), *(leaf.grad for leaf in leaves)))
    for of_definition, *others in zip(*results, strict=True):
        for other in others:
            torch.testing.assert_close(other, of_definition, atol=3e-5, rtol=3e-5)


def test_fixed_weights_get_no_gradient():
    values, indices, weights = example(3, 2, 3, 4, 2, 3)
    interpolate(values.requires_grad_(), indices, weights).sum().backward()
    assert weights.grad is None
    assert values.grad is not None


def test_gradient_is_the_adjoint():
    values, indices, weights = example(1, 3, 7, 11, 4, 5)
    leaf = values.requires_grad_()
    out = interpolate(leaf, indices, weights)
    cotangent = torch.randn_like(out)
    (gradient,) = torch.autograd.grad(out, leaf, cotangent)
    # The map is linear, so <A x, y> = <x, A^T y>.
    torch.testing.assert_close((out * cotangent).sum(), (leaf * gradient).sum())


def test_float64_takes_the_definition():
    values, indices, weights = example(2, 2, 3, 4, 2, 3)
    out = interpolate(values.double(), indices, weights.double())
    assert out.dtype == torch.float64
    torch.testing.assert_close(out.float(), interpolate(values, indices, weights))
