"""The splat by the Triton kernels against its definition, over drawn shapes.

Run as a program with TRITON_INTERPRET=1 it draws and compares; the interpreter must be
switched on before Triton is imported.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

NAMES = ("images", "positions", "amplitudes", "widths", "frames")


def problem(count, n_gaussians, box, widths, shared, spread, seed) -> list[torch.Tensor]:
    """Positions, amplitudes, widths and frames; `shared` ones have no row a particle."""
    generator = torch.Generator().manual_seed(seed)

    def rows(common: bool, *shape: int) -> torch.Tensor:
        return torch.rand(*(shape if common else (count, *shape)), generator=generator)

    positions = (rows(shared[0], n_gaussians, 3) - 0.5) * box * spread
    low, high = widths
    spans = low + (high - low) * rows(shared[2], n_gaussians)
    frames = torch.randn(count, 2, 3, generator=generator) * 0.7
    return [positions, rows(shared[1], n_gaussians) + 0.1, spans, frames]


def results(tensors, box: int, device: str, backend: str) -> list[torch.Tensor]:
    """Images and the gradients of every argument, on the processor."""
    from cryoparts.kernels.splat import splat_rotated

    leaves = [t.detach().clone().to(device).requires_grad_() for t in tensors]
    images = splat_rotated(*leaves, box, origin=3.25, backend=backend)
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    total = (images * weights.to(device)).sum()
    return [x.detach().cpu() for x in (images, *torch.autograd.grad(total, leaves))]


@settings(max_examples=6, deadline=None, database=None)
@given(
    count=st.integers(1, 3),
    n_gaussians=st.integers(1, 40),
    box=st.integers(8, 34),
    narrowest=st.floats(0.5, 2.5),
    ratio=st.floats(1.0, 1.5),
    spread=st.floats(0.1, 3.0),
    shared=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
@example(2, 3, 8, 2.0, 1.5, 5.0, (False, False, False), 0)  # supports that wrap many times
@example(1, 270, 33, 1.0, 1.0, 0.3, (False, True, True), 1)  # runs, tiles without Gaussians
def drawn(device, count, n_gaussians, box, narrowest, ratio, spread, shared, seed):
    """Values and gradients equal the definition's."""
    tensors = problem(count, n_gaussians, box, (narrowest, narrowest * ratio), shared, spread, seed)
    fused = results(tensors, box, device, "gpu")
    exact = results(tensors, box, "cpu", "reference")
    least = 0.01 * exact[0].norm()  # the gradient of a single number can cancel to nothing
    for name, got, wanted in zip(NAMES, fused, exact, strict=True):
        assert got.shape == wanted.shape, name
        bound = 3e-5 * (1 + spread) * torch.maximum(wanted.norm(), least)
        assert (got - wanted).norm() <= bound, name


def at_borders(device: str) -> None:
    """A Gaussian that one tile's or the image's border cuts is whole."""
    box, border = 40, 32
    near = [edge + away for edge in (0.0, border) for away in (-4.6, -1.5, 2.5, 3.4)]
    points = torch.tensor([[[x, 13.0 + 2.7 * n, 0.0]] for n, x in enumerate(near)])
    frames = torch.eye(3)[:2].expand(len(near), 2, 3)
    tensors = [points - 3.25, torch.ones(1), torch.ones(1), frames]
    fused, exact = results(tensors, box, device, "gpu"), results(tensors, box, "cpu", "reference")
    for got, wanted in zip(fused, exact, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def each_alone(device: str) -> None:
    """A gradient that is asked for alone is the one of all together."""
    from cryoparts.kernels.splat import splat_rotated

    tensors = problem(2, 9, 20, (0.8, 2.5), (False, False, True), 1.0, 0)
    together = results(tensors, 20, device, "gpu")
    for only in range(4):
        leaves = [t.to(device).requires_grad_(place == only) for place, t in enumerate(tensors)]
        images = splat_rotated(*leaves, 20, origin=3.25, backend="gpu")
        weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
        (alone,) = torch.autograd.grad((images * weights.to(device)).sum(), [leaves[only]])
        torch.testing.assert_close(alone.cpu(), together[1 + only])
        for leaf in leaves:
            leaf.requires_grad_(requires_grad=False)


def same_memory(device: str) -> None:
    """Rows that are the same memory give what copies give, frames among them."""
    from cryoparts.kernels.splat import splat_rotated

    positions, amplitudes, widths, frames = problem(
        3, 6, 16, (1.0, 1.5), (True, True, True), 1.0, 0
    )
    found = []
    for copied in (False, True):
        leaves = [
            t.clone().to(device).requires_grad_()
            for t in (positions, amplitudes, widths, frames[0])
        ]
        rows = [leaf.expand(3, *leaf.shape) for leaf in leaves]
        assert all(row.stride(0) == 0 for row in rows)
        given = [row.clone() for row in rows] if copied else rows
        images = splat_rotated(*given, 16, origin=3.25, backend="gpu")
        assert images.shape == (3, 16, 16)
        weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
        total = (images * weights.to(device)).sum()
        found.append([images.detach(), *torch.autograd.grad(total, leaves)])
    assert torch.equal(found[0][0], found[1][0])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def repeated(device: str) -> None:
    """A second time gives the same bits."""
    tensors = problem(2, 140, 33, (0.8, 1.5), (False, False, True), 0.4, 0)
    once, again = (results(tensors, 33, device, "gpu") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def impossible(device: str) -> None:
    """A position or a width that cannot be makes its own image NaN, and no other."""
    splat = partial(_images, device)
    tensors = problem(3, 4, 20, (1.0, 1.0), (False, False, False), 1.0, 0)
    whole = splat(tensors)
    faults = ((0, math.nan), (0, math.inf), (0, -1e20), (2, 0.0), (2, -1.0), (2, 41.0))
    for which, value in (*faults, (2, math.nan)):
        broken = [t.clone() for t in tensors]
        broken[which][1, 2] = value
        images = splat(broken)
        assert images[1].isnan().all(), value
        assert torch.equal(images[[0, 2]], whole[[0, 2]]), value


def _images(device: str, tensors: list[torch.Tensor]) -> torch.Tensor:
    # the interpreter's tensors are on the processor, where the caller's check raises for widths
    from cryoparts.kernels.splat_gpu import gpu_splat

    return gpu_splat(*[t.to(device) for t in tensors], 20, 0.0).cpu()


LAWS = {
    "equals its definition": lambda device: drawn(device),
    "whole at borders": at_borders,
    "each gradient alone": each_alone,
    "rows of the same memory": same_memory,
    "repeats to the bit": repeated,
    "what cannot be is NaN": impossible,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for law in LAWS.values():
        law("cpu")
