"""Projections of Gaussian models as Fourier transforms of images.

    Y_b(k) = sum_n a_n exp(-2 pi^2 s_n^2 |k|^2) exp(-2 pi i k . (R_b x_n))

without shift and CTF, which the caller multiplies by. ``"plane_wave"`` sums this
formula; it is the definition. ``"splat"`` puts every Gaussian on a grid, a quarter finer
than the image's pixels, and transforms that, some 30 times faster. Narrow Gaussians are
splatted wider and the extra width is divided out of the transform.

Accuracy of the splat, measured on 2,048 Gaussians in 64 pixels (root of the
mean square difference from the plane waves over that of the plane waves, of one
ring at the given fraction of the Nyquist frequency):

    width        1/4      1/2      2/3      3/4     0.889     0.95      1
    0.3-0.8 px 8.4e-5   1.6e-4   2.0e-4   2.6e-4   1.8e-3   4.1e-3   1.1e-2
    1 px       1.8e-6   3.5e-6   7.8e-6   1.5e-5   5.0e-5   2.1e-4   9.7e-4
    1.5 px     2.3e-6   1.2e-5   8.2e-5   3.3e-4   2.7e-3   1.0e-2   2.7e-2
    2 px       3.7e-6   1.1e-4   2.7e-3   3.6e-2   1.9      15       210

(2 px: relative to a Gaussian that has fallen to 1.7e-7 at 0.889; of Y(0) the error is at
most 4e-6.) 0.889 is the edge of the default band, 2.25 pixels. Over the band up to there
together: values 2e-4, gradients of positions 2e-3, of amplitudes 5e-4, of widths 4e-3.
Boxes of 31 and of 100 pixels are alike.

On a grid as coarse as the image the ring at 0.889 is wrong by 4.9e-2. The finer one costs a
tenth more (forward and backward 0.24 instead of 0.22 ms of one thread for 2,048 Gaussians in
64 pixels; 0.40 instead of 0.30 ms in 128 pixels); splats of 1.3 px on the coarse one, still
wrong by 8.6e-3, a third more.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.autograd.function import once_differentiable

from cryoparts.imaging.fourier import frequency_axes
from cryoparts.kernels.splat import Backend, splat_rotated

Method = Literal["splat", "plane_wave"]

GRID_REFINEMENT = 1.25
"""Pixels of the splat's grid along a side, for each of the image's, at least."""

NARROWEST_SPLAT_PX = 1.0
"""Gaussians are widened so that the narrowest has this standard deviation, pixels of the grid.

A sampled Gaussian of width s carries copies of its spectrum; at the fraction f
of the grid's Nyquist frequency the nearest one has the relative height
exp(-2 pi^2 s^2 (1 - f)). For s = 1 this is 3.3e-3 along the axes at f = 0.711, which is
0.889 of the image's Nyquist frequency. (A width of 1 px reaches 4 pixels to either side:
8 by 8, for which the kernel is made.)
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
        The splat is good over the default band, up to 0.889 of the Nyquist frequency:
        relative errors of a ring below 1e-2, of the whole band below 1e-3 in values and
        1e-2 in gradients (see the module).
    backend : {"auto", "reference", "cpu", "gpu"}
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
    fine = splat_grid(box_size)
    fine_pixel = pixel_size * box_size / fine
    widths_px = widths / fine_pixel
    extra_variance = _extra_variance(widths_px.detach())
    if isinstance(extra_variance, Tensor) or extra_variance > 0:
        widths_px = torch.sqrt(widths_px.square() + extra_variance)
    images = splat_rotated(
        positions,
        amplitudes,
        widths_px,
        rotations[:, :2] / fine_pixel,
        fine,
        origin=0.0,  # on the periodic grid this puts the phase origin where it belongs
        backend=backend,
    )
    half_planes: Tensor = _NarrowedTransform.apply(  # type: ignore[no-untyped-call]
        images, box_size, extra_variance
    )
    return half_planes


def _extra_variance(widths_px: Tensor) -> float | Tensor:
    """What is added to all variances so that none is narrower than `NARROWEST_SPLAT_PX`.

    A tensor on other devices than the processor: to read the number would make them wait.
    """
    if not widths_px.numel():
        return 0.0
    if widths_px.device.type == "cpu":
        return max(0.0, NARROWEST_SPLAT_PX**2 - float(widths_px.min()) ** 2)
    return (NARROWEST_SPLAT_PX**2 - widths_px.min().square()).clamp_min(0.0)


def splat_grid(box_size: int) -> int:
    """Side of the grid that images of D pixels are splatted on, pixels.

    The next number from `GRID_REFINEMENT` D on that has no prime factor above 5, for the FFT.
    """
    side: int = next_fast_len(math.ceil(GRID_REFINEMENT * box_size), real=True)
    return side


class _NarrowedTransform(torch.autograd.Function):
    """Half planes (B, D, D // 2 + 1) of images (B, F, F), F > D, times a gain that narrows.

    The F^2 pixels lie as far apart as D^2 of the result's do in F / D of a pixel. The gain
    is exp(2 pi^2 extra_variance |k|^2). Frequencies that nobody asks for are transformed
    along one axis only, and the backward pass needs half of the plane, where torch's own
    derivative of rfft2 transforms all of it.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, box_size: int, extra_variance: float | Tensor) -> Tensor:
        fine = images.shape[-1]
        kx, ky = frequency_axes(box_size, fine / box_size, images.device, images.dtype)
        exponent = extra_variance * (2.0 * math.pi**2)
        gain = torch.exp(exponent * ky.square())[:, None] * torch.exp(exponent * kx.square())
        ctx.save_for_backward(gain)
        ctx.fine = fine
        if images.numel() == 0:  # which some FFT libraries refuse
            return torch.complex(gain, gain).expand(len(images), -1, -1).clone()
        rows = torch.fft.rfft(images)[..., : len(kx)]
        upper, lower = _halves(box_size)
        columns = torch.fft.fft(rows, dim=-2)
        return torch.cat([columns[:, :upper], columns[:, fine - lower :]], dim=1).mul_(gain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None, None]:
        (gain,) = ctx.saved_tensors
        count, box, width = gradients.shape
        if gradients.numel() == 0:
            return gain.new_zeros(count, ctx.fine, ctx.fine), None, None
        scaled = gradients * gain
        scaled[..., 1:] *= 0.5  # irfft counts them twice, with their conjugates
        upper, lower = _halves(box)
        columns = gradients.new_zeros(count, ctx.fine, width)
        columns[:, :upper], columns[:, ctx.fine - lower :] = scaled[:, :upper], scaled[:, upper:]
        rows = torch.fft.ifft(columns, dim=-2, norm="forward")
        return torch.fft.irfft(rows, n=ctx.fine, norm="forward"), None, None


def _halves(box_size: int) -> tuple[int, int]:
    """Numbers of the frequencies along y that are not negative, and that are."""
    return (box_size + 1) // 2, box_size // 2


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
