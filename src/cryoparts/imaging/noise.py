"""White and coloured noise, and the spectrum of noise in images.

A spectrum is the power |Y|^2 / D^2 of each ring of the transform, so white
noise of variance v has the spectrum v at every ring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cryoparts.imaging.fourier import (
    inverse_transform,
    ring_count,
    ring_index,
    ring_weights,
    transform,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def white_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Independent normal values of mean 0 and variance 1.

    Parameters
    ----------
    shape : sequence of int
    generator : torch.Generator
        The only source of randomness; the result is on its device.

    Returns
    -------
    Tensor, shape `shape`
        float32.
    """
    return torch.randn(*shape, generator=generator, device=generator.device)


def coloured_noise(shape: Sequence[int], spectrum: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise whose power depends on the ring.

    Parameters
    ----------
    shape : sequence of int
        (..., D, D).
    spectrum : Tensor, shape (D // 2 + 1,)
        Expected |Y|^2 / D^2 of each ring; the corners of the plane get the last
        ring's.
    generator : torch.Generator
        The only source of randomness; the result is on its device.

    Returns
    -------
    Tensor, shape (..., D, D)
        float32 images.

    Raises
    ------
    ValueError
        If the spectrum does not fit the box or is negative somewhere.
    """
    box = shape[-1]
    if spectrum.shape != (ring_count(box),) or bool((spectrum < 0).any()):
        raise ValueError(
            f"a spectrum for boxes of {box} pixels needs {ring_count(box)} values >= 0, "
            f"got shape {tuple(spectrum.shape)}"
        )
    ring = ring_index(box, generator.device).clamp(max=ring_count(box) - 1)
    gain = torch.sqrt(spectrum.to(device=generator.device, dtype=torch.float32))[ring]
    return inverse_transform(transform(white_noise(shape, generator)) * gain)


def noise_spectrum(images: Tensor) -> Tensor:
    """Mean power |Y|^2 / D^2 of each ring over a set of images.

    Parameters
    ----------
    images : Tensor, shape (..., D, D)
        Of noise alone, or with the signal taken off.

    Returns
    -------
    Tensor, shape (D // 2 + 1,)
    """
    box = images.shape[-1]
    rings = ring_count(box)
    half = transform(images.reshape(-1, box, box))
    power = half.abs().square().mean(dim=0) / box**2
    weights = ring_weights(box, images.device).to(power.dtype).flatten()
    index = ring_index(box, images.device).clamp(max=rings).flatten()
    sums = power.new_zeros(rings + 1).index_add(0, index, power.flatten() * weights)
    counts = power.new_zeros(rings + 1).index_add(0, index, weights)
    return (sums / counts)[:rings]
