"""Fourier ring correlation of images and Fourier shell correlation of maps.

Rings hold the frequencies whose length rounds to the ring's number (see
`cryoparts.imaging.fourier.ring_index`), from 0 to the Nyquist ring D // 2; the
corners of the plane belong to none. Sums run over the full plane: a half
plane's conjugate pairs are counted through `ring_weights`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.fft import rfftn
from torch import Tensor

from cryoparts.imaging.fourier import ring_count, ring_index, ring_weights
from cryoparts.imaging.shells import shell_sums
from cryoparts.kernels.ring_sums import ring_sums

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def ring_products(a: Tensor, b: Tensor) -> Tensor:
    """Inner products Re<a, b> of two sets of transforms, ring by ring.

    Parameters
    ----------
    a, b : Tensor, shape (B, D, D // 2 + 1)
        Complex half planes.

    Returns
    -------
    Tensor, shape (B, D // 2 + 1)
        Real; sums over the pixels of the full plane in each complete ring.
    """
    return ring_statistics(a, b)[0]


def ring_statistics(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three inner products that a correlation needs, in one pass.

    Parameters
    ----------
    a, b : Tensor, shape (B, D, D // 2 + 1)
        Complex half planes.

    Returns
    -------
    ab, aa, bb : Tensor, shape (B, D // 2 + 1)
        Re<a, b>, <a, a> and <b, b>; sums as in `ring_products`.

    Raises
    ------
    ValueError
        If the half planes differ in shape or do not have three dimensions.
    """
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"two sets of half planes are needed, got {a.shape} and {b.shape}")
    box = a.shape[-2]
    weights = ring_weights(box, a.device).to(a.real.dtype)
    sums = ring_sums(a, b, ring_index(box, a.device), weights, ring_count(box))
    return sums[0], sums[1], sums[2]


def fourier_ring_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of two sets of images, ring by ring.

    ``Re<a, b> / sqrt(<a, a> <b, b>)``; 0, with zero gradient, on rings where
    either image has no power.

    Parameters
    ----------
    a, b : Tensor, shape (B, D, D // 2 + 1)
        Complex half planes.

    Returns
    -------
    Tensor, shape (B, D // 2 + 1)
    """
    return correlation_from_products(*ring_statistics(a, b))


def correlation_from_products(ab: Tensor, aa: Tensor, bb: Tensor) -> Tensor:
    """``ab / sqrt(aa bb)``, and 0 with zero gradient where aa or bb vanishes.

    Parameters
    ----------
    ab, aa, bb : Tensor
        Inner products of one shape.
    """
    tiny = torch.finfo(ab.dtype).tiny
    powered = (aa > tiny) & (bb > tiny)
    one = torch.ones_like(ab)
    norm = torch.sqrt(torch.where(powered, aa, one)) * torch.sqrt(torch.where(powered, bb, one))
    return torch.where(powered, ab / norm, torch.zeros_like(ab))


def fourier_shell_correlation(map_1: ArrayLike, map_2: ArrayLike) -> NDArray[np.float64]:
    """Correlation of two maps, shell by shell.

    Parameters
    ----------
    map_1, map_2 : array, shape (D, D, D)

    Returns
    -------
    array, shape (D // 2 + 1,)
        Of shells 0 ... D // 2; shell s has frequency s / (D pixels). 0 where
        either map has no power.

    Raises
    ------
    ValueError
        If the maps are not cubes of one size.
    """
    first, second = np.asarray(map_1), np.asarray(map_2)
    box = first.shape[0]
    if first.shape != (box, box, box) or second.shape != first.shape:
        raise ValueError(f"the maps must be cubes of one size, got {first.shape}, {second.shape}")
    a = rfftn(first.astype(np.float64))
    b = rfftn(second.astype(np.float64))
    cross = shell_sums((a * b.conj()).real)
    power = shell_sums(np.abs(a) ** 2) * shell_sums(np.abs(b) ** 2)
    return np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
