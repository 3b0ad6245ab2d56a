"""Floating-point operations and bytes moved by the pieces of a training step.

Matrix products are counted where they happen: `MatrixProducts` sees every one that
torch computes, so the counts follow the networks as they change. The compiled
kernels are counted by formula, from the sizes in the network; of products that leave
out zeros, what is left.

A multiplication with its addition is two operations, an exponential or sine
`FUNCTION` of them. Bytes are the least that must move: every array that a piece
takes or makes once, in its own precision, nothing for what stays in cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

FUNCTION = 20
"""Operations of an exponential, sine or square root, about."""

FLOAT = 4
"""Bytes."""

PRODUCTS = {
    torch.ops.aten.mm: 0,
    torch.ops.aten.bmm: 0,
    torch.ops.aten.addmm: 1,
    torch.ops.aten.baddbmm: 1,
}
"""Torch's matrix products, and which argument is the first factor."""


@dataclass(frozen=True)
class Work:
    """Operations and bytes of one piece for a whole batch.

    Parameters
    ----------
    operations : float
        In float32.
    bytes : float
    half_operations : float
        Products of 16-bit factors.
    """

    operations: float = 0.0
    bytes: float = 0.0
    half_operations: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.operations + other.operations,
            self.bytes + other.bytes,
            self.half_operations + other.half_operations,
        )


def bytes_of(tensors: Iterable[Tensor]) -> float:
    """Bytes of the tensors' numbers."""
    return float(sum(t.numel() * t.element_size() for t in tensors))


