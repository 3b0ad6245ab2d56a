"""Fourier transforms of images, frequencies, shifts, cropping and rings.

Transforms are ``rfft2`` half planes of shape (..., D, D // 2 + 1) in unshifted
frequency order with the phase origin at pixel ``D // 2`` and no normalisation::

    Y(k) = sum_p image(p) exp(-2 pi i k . (p - D // 2))

so a centred, symmetric, real object has a real transform, and ``Y(0)`` is the
sum of the image.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def frequency_axes(
    box_size: int,
    pixel_size: float = 1.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Frequencies along x and y of a half plane.

    Parameters
    ----------
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å; with the default of 1 the frequencies are in cycles a pixel.
    device, dtype
        Of the result.

    Returns
    -------
    kx : Tensor, shape (D // 2 + 1,)
    ky : Tensor, shape (D,)
        1/Å. The last of an even box's kx is +1/2 cycle a pixel, its ky there -1/2.
    """
    kx = torch.fft.rfftfreq(box_size, d=pixel_size, device=device, dtype=dtype)
    ky = torch.fft.fftfreq(box_size, d=pixel_size, device=device, dtype=dtype)
    return kx, ky


def frequency_grid(
    box_size: int, pixel_size: float = 1.0, device: torch.device | str | None = None
) -> Tensor:
    """Frequency vectors (kx, ky) of a half plane.

    Parameters
    ----------
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å; with the default of 1 the frequencies are in cycles a pixel.
    device
        Of the result.

    Returns
    -------
    Tensor, shape (D, D // 2 + 1, 2)
        float32, 1/Å.
    """
    kx, ky = frequency_axes(box_size, pixel_size, device)
    return torch.stack(torch.meshgrid(kx, ky, indexing="xy"), dim=-1)


