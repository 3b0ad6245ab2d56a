"""Splat Gaussians onto images: the fast half of the projector.

Backends: ``"cpu"`` (numba, float32, on the processor), ``"gpu"`` (Triton, float32, on CUDA)
and ``"reference"`` (plain torch, any device and dtype); ``"auto"`` takes one of the first two
where it can.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cryoparts.kernels.launching import distinct_rows, warn_slower
from cryoparts.kernels.splat_cpu import MAX_CHUNKS, splat_forward
from cryoparts.kernels.splat_cpu_backward import splat_backward
from cryoparts.kernels.splat_gaussian import WIDEST_IN_BOXES, half_support
from cryoparts.kernels.splat_reference import splat_reference
from cryoparts.kernels.threads import ONE_PARALLEL_REGION

Backend = Literal["auto", "reference", "cpu", "gpu"]


def splat(
    points_px: Tensor,
    amplitudes: Tensor,
    widths_px: Tensor,
    box_size: int,
    backend: Backend = "auto",
) -> Tensor:
    """Images of two-dimensional Gaussians.

    Parameters
    ----------
    points_px : Tensor, shape (B, N, 2)
        (x, y) in pixels about pixel D // 2. What leaves the image on one side
        enters it on the other.
    amplitudes : Tensor, shape (B, N) or (N,)
        Integrals of the Gaussians.
    widths_px : Tensor, shape (B, N) or (N,)
        Standard deviations, > 0. Sampling is accurate from 1 pixel on.
    box_size : int
        Side D of the images.
    backend : {"auto", "reference", "cpu", "gpu"}

    Returns
    -------
    Tensor, shape (B, D, D)
        [y, x]; differentiable in the three tensors.
    """
    frames = torch.eye(3, dtype=points_px.dtype, device=points_px.device)[:2]
    return splat_rotated(
        torch.nn.functional.pad(points_px, (0, 1)),
        amplitudes,
        widths_px,
        frames.expand(len(points_px), 2, 3),
        box_size,
        origin=float(box_size // 2),
        backend=backend,
    )


def splat_rotated(
    positions: Tensor,
    amplitudes: Tensor,
    widths_px: Tensor,
    frames: Tensor,
    box_size: int,
    *,
    origin: float,
    backend: Backend = "auto",
) -> Tensor:
    """Images of Gaussians that are rotated on the way, without a (B, N, 2) array.

    Gaussian n lies at ``frames[b] @ positions[n] + origin`` (column, row) of
    image b. The image is periodic: the transform of a sampled image cannot tell
    a point from its copies a box away, and plane waves cannot either, so a
    Gaussian beyond the border counts as it does for them.

    Parameters
    ----------
    positions : Tensor, shape (N, 3) or (B, N, 3)
    amplitudes : Tensor, shape (N,) or (B, N)
        Integrals of the Gaussians.
    widths_px : Tensor, shape (N,) or (B, N)
        Standard deviations, pixels, > 0.
    frames : Tensor, shape (B, 2, 3)
        First two rows of each rotation, divided by the pixel size.
    box_size : int
        Side D of the images.
    origin : float
        Pixel of the coordinates' origin along both axes.
    backend : {"auto", "reference", "cpu", "gpu"}

    Returns
    -------
    Tensor, shape (B, D, D)
        [y, x]; differentiable in the four tensors. Only the first derivative
        exists with the ``"cpu"`` and ``"gpu"`` backends. A position that is not finite
        makes its image NaN, and so does, where the tensors are on another device than
        the processor, a width that is out of range: to raise would make the device wait.

    Raises
    ------
    ValueError
        If shapes or dtypes do not agree, widths are not positive or absurd, the
        backend is unknown or cannot take the tensors.
    """
    count, n_gaussians = len(frames), amplitudes.shape[-1]
    positions = positions if positions.ndim == 3 else positions.unsqueeze(0)
    amplitudes = amplitudes if amplitudes.ndim == 2 else amplitudes.unsqueeze(0)
    widths_px = widths_px if widths_px.ndim == 2 else widths_px.unsqueeze(0)
    for name, tensor, rest in (
        ("positions", positions, (n_gaussians, 3)),
        ("amplitudes", amplitudes, (n_gaussians,)),
        ("widths", widths_px, (n_gaussians,)),
    ):
        if len(tensor) not in (1, count) or tensor.shape[1:] != rest:
            raise ValueError(
                f"{name} of {count} particles and {n_gaussians} Gaussians have "
                f"shape {tuple(tensor.shape)}"
            )
    tensors = (positions, amplitudes, widths_px, frames)
    if len({t.dtype for t in tensors}) > 1:
        raise ValueError(f"the tensors must have one dtype, got {[t.dtype for t in tensors]}")
    if backend == "auto":
        backend = _best_backend(tensors)
    _check_backend(backend, tensors)
    if widths_px.numel() and widths_px.device.type == "cpu":
        narrowest, widest = (float(w) for w in torch.aminmax(widths_px.detach()))
        if not 0 < narrowest <= widest <= WIDEST_IN_BOXES * box_size:
            raise ValueError(
                f"widths must lie between 0 and {WIDEST_IN_BOXES} boxes, "
                f"got {narrowest} to {widest} pixels"
            )
    if backend == "reference" or count == 0 or n_gaussians == 0:
        return splat_reference(positions, amplitudes, widths_px, frames, box_size, origin)
    if backend == "gpu":
        # Triton is optional and takes long to import.
        from cryoparts.kernels.splat_gpu import gpu_splat

        return gpu_splat(positions, amplitudes, widths_px, frames, box_size, origin)
    images: Tensor = _Splat.apply(  # type: ignore[no-untyped-call]
        positions, amplitudes, widths_px, frames, box_size, origin
    )
    return images


def _best_backend(tensors: tuple[Tensor, ...]) -> Backend:
    if _all_single_on("cpu", tensors):
        return "cpu"
    if not _all_single_on("cuda", tensors):
        return "reference"
    if find_spec("triton") is None:
        warn_slower("Gaussians are splatted", "Triton is not installed (pip install triton)")
        return "reference"
    return "gpu"


def _check_backend(backend: Backend, tensors: tuple[Tensor, ...]) -> None:
    if backend not in ("auto", "cpu", "gpu", "reference"):
        raise ValueError(f"unknown backend {backend!r}: use 'auto', 'cpu', 'gpu' or 'reference'")
    if backend == "cpu" and not _all_single_on("cpu", tensors):
        raise ValueError("the cpu backend takes float32 tensors on the processor")
    if backend == "gpu":
        if find_spec("triton") is None:
            raise ValueError("the gpu backend of the splat needs Triton: pip install triton")
        from cryoparts.kernels.splat_gpu import DEVICE

        if not _all_single_on(DEVICE, tensors):
            raise ValueError(f"the gpu backend takes float32 tensors on {DEVICE}")


def _all_single_on(device: str, tensors: tuple[Tensor, ...]) -> bool:
    return all(t.device.type == device and t.dtype == torch.float32 for t in tensors)


class _Splat(torch.autograd.Function):
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
        ctx.save_for_backward(positions, amplitudes, widths, frames)
        half = half_support.py_func(np.float32(widths.max().item()))  # as the kernel reckons
        margin = 4 * ((half + 3) // 4)
        ctx.layout = (np.float32(origin), margin, min(len(frames), MAX_CHUNKS))
        images = frames.new_empty(len(frames), box_size, box_size)
        arrays = [distinct_rows(t).numpy() for t in (positions, amplitudes, widths)]
        with ONE_PARALLEL_REGION:
            splat_forward(
                images.numpy(), *arrays, frames.detach().contiguous().numpy(), *ctx.layout
            )
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, image_gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        needs = ctx.needs_input_grad[:4]
        amplitudes_only = not (needs[0] or needs[2] or needs[3])
        frames = inputs[3]
        chunks = ctx.layout[-1]
        # One row a particle, or for an input that all particles share one row a chunk.
        shared = [len(t) != len(frames) for t in inputs]
        gradients = [
            t.new_zeros(0 if amplitudes_only and t is not inputs[1] else rows, *t.shape[1:])
            for t, common in zip(inputs, shared, strict=True)
            for rows in [chunks if common else len(frames)]
        ]
        arrays = [distinct_rows(t).numpy() for t in inputs[:3]]
        with ONE_PARALLEL_REGION:
            splat_backward(
                image_gradients.contiguous().numpy(),
                *arrays,
                frames.contiguous().numpy(),
                *ctx.layout,
                amplitudes_only,
                *(g.numpy() for g in gradients),
            )
        return (
            *(
                (g.sum(0, keepdim=True) if common else g) if needed else None
                for g, common, needed in zip(gradients, shared, needs, strict=True)
            ),
            None,
            None,
        )