class MatrixProducts(TorchDispatchMode):
    """Counts the matrix products that torch computes while it is active.

    Attributes
    ----------
    work : Work
        So far; every product's operands and result count as moved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        first = PRODUCTS.get(function._overloadpacket)
        if first is not None:
            left, right = args[first : first + 2]
            product = 2.0 * out.numel() * left.shape[-1]
            half = product if left.element_size() == 2 else 0.0
            self.work += Work(product - half, bytes_of((left, right, out)), half)
        return out


def attention_work(
    particles: int, points: int, degree: int, width: int, channels: int, groups: int
) -> tuple[Work, Work]:
    """Pairwise part of `cryoparts.kernels.neighbour_attention`, forward and backward.

    A pair: subtract, add, ReLU (3 H); logits (2 H G); softmax (an exponential, a
    subtraction, a sum, a division a group); add and weighted sum of values (3 C).
    Backward: hidden layer, logits and softmax again; gradients of gamma and of the
    hidden layer (4 H G), of the softmax (6 G), of the values and weights (5 C), of
    q, k and the position encoding (4 H).
    """
    pairs = particles * points * degree
    again = 3 * width + 2 * width * groups + groups * (FUNCTION + 3)
    forward = pairs * (again + 3 * channels)
    backward = pairs * (again + 4 * width * groups + 6 * groups + 5 * channels + 4 * width)
    rows = particles * points * FLOAT
    shared = points * degree * (width + channels) * FLOAT
    taken = rows * (2 * width + channels) + shared
    return (
        Work(forward, taken + rows * channels),
        Work(backward, 2 * taken + rows * channels),
    )


def pair_attention_work(
    particles: int,
    points: int,
    degree: int,
    width: int,
    active_share: tuple[float, float],
    backward_dtype: torch.dtype,
) -> tuple[Work, Work]:
    """Pairwise part of `cryoparts.published.pair_attention`, forward and backward.

    Two layers of C x C by every pair, in sixteens of pairs, over their active inputs
    alone; backward twice that. Other operations a pair and channel: subtract, encode and
    rectify (8), bias and rectify (2), softmax and weighted sum (12 and an exponential);
    backward the inputs again (8), softmax (26) and points (22). Of a pair are kept and
    read again, in ``backward_dtype``, hidden layer and softmax.

    Parameters
    ----------
    active_share : tuple of float
        Share of the channels that are not zero for all sixteen pairs: inputs, hidden layer.
    """
    pairs = particles * points * degree
    rows = particles * points * 16 * -(-degree // 16)
    products = 2.0 * rows * width * width * sum(active_share)
    half = backward_dtype.itemsize == 2
    kept = 2.0 * pairs * width * backward_dtype.itemsize
    moved = 4.0 * particles * points * width * FLOAT
    return (
        Work(products + pairs * width * (22.0 + FUNCTION), moved + kept),
        Work(
            (0.0 if half else 2 * products) + pairs * width * 56.0,
            2 * moved + kept,
            2 * products if half else 0.0,
        ),
    )


def interpolation_work(
    particles: int,
    targets: int,
    sources: int,
    degree: int,
    channels: int,
    *,
    learned: bool = False,
) -> tuple[Work, Work]:
    """A weighted sum of K rows at each target, forward and backward.

    The backward pass moves as much, and again where the weights are learned.
    """
    work = Work(
        2.0 * particles * targets * degree * channels,
        particles * (targets + sources) * channels * FLOAT,
    )
    return work, work + work if learned else work


def splat_work(
    particles: int, box: int, supports: Any, *, per_particle_arrays: int
) -> tuple[Work, Work]:
    """Gaussians on a pixel grid, forward and backward.

    Parameters
    ----------
    particles : int
    box : int
    supports : array, shape (N,)
        Pixels of each Gaussian's support along an axis, S.
    per_particle_arrays : int
        Numbers a Gaussian that belong to one particle, of position (3), amplitude
        and width.

    Notes
    -----
    A Gaussian: rotation (12), 2 S exponentials, S² multiplications and additions.
    Backward: the factors again, three sums over rows (value, first and second moment).
    """
    side = float(supports.sum())
    area = float((supports.astype(float) ** 2).sum())
    count = len(supports)
    factors = 12.0 * count + 2 * side * (FUNCTION + 3)
    gaussians = count * per_particle_arrays * FLOAT
    image = box * box * FLOAT
    return (
        Work(particles * (factors + 2 * area), particles * (gaussians + image)),
        Work(particles * (factors + 6 * area + 10 * side), particles * (2 * gaussians + image)),
    )


def transform_work(particles: int, box: int) -> Work:
    """A real two-dimensional FFT: half of 5 n log2 n; twice through the data, rows and columns."""
    pixels = box * box
    return Work(
        particles * 2.5 * pixels * math.log2(pixels), particles * 4.0 * half_plane_bytes(box)
    )


def half_plane_bytes(box: int) -> float:
    """Bytes of one complex half plane."""
    return box * (box // 2 + 1) * 2.0 * FLOAT


def times_ctf_work(particles: int, box: int) -> Work:
    """A complex half plane times a real one."""
    pixels = particles * box * (box // 2 + 1)
    return Work(2.0 * pixels, 5.0 * FLOAT * pixels)


def agreement_work(particles: int, box: int) -> tuple[Work, Work]:
    """Three ring sums over two half planes, and the gradient by one of them."""
    pixels = particles * box * (box // 2 + 1)
    return (
        Work(13.0 * pixels, 2 * particles * half_plane_bytes(box)),
        Work(8.0 * pixels, 3 * particles * half_plane_bytes(box)),
    )


def reading_work(particles: int, box: int, inputs: int) -> Work:
    """Images from disk cache, their FFT, shift and CTF; the encoder's input from float16."""
    pixels = particles * box * (box // 2 + 1)
    made = Work(
        pixels * (20.0 + 3 * FUNCTION) + 8.0 * pixels,
        particles * (box * box * FLOAT + 3 * half_plane_bytes(box)) + particles * inputs * 6.0,
    )
    return made + transform_work(particles, box)


def optimiser_work(parameters: Iterable[nn.Parameter]) -> Work:
    """Adam: 12 operations a weight; reads weight, gradient and two moments, writes three."""
    count = sum(p.numel() for p in parameters)
    return Work(12.0 * count, 7.0 * FLOAT * count)


def support_of(widths_px: Any) -> Any:
    """Pixels of support along an axis of Gaussians (N,), the narrowest widened to 1 px."""
    from cryoparts.kernels.splat_gaussian import CUTOFF_PIXELS, CUTOFF_SIGMAS

    widths = torch.as_tensor(widths_px)
    widths = (widths.square() + max(0.0, 1.0 - float(widths.min()) ** 2)).sqrt()
    return (2 * torch.ceil(CUTOFF_SIGMAS * widths - CUTOFF_PIXELS).clamp(min=1)).numpy()
