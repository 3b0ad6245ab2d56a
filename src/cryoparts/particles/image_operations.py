"""What is done to each particle image on its way to a working image."""

from __future__ import annotations

import torch
from torch import Tensor

from cryoparts.imaging.fourier import inverse_transform, transform


def unflipped(images: Tensor, ctf: Tensor) -> Tensor:
    """Undo phase flipping: the sign of the (real part of the) CTF, applied twice, is 1.

    Parameters
    ----------
    images : Tensor, shape (n, D, D)
    ctf : Tensor, shape (n, D, D // 2 + 1)
    """
    return inverse_transform(transform(images) * torch.where(ctf < 0, -1.0, 1.0))


def without_border(images: Tensor) -> Tensor:
    """Images (n, D, D) minus the mean of their outermost pixels, so that padding makes no step."""
    top = images[:, [0, -1], :].flatten(1)
    side = images[:, 1:-1, [0, -1]].flatten(1)
    return images - torch.cat([top, side], dim=1).mean(dim=1)[:, None, None]


def distance_from(centre_angstrom: Tensor, box: int, pixel_size: float) -> Tensor:
    """Distance (n, D, D), Å, of every pixel from a point (x, y) about the box centre.

    Parameters
    ----------
    centre_angstrom : Tensor, shape (n, 2)
    box : int
    pixel_size : float
        Å.
    """
    axis = (torch.arange(box) - box // 2) * pixel_size
    x = axis[None, None, :] - centre_angstrom[:, 0, None, None]
    y = axis[None, :, None] - centre_angstrom[:, 1, None, None]
    return torch.hypot(x, y)


def normalised(
    images: Tensor, distance: Tensor, radius: float, pixel_size: float, extent: float
) -> Tensor:
    """Images whose pixels outside a circle have mean 0 and deviation 1.

    Parameters
    ----------
    images, distance : Tensor, shape (n, D, D)
    radius : float
        Of the circle, in the unit of `distance`.
    pixel_size : float
        Å.
    extent : float
        Side of the raw image, Å: working pixels beyond it are padding and say
        nothing of its background.
    """
    box = images.shape[-1]
    axis = (torch.arange(box) - box // 2) * pixel_size
    real = (axis >= -0.5 * extent - 1e-3) & (axis < 0.5 * extent)
    outside = (distance > radius) & (real[:, None] & real[None, :])
    number = outside.sum(dim=(1, 2)).clamp(min=1)
    mean = (images * outside).sum(dim=(1, 2)) / number
    centred = images - mean[:, None, None]
    deviation = ((centred.square() * outside).sum(dim=(1, 2)) / number).sqrt()
    # A noise-free background has no deviation to go by: then the whole image's.
    whole = centred.flatten(1).std(dim=1)
    deviation = torch.where(deviation > 1e-6 * whole, deviation, whole)
    return centred / deviation[:, None, None]


def soft_mask(distance: Tensor, radius: float, edge: float) -> Tensor:
    """1 within `radius`, falling to 0 as a cosine over the next `edge` (one unit for all)."""
    depth = ((distance - radius) / max(edge, 1e-3)).clamp(0.0, 1.0)
    return 0.5 * (1.0 + torch.cos(torch.pi * depth))
