"""The splat on graphics processors: float32, in Triton, forward and backward.

Nothing of the size of the Gaussians times the pixels reaches memory: the forward pass
keeps up to `PROGRAMS` tiles' worth of partial images, which are added in a fixed order,
the backward pass four numbers a Gaussian and image. Nothing is read back from the device
and no size depends on the numbers, so the kernels can be part of a captured graph.

Importing this module needs Triton. Where Triton's interpreter is on
(TRITON_INTERPRET=1, set before the import) the kernels run, slowly, on the processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
from torch.autograd.function import once_differentiable

from cryoparts.kernels.launching import FUSED, distinct_rows, on_device_of
from cryoparts.kernels.splat_gaussian import CUTOFF_PIXELS, CUTOFF_SIGMAS, WIDEST_IN_BOXES
from cryoparts.kernels.splat_triton import backward_kernel, forward_kernel

if TYPE_CHECKING:
    from torch import Tensor

DEVICE = "cuda" if isinstance(forward_kernel, triton.JITFunction) else "cpu"
"""Type of the devices that the kernels run on; "cpu" under the interpreter."""

TILE = 32
"""Side of the tiles of an image, pixels: a program's sums stay in registers."""

BLOCK = 32
"""Gaussians that a program takes at a time."""

COLUMNS = 8
"""Pixels of a row that the backward kernel reads together: the support of the narrowest."""

PROGRAMS = 2048
"""Programs of the forward kernel to start, about: enough to fill a large device."""

LIMITS: dict[str, float] = {
    "cutoff_sigmas": CUTOFF_SIGMAS,
    "cutoff_pixels": CUTOFF_PIXELS,
    "widest_in_boxes": float(WIDEST_IN_BOXES),
}


def gpu_splat(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    frames: Tensor,
    box_size: int,
    origin: float,
) -> Tensor:
    """Images (B, D, D) of Gaussians by the kernels.

    Arguments and result as in `cryoparts.kernels.splat_reference.splat_reference`; float32,
    on a device of type `DEVICE`, and not empty. A width that is not positive, or wider than
    `WIDEST_IN_BOXES`, makes its image NaN: to tell the caller would make the device wait.
    """
    images: Tensor = _GpuSplat.apply(  # type: ignore[no-untyped-call]
        positions, amplitudes, widths, frames, box_size, origin
    )
    return images


class _GpuSplat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        positions: Tensor,
        amplitudes: Tensor,
        widths: Tensor,
        frames: Tensor,
        box_size: int,
        origin: float,
    ) -> Tensor:
        """Draw the images; keep the inputs alone for the backward pass."""
        ctx.counts = [len(t) for t in (positions, amplitudes, widths)]
        ctx.origin = origin
        positions, amplitudes, widths = (distinct_rows(t) for t in (positions, amplitudes, widths))
        frames = frames.detach().contiguous()  # one an image, even where all are the same memory
        ctx.save_for_backward(positions, amplitudes, widths, frames)
        return images_of(positions, amplitudes, widths, frames, box_size, origin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for every float input, from four sums a Gaussian and image."""
        positions, amplitudes, widths, frames = ctx.saved_tensors
        needs = ctx.needs_input_grad[:4]
        amplitudes_only = not (needs[0] or needs[2] or needs[3])
        shifts, *plain = moments_of(
            incoming.contiguous(),
            positions,
            amplitudes,
            widths,
            frames,
            ctx.origin,
            amplitudes_only=amplitudes_only,
        )
        by_position = shifts @ frames if needs[0] else None
        by_frame = shifts.transpose(1, 2) @ positions if needs[3] else None
        found = [by_position, *plain]
        return (
            *(
                None if not needed or g is None else g.sum(0, keepdim=True) if rows == 1 else g
                for g, needed, rows in zip(found, needs[:3], ctx.counts, strict=True)
            ),
            by_frame,
            None,
            None,
        )


def images_of(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    frames: Tensor,
    box_size: int,
    origin: float,
) -> Tensor:
    """Images (B, D, D) of contiguous tensors; a leading length of 1 is shared by all images."""
    count, n_gaussians = len(frames), amplitudes.shape[1]
    tiles = triton.cdiv(box_size, TILE) ** 2
    blocks = triton.cdiv(n_gaussians, BLOCK)
    runs = max(1, min(PROGRAMS // (tiles * count), blocks // 4))
    blocks_a_run = triton.cdiv(blocks, runs)
    runs = triton.cdiv(blocks, blocks_a_run)
    images = frames.new_empty(runs, count, box_size, box_size)
    with on_device_of(frames):
        forward_kernel[(tiles, count, runs)](
            images,
            positions,
            amplitudes,
            widths,
            frames,
            origin,
            *(_stride(t) for t in (positions, amplitudes, widths)),
            count,
            n_gaussians,
            blocks_a_run,
            box_size,
            **LIMITS,
            tile=TILE,
            block=BLOCK,
            **FUSED,
        )
    return images[0] if runs == 1 else images.sum(dim=0)


def moments_of(
    incoming: Tensor,
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    frames: Tensor,
    origin: float,
    *,
    amplitudes_only: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of each image's (column, row) (B, N, 2), amplitudes (B, N) and widths (B, N).

    The first and the last are empty where only the amplitudes' are asked for.
    """
    count, n_gaussians = len(frames), amplitudes.shape[1]
    others = 0 if amplitudes_only else count
    shifts = frames.new_empty(others, n_gaussians, 2)
    by_amplitude = frames.new_empty(count, n_gaussians)
    by_width = frames.new_empty(others, n_gaussians)
    with on_device_of(frames):
        backward_kernel[(triton.cdiv(n_gaussians, BLOCK), count)](
            incoming,
            positions,
            amplitudes,
            widths,
            frames,
            shifts,
            by_amplitude,
            by_width,
            origin,
            *(_stride(t) for t in (positions, amplitudes, widths)),
            n_gaussians,
            incoming.shape[-1],
            **LIMITS,
            amplitudes_only=amplitudes_only,
            block=BLOCK,
            columns=COLUMNS,
            **FUSED,
        )
    return shifts, by_amplitude, by_width


def _stride(tensor: Tensor) -> int:
    """From one image's row to the next; 0 where they share one."""
    return tensor.stride(0) if len(tensor) > 1 else 0
