"""The compiled splat against its definition in plain torch."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryoparts.kernels import splat_reference
from cryoparts.kernels.splat import splat, splat_rotated


def problem(
    *,
    count: int,
    n_gaussians: int,
    box: int,
    widths: tuple[float, float],
    shared: tuple[bool, bool, bool] = (False, False, False),
    spread: float = 1.0,
    seed: int = 0,
) -> list[torch.Tensor]:
    """Positions, amplitudes, widths and frames; `shared` ones have no row a particle."""
    generator = torch.Generator().manual_seed(seed)

    def rows(common: bool, *shape: int) -> torch.Tensor:
        return torch.rand(*(shape if common else (count, *shape)), generator=generator)

    positions = (rows(shared[0], n_gaussians, 3) - 0.5) * box * spread
    amplitudes = rows(shared[1], n_gaussians) + 0.1
    low, high = widths
    spans = low + (high - low) * rows(shared[2], n_gaussians)
    frames = torch.randn(count, 2, 3, generator=generator) * 0.7
    return [positions, amplitudes, spans, frames]


def values_and_gradients(
    tensors: list[torch.Tensor], box: int, backend: str, origin: float = 3.25
) -> list[torch.Tensor]:
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    images = splat_rotated(*leaves, box, origin=origin, backend=backend)
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    return [images.detach(), *torch.autograd.grad((images * weights).sum(), leaves)]


def relative(difference: torch.Tensor, to: torch.Tensor) -> float:
    return float(difference.norm() / to.norm().clamp(min=1e-12))


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 40),
    n_gaussians=st.integers(1, 12),
    box=st.integers(8, 33),
    narrowest=st.floats(0.5, 2.0),
    ratio=st.floats(1.0, 1.5),
    spread=st.floats(0.1, 5.0),
    shared=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
@example(1, 1, 14, 0.5, 1.0, 4.25, (False, False, False), 1)  # a gradient of almost zero
@example(40, 3, 8, 0.5, 1.0, 1.0, (True, True, True), 0)  # more particles than chunks
@example(2, 3, 8, 2.0, 1.5, 5.0, (False, False, False), 0)  # supports that wrap many times
@example(3, 5, 16, 1.0, 1.0, 1.0, (False, True, False), 1)  # the support of eight
def test_the_compiled_kernel_equals_its_definition(
    count, n_gaussians, box, narrowest, ratio, spread, shared, seed
):
    tensors = problem(
        count=count,
        n_gaussians=n_gaussians,
        box=box,
        widths=(narrowest, narrowest * ratio),
        shared=shared,
        spread=spread,
        seed=seed,
    )
    fast = values_and_gradients(tensors, box, "cpu")
    slow = values_and_gradients(tensors, box, "reference")
    # the gradient of a single number can cancel to nothing
    least = 0.01 * slow[0].norm()
    for got, expected in zip(fast, slow, strict=True):
        assert got.shape == expected.shape
        # Positions are rounded to float32 pixels, so what is far out is placed less precisely.
        bound = 3e-5 * (1 + spread)
        assert (got - expected).norm() <= bound * torch.maximum(expected.norm(), least)


@pytest.mark.parametrize("only", range(4))
def test_each_gradient_alone_equals_the_one_of_all_together(only):
    tensors = problem(count=3, n_gaussians=9, box=20, widths=(0.8, 2.5))
    together = values_and_gradients(tensors, 20, "cpu")[1 + only]
    leaves = [t.clone().requires_grad_(place == only) for place, t in enumerate(tensors)]
    images = splat_rotated(*leaves, 20, origin=3.25, backend="cpu")
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    (alone,) = torch.autograd.grad((images * weights).sum(), [leaves[only]])
    assert relative(alone - together, together) < 1e-6


def test_rows_that_are_the_same_memory_give_what_copies_give():
    tensors = problem(count=40, n_gaussians=6, box=16, widths=(1.0, 1.5), shared=(True, True, True))
    views = [t.expand(40, *t.shape) for t in tensors[:3]]

    def run(rows: list[torch.Tensor]) -> list[torch.Tensor]:
        leaves = [t.detach().requires_grad_() for t in rows]
        images = splat_rotated(*leaves, tensors[3], 16, origin=0.0, backend="cpu")
        weights = torch.arange(images.numel()).reshape(images.shape) / images.numel()
        return [images.detach(), *torch.autograd.grad((images * weights).sum(), leaves)]

    for a, b in zip(run(views), run([v.contiguous() for v in views]), strict=True):
        assert a.shape == b.shape == (40, *a.shape[1:])
        assert torch.equal(a, b)


def test_the_definition_passes_gradcheck():
    tensors = [t.double() for t in problem(count=2, n_gaussians=3, box=8, widths=(0.9, 1.4))]
    leaves = [t.requires_grad_() for t in tensors]
    assert torch.autograd.gradcheck(
        lambda *ts: splat_rotated(*ts, 8, origin=0.3, backend="reference"), leaves
    )


def test_a_few_particles_at_a_time_equal_all_together(monkeypatch):
    tensors = problem(
        count=5, n_gaussians=6, box=16, widths=(0.8, 2.0), shared=(False, True, False)
    )
    together = values_and_gradients(tensors, 16, "reference")
    monkeypatch.setattr(splat_reference, "CHUNK_ELEMENTS", 2 * 6 * 16)
    torch.testing.assert_close(values_and_gradients(tensors, 16, "reference"), together)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_pixel_holds_the_gaussian_there(backend):
    image = splat(
        torch.tensor([[[2.25, -1.5]]]), torch.tensor([3.0]), torch.tensor([1.3]), 24, backend
    )[0]
    row, column = 11, 15  # pixel 12 is the origin
    squared = (column - 12 - 2.25) ** 2 + (row - 12 + 1.5) ** 2
    expected = 3.0 / (2 * math.pi * 1.3**2) * math.exp(-squared / (2 * 1.3**2))
    assert float(image[row, column]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_what_leaves_the_image_enters_on_the_other_side(backend):
    points = torch.tensor([[[0.3, 0.6], [-7.9, 7.6]]])
    amplitudes, widths = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.9])
    here = splat(points, amplitudes, widths, 16, backend)
    moved = splat(points + torch.tensor([5.0, -3.0]), amplitudes, widths, 16, backend)
    far = splat(points + torch.tensor([-32.0, 160.0]), amplitudes, widths, 16, backend)
    assert relative(moved - here.roll((-3, 5), (1, 2)), here) < 1e-5
    assert relative(far - here, here) < 1e-4


def test_the_integral_is_the_sum_of_the_amplitudes():
    _, amplitudes, widths, frames = problem(count=3, n_gaussians=50, box=32, widths=(1.0, 4.0))
    positions = problem(count=3, n_gaussians=50, box=32, widths=(1.0, 4.0), spread=4.0, seed=1)[0]
    images = splat_rotated(positions, amplitudes, widths, frames, 32, origin=16.0)
    assert torch.allclose(images.sum((1, 2)), amplitudes.sum(1), rtol=3e-4)


@pytest.mark.parametrize(("count", "n_gaussians"), [(0, 5), (4, 0), (0, 0)])
def test_nothing_to_splat_gives_empty_images_and_zero_gradients(count, n_gaussians):
    tensors = problem(count=count, n_gaussians=n_gaussians, box=8, widths=(1.0, 1.0))
    leaves = [t.requires_grad_() for t in tensors]
    images = splat_rotated(*leaves, 8, origin=0.0)
    assert images.shape == (count, 8, 8)
    assert not images.any()
    for leaf, gradient in zip(leaves, torch.autograd.grad(images.sum(), leaves), strict=True):
        assert gradient.shape == leaf.shape
        assert not gradient.any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e20])
def test_an_impossible_position_makes_its_own_image_nan_alone(value):
    positions, amplitudes, widths, frames = problem(
        count=3, n_gaussians=4, box=12, widths=(1.0, 1.0)
    )
    whole = splat_rotated(positions, amplitudes, widths, frames, 12, origin=0.0, backend="cpu")
    broken = positions.clone()
    broken[1, 2, 0] = value
    broken.requires_grad_()
    images = splat_rotated(broken, amplitudes, widths, frames, 12, origin=0.0, backend="cpu")
    assert images[1].isnan().all()
    assert torch.equal(images[[0, 2]], whole[[0, 2]])
    (gradient,) = torch.autograd.grad(images[[0, 2]].sum(), [broken])
    assert gradient[1, 2].isnan().all()
    assert not gradient[[0, 2]].isnan().any()


def test_no_argument_is_changed_and_two_runs_agree_to_the_bit():
    tensors = problem(count=5, n_gaussians=40, box=24, widths=(0.7, 3.0), shared=(True,) * 3)
    before = [t.clone() for t in tensors]
    first = values_and_gradients(tensors, 24, "cpu")
    second = values_and_gradients(tensors, 24, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


THREADS_SCRIPT = """
import numba, torch
from cryoparts.kernels.splat import splat_rotated
g = torch.Generator().manual_seed(0)
ts = [torch.randn(40, 3, generator=g) * 9, torch.rand(40, generator=g),
      torch.rand(40, generator=g) + 1, torch.randn(37, 2, 3, generator=g)]