def transform(images: Tensor) -> Tensor:
    """Half planes of real images.

    Parameters
    ----------
    images : Tensor, shape (..., D, D)

    Returns
    -------
    Tensor, shape (..., D, D // 2 + 1)
        Complex, phase origin at pixel D // 2, not normalised.
    """
    if images.numel() == 0:  # which some FFT libraries refuse
        part = images[..., : images.shape[-1] // 2 + 1]
        return torch.complex(part, part)
    half_planes: Tensor = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
    return half_planes


def inverse_transform(half_planes: Tensor) -> Tensor:
    """Images of half planes; inverse of `transform`.

    Parameters
    ----------
    half_planes : Tensor, shape (..., D, D // 2 + 1)

    Returns
    -------
    Tensor, shape (..., D, D)
    """
    box = half_planes.shape[-2]
    if half_planes.numel() == 0:
        return half_planes.real.new_zeros(*half_planes.shape[:-1], box) + half_planes.real.sum()
    images = torch.fft.irfft2(half_planes, s=(box, box))
    shifted: Tensor = torch.fft.fftshift(images, dim=(-2, -1))
    return shifted


def shift_phases(shift_angstrom: Tensor, box_size: int, pixel_size: float) -> Tensor:
    """Phase ramps exp(-2 pi i k . t) that move an object by t.

    Parameters
    ----------
    shift_angstrom : Tensor, shape (B, 2)
        (x, y) translations t, Å; positive x moves towards higher column numbers.
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å.

    Returns
    -------
    Tensor, shape (B, D, D // 2 + 1)
        Complex.
    """
    kx, ky = frequency_axes(box_size, pixel_size, shift_angstrom.device, shift_angstrom.dtype)
    angle_x = -2.0 * torch.pi * shift_angstrom[:, 0, None] * kx
    angle_y = -2.0 * torch.pi * shift_angstrom[:, 1, None] * ky
    along_x = torch.polar(torch.ones_like(angle_x), angle_x)
    along_y = torch.polar(torch.ones_like(angle_y), angle_y)
    return along_y[:, :, None] * along_x[:, None, :]


def fourier_crop(images: Tensor, new_box: int) -> Tensor:
    """Images resampled on a coarser grid by dropping their high frequencies.

    The object stays centred (pixel D // 2 goes to pixel ``new_box // 2``), the
    mean of every image is kept, and the pixel size grows by D / new_box.

    Parameters
    ----------
    images : Tensor, shape (..., D, D)
    new_box : int
        Side of the result, 1 to D pixels.

    Returns
    -------
    Tensor, shape (..., new_box, new_box)

    Raises
    ------
    ValueError
        If `new_box` is larger than the images or not positive.
    """
    box = images.shape[-1]
    if not 0 < new_box <= box:
        raise ValueError(f"cannot crop images of {box} pixels to {new_box}")
    if new_box == box:
        return images.clone()
    whole = transform(images)[..., : new_box // 2 + 1]
    upper = (new_box + 1) // 2  # frequencies 0 ... upper - 1, then the negative ones
    cropped = torch.cat([whole[..., :upper, :], whole[..., box - new_box // 2 :, :]], dim=-2)
    if new_box % 2 == 0:
        # The Nyquist row stands for +1/2 and -1/2 cycle a pixel: a real image needs their mean.
        # (irfft2 takes the corresponding real part along the Nyquist column by itself.)
        nyquist = 0.5 * (whole[..., new_box // 2, :] + whole[..., box - new_box // 2, :])
        cropped = torch.cat(
            [cropped[..., :upper, :], nyquist[..., None, :], cropped[..., upper + 1 :, :]], dim=-2
        )
    return inverse_transform(cropped) * (new_box / box) ** 2


def _ring_index(box_size: int, device: torch.device | str | None) -> Tensor:
    kx, ky = frequency_axes(box_size, 1.0 / box_size, device, torch.float64)
    return torch.round(torch.hypot(kx[None, :], ky[:, None])).to(torch.int64)


@lru_cache(maxsize=32)
def _ring_index_here(box_size: int) -> Tensor:
    return _ring_index(box_size, "cpu")


def ring_index(box_size: int, device: torch.device | str | None = None) -> Tensor:
    """Ring of every pixel of a half plane: |k| in units of 1 / (D pixels), rounded.

    Complete rings are 0 ... D // 2 (see `ring_count`); pixels in the corners
    have higher numbers and belong to no complete ring.

    Parameters
    ----------
    box_size : int
        Side D of the images, pixels.
    device
        Of the result.

    Returns
    -------
    Tensor, shape (D, D // 2 + 1)
        int64, not to be written to on the CPU (it is kept for the next call).
    """
    if torch.device(device or "cpu").type == "cpu":
        return _ring_index_here(box_size)
    return _ring_index(box_size, device)  # made there: to copy it would make the device wait


def ring_count(box_size: int) -> int:
    """Number R of complete rings, from 0 to the Nyquist frequency: D // 2 + 1."""
    return box_size // 2 + 1


def ring_frequencies(box_size: int, pixel_size: float = 1.0) -> Tensor:
    """Frequency of every complete ring, 1/Å.

    Parameters
    ----------
    box_size : int
        Side D of the images, pixels.
    pixel_size : float
        Å.

    Returns
    -------
    Tensor, shape (D // 2 + 1,)
        float32.
    """
    return torch.arange(ring_count(box_size), dtype=torch.float32) / (box_size * pixel_size)


def ring_weights(box_size: int, device: torch.device | str | None = None) -> Tensor:
    """How many pixels of the full plane each pixel of a half plane stands for.

    Columns whose conjugates the half plane lacks weigh 2; column 0 and, for an
    even box, the Nyquist column D / 2 hold both of every conjugate pair and
    weigh 1. With these weights sums over half planes obey Parseval's theorem.

    Parameters
    ----------
    box_size : int
        Side D of the images, pixels.
    device
        Of the result.

    Returns
    -------
    Tensor, shape (D, D // 2 + 1)
        float32.
    """
    column = torch.arange(box_size // 2 + 1, device=device)
    weights = torch.where((column > 0) & (2 * column != box_size), 2.0, 1.0)
    return weights.expand(box_size, -1)
