"""What the splat is, in plain torch; any device, float32 or float64, differentiable.

Slower than the compiled kernel and the measure of its correctness.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cryoparts.kernels.splat_gaussian import CUTOFF_PIXELS, CUTOFF_SIGMAS

CHUNK_ELEMENTS = 2**25
"""Numbers that one temporary array may have."""


def splat_reference(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    frames: Tensor,
    box_size: int,
    origin: float,
) -> Tensor:
    """Images of Gaussians on a periodic grid; see `cryoparts.kernels.splat.splat_rotated`.

    Only one chunk of the particles has its factors in memory at a time; the backward
    pass computes them again.

    Pixel (r, c) of the image of particle b is

        sum_n a_n / (2 pi s_n^2) exp(-((c - x_n)^2 + (r - y_n)^2) / (2 s_n^2)),

    (x_n, y_n) = frame_b X_n + origin, summed over all periodic copies of the
    pixel inside the support: rows within h = ceil(5 s_n - 1.01) of the
    point (at least 1) and columns within h rounded up to a multiple of 4.

    Parameters
    ----------
    positions : Tensor, shape (B or 1, N, 3)
    amplitudes, widths : Tensor, shape (B or 1, N)
    frames : Tensor, shape (B, 2, 3)
    box_size : int
    origin : float

    Returns
    -------
    Tensor, shape (B, D, D)
    """
    count = len(frames)
    n_gaussians = amplitudes.shape[-1]
    if count == 0 or n_gaussians == 0:
        # Nothing to add, yet connected to the inputs, so that gradients are zeros.
        nothing = positions.sum() + amplitudes.sum() + widths.sum()
        return frames.new_zeros(count, box_size, box_size) + 0.0 * (nothing + frames.sum())
    step = max(1, CHUNK_ELEMENTS // (n_gaussians * box_size))
    images = []
    for start in range(0, count, step):
        chosen = slice(start, start + step)
        frame = frames[chosen]
        position, amplitude, width = (
            _rows(t, chosen, len(frame)) for t in (positions, amplitudes, widths)
        )
        arguments = (position, amplitude, width, frame, box_size, origin)
        if count <= step:
            return _images(*arguments)
        images.append(
            checkpoint(_images, *arguments, use_reentrant=False, preserve_rng_state=False)
        )
    return torch.cat(images)


def _images(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    frames: Tensor,
    box_size: int,
    origin: float,
) -> Tensor:
    """Images (b, D, D) of b particles, each with its own row of every argument."""
    points = torch.einsum("bik,bnk->bni", frames, positions) + origin
    across = _axis_factors(points[..., 0], widths, box_size, multiple=4)
    down = _axis_factors(points[..., 1], widths, box_size, multiple=1)
    weight = (amplitudes / (2 * math.pi * widths**2)).unsqueeze(-1)
    return (down * weight).transpose(1, 2) @ across


def _rows(values: Tensor, chosen: slice, count: int) -> Tensor:
    """The chosen particles' rows of an array that may have one row for all."""
    return values.expand(count, *values.shape[1:]) if len(values) == 1 else values[chosen]


def _axis_factors(points: Tensor, widths: Tensor, box_size: int, multiple: int) -> Tensor:
    """exp(-(pixel - point)^2 / (2 s^2)) along one axis, shape (b, N, D), periodic."""
    half = torch.ceil(CUTOFF_SIGMAS * widths.detach() - CUTOFF_PIXELS).clamp(min=1)
    half = (torch.ceil(half / multiple) * multiple).to(torch.int64)
    reach = int(half.max())
    nearest = torch.floor(points.detach())
    offsets = torch.arange(1 - reach, reach + 1, device=points.device)
    distance = offsets - (points - nearest).unsqueeze(-1)
    values = torch.exp(-0.5 * (distance / widths.unsqueeze(-1)) ** 2)
    inside = (offsets > -half.unsqueeze(-1)) & (offsets <= half.unsqueeze(-1))
    pixel = (nearest.to(torch.int64).unsqueeze(-1) + offsets) % box_size
    factors = values.new_zeros(*points.shape, box_size)
    return factors.scatter_add(-1, pixel, torch.where(inside, values, torch.zeros_like(values)))