results = []
for threads in (1, 3, 3):
    numba.set_num_threads(threads)
    leaves = [t.clone().requires_grad_() for t in ts]
    images = splat_rotated(*leaves, 32, origin=16.0, backend="cpu")
    results.append([images, *torch.autograd.grad(images.square().sum(), leaves)])
print(all(torch.equal(a, b) for r in results[1:] for a, b in zip(results[0], r, strict=True)))
"""


def test_the_number_of_threads_does_not_change_a_bit():
    run = subprocess.run(
        [sys.executable, "-c", THREADS_SCRIPT],
        env={**os.environ, "NUMBA_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "True"


def test_programming_mistakes_are_named():
    positions, amplitudes, widths, frames = problem(
        count=2, n_gaussians=3, box=8, widths=(1.0, 1.0)
    )
    with pytest.raises(ValueError, match="unknown backend 'card'"):
        splat_rotated(positions, amplitudes, widths, frames, 8, origin=0.0, backend="card")
    with pytest.raises(ValueError, match="must have one dtype"):
        splat_rotated(positions, amplitudes, widths, frames.double(), 8, origin=0.0)
    double = [t.double() for t in (positions, amplitudes, widths, frames)]
    with pytest.raises(ValueError, match="takes float32"):
        splat_rotated(*double, 8, origin=0.0, backend="cpu")
    with pytest.raises(ValueError, match="widths must lie between"):
        splat_rotated(positions, amplitudes, 0 * widths, frames, 8, origin=0.0)
    with pytest.raises(ValueError, match="widths must lie between"):
        splat_rotated(positions, amplitudes, math.nan * widths, frames, 8, origin=0.0)
    with pytest.raises(ValueError, match=r"positions of 2 particles and 3 Gaussians have shape"):
        splat_rotated(positions[:, :2], amplitudes, widths, frames, 8, origin=0.0)
