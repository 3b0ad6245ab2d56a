"""Projections of Gaussian models as Fourier transforms of images.

    Y_b(k) = sum_n a_n exp(-2 pi^2 s_n^2 |k|^2) exp(-2 pi i k . (R_b x_n))

without shift and CTF, which the caller multiplies by. ``"plane_wave"`` sums this
formula; it is the definition. ``"splat"`` puts every Gaussian on a pixel grid
and transforms the image, some 30 times faster. Narrow Gaussians are splatted
wider and the extra width is divided out of the transform.

Accuracy of the splat, measured on 2,048 Gaussians in 64 pixels (root of the
mean square difference from the plane waves over that of the plane waves, of one
ring at the given fraction of the Nyquist frequency):

    width        1/4      1/2      0.6      2/3      3/4      0.8
    0.5-1 px   1.0e-4   1.9e-4   2.5e-4   6.5e-4   4.5e-3   1.4e-2
    1.5 px     4.4e-6   2.3e-5   6.4e-5   1.4e-4   5.8e-4   1.8e-3
    2 px       1.2e-5   3.1e-4   2.0e-3   8.6e-3   1.3e-1   7.2e-1

(2 px: relative to a Gaussian that has fallen to 1.5e-4 at 2/3). Over the band up
to 2/3 together: values 1.3e-4, gradients of positions 1e-3, of amplitudes 3e-4,
of widths 3e-3. Beyond 3/4 of Nyquist use plane waves.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cryoparts.imaging.fourier import frequency_axes, ring_weights
from cryoparts.kernels.splat import Backend, splat_rotated

Method = Literal["splat", "plane_wave"]

NARROWEST_SPLAT_PX = 1.0
"""Gaussians are widened so that the narrowest has this standard deviation, pixels.

A sampled Gaussian of width s carries copies of its spectrum; at the fraction f
of the Nyquist frequency the nearest one has the relative height
exp(-2 pi^2 s^2 (1 - f)), which for s = 1 is 1.4e-3 at f = 2/3 along the axes.
"""

CHUNK_ELEMENTS = 2**24
"""Complex numbers that one temporary array of the plane-wave sum may have."""


def project(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    rotations: Tensor,
    box_size: int,
    pixel_size: float,
    method: Method = "splat",
    backend: Backend = "auto",
) -> Tensor:
    """Transforms of the projections of a Gaussian model along z.

    Parameters
    ----------
    positions : Tensor, shape (N, 3) or (B, N, 3)
        (x, y, z) about the box centre, Å. Points beyond the border re-enter on
        the opposite side, as the frequencies of the grid cannot tell.
    amplitudes : Tensor, shape (N,) or (B, N)
        Integrals of the Gaussians: Y(0) is their sum.
    widths : Tensor, shape (N,) or (B, N)
        Standard deviations, Å, > 0 (``"plane_wave"``: >= 0).
    rotations : Tensor, shape (B, 3, 3)
        Take the model to the image's frame.
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å.
    method : {"splat", "plane_wave"}
        The splat is good up to 2/3 of the Nyquist frequency: relative errors
        below 1e-3 in values and 1e-2 in gradients (see the module). Near the
        Nyquist frequency it is not to be used.
    backend : {"auto", "reference", "cpu"}
        Of the splat.

    Returns
    -------
    Tensor, shape (B, D, D // 2 + 1)
        Complex; differentiable in positions, amplitudes, widths and rotations.

    Raises
    ------
    ValueError
        For an unknown method or tensors that do not fit each other.
    """
    if method == "plane_wave":
        return _plane_waves(positions, amplitudes, widths, rotations, box_size, pixel_size)
    if method != "splat":
        raise ValueError(f"unknown method {method!r}: use 'splat' or 'plane_wave'")
    widths_px = widths / pixel_size
    narrowest = float(widths_px.detach().min()) if widths_px.numel() else NARROWEST_SPLAT_PX
    extra_variance = max(0.0, NARROWEST_SPLAT_PX**2 - narrowest**2)
    if extra_variance > 0:
        widths_px = torch.sqrt(widths_px.square() + extra_variance)
    images = splat_rotated(
        positions,
        amplitudes,
        widths_px,
        rotations[:, :2] / pixel_size,
        box_size,
        origin=0.0,  # on the periodic grid this puts the phase origin where it belongs
        backend=backend,
    )
    half_planes: Tensor = _NarrowedTransform.apply(images, extra_variance)  # type: ignore[no-untyped-call]
    return half_planes


class _NarrowedTransform(torch.autograd.Function):
    """rfft2 times exp(2 pi^2 extra_variance |k|^2), with a half-plane backward pass.

    Torch's own derivative of rfft2 transforms the full complex plane.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, extra_variance: float) -> Tensor:
        box = images.shape[-1]
        kx, ky = frequency_axes(box, 1.0, images.device, images.dtype)
        exponent = 2.0 * math.pi**2 * extra_variance
        gain = torch.exp(exponent * ky.square())[:, None] * torch.exp(exponent * kx.square())
        ctx.save_for_backward(gain)
        if images.numel() == 0:  # which some FFT libraries refuse
            return torch.complex(gain, gain).expand(len(images), -1, -1).clone()
        half_planes: Tensor = torch.fft.rfft2(images)
        return half_planes.mul_(gain) if extra_variance > 0 else half_planes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None]:
        (gain,) = ctx.saved_tensors
        box = gradients.shape[-2]
        if gradients.numel() == 0:
            return gain.new_zeros(0, box, box), None
        scaled = gradients * (gain / ring_weights(box, gain.device))
        return torch.fft.irfft2(scaled, s=(box, box), norm="forward"), None


def _plane_waves(
    positions: Tensor,
    amplitudes: Tensor,
    widths: Tensor,
    rotations: Tensor,
    box_size: int,
    pixel_size: float,
) -> Tensor:
    kx, ky = frequency_axes(box_size, pixel_size, rotations.device, rotations.dtype)
    count, n_gaussians = len(rotations), amplitudes.shape[-1]
    step = max(1, CHUNK_ELEMENTS // max(1, n_gaussians * box_size))

    def rows(values: Tensor, start: int, shared_ndim: int) -> Tensor:
        return values if values.ndim == shared_ndim else values[start : start + step]

    half_planes = []
    for start in range(0, max(count, 1), step):
        rotation = rotations[start : start + step]
        points = rows(positions, start, 2) @ rotation[:, :2].transpose(1, 2)
        width = rows(widths, start, 1)
        across = _waves(points[..., 0], width, kx)
        down = _waves(points[..., 1], width, ky)
        weighted = down * rows(amplitudes, start, 1).unsqueeze(-1)
        half_planes.append(weighted.transpose(1, 2) @ across)
    return torch.cat(half_planes)


def _waves(points: Tensor, widths: Tensor, frequencies: Tensor) -> Tensor:
    """exp(-2 pi^2 s^2 k^2 - 2 pi i k x), shape (b, N, K)."""
    angle = (-2.0 * math.pi) * points.unsqueeze(-1) * frequencies
    damping = torch.exp((-2.0 * math.pi**2) * (widths.unsqueeze(-1) * frequencies) ** 2)
    return torch.polar(damping.expand_as(angle), angle)
