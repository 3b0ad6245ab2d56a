"""The kernels of a training step, compiled before they are needed.

A process that only waits for its first task can compile them, or load what is compiled on
disk, while another reads and checks the files; both would have to do it in their first step.
"""

from __future__ import annotations

import torch

from cryoparts.kernels.interpolation import interpolate
from cryoparts.kernels.neighbour_attention import neighbour_attention
from cryoparts.kernels.ring_sums import ring_sums
from cryoparts.kernels.splat import splat_rotated

PARTICLES, POINTS, NEIGHBOURS, CHANNELS, GROUPS, BOX = 2, 16, 8, 32, 4, 16
"""As small as they may be: what is compiled does not depend on them."""


def rehearse() -> None:
    """Go through every kernel of a training step on the processor once, there and back.

    First what another process needs last: it compares model and images before it trains.
    """
    _attention()
    _interpolation()
    _splat()
    _rings()


def _splat() -> None:
    positions = torch.zeros(PARTICLES, POINTS, 3, requires_grad=True)
    amplitudes = torch.ones(PARTICLES, POINTS, requires_grad=True)
    widths = torch.full((PARTICLES, POINTS), 1.5, requires_grad=True)
    frames = torch.eye(3)[:2].repeat(PARTICLES, 1, 1)
    images = splat_rotated(positions, amplitudes, widths, frames, BOX, origin=BOX / 2)
    torch.autograd.backward(images.sum())


def _attention() -> None:
    def learned(*shape: int) -> torch.Tensor:
        return torch.ones(shape, requires_grad=True)

    attended = neighbour_attention(
        learned(PARTICLES, POINTS, CHANNELS),
        learned(PARTICLES, POINTS, CHANNELS),
        learned(PARTICLES, POINTS, CHANNELS),
        learned(POINTS, NEIGHBOURS, CHANNELS),
        learned(POINTS, NEIGHBOURS, CHANNELS),
        learned(GROUPS, CHANNELS),
        learned(GROUPS),
        torch.zeros(POINTS, NEIGHBOURS, dtype=torch.int64),
    )
    torch.autograd.backward(attended.sum())


def _interpolation() -> None:
    indices = torch.zeros(POINTS, NEIGHBOURS, dtype=torch.int64)
    for channels, learned in ((1, True), (CHANNELS, False)):
        values = torch.ones(PARTICLES, POINTS, channels, requires_grad=True)
        weights = torch.ones(POINTS, NEIGHBOURS, requires_grad=learned)
        torch.autograd.backward(interpolate(values, indices, weights).sum())


def _rings() -> None:
    planes = torch.ones(PARTICLES, BOX, BOX // 2 + 1, dtype=torch.complex64, requires_grad=True)
    ring = torch.zeros(BOX, BOX // 2 + 1, dtype=torch.int64)
    weights = torch.ones(BOX, BOX // 2 + 1)
    torch.autograd.backward(ring_sums(planes, planes.detach(), ring, weights, 1).sum())
