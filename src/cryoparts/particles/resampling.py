"""One working pixel size and box for particles of several.

Cropping the Fourier transform of an image of N pixels to M multiplies its pixel
size by N / M exactly. An image may be padded before and cropped or padded after,
both in real space about the centre, so N is free above the image's own box: it
is chosen with M so that N / M is as near the wanted ratio as can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cryoparts.errors import InputError
from cryoparts.imaging.fourier import fourier_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

DEFAULT_BOX = 64
SCALE_TOLERANCE = 1e-3
"""Residual error of the pixel size that is good enough to stop padding further."""
FINE_TOLERANCE = 1e-6
"""Pixel sizes that agree to this are one."""


@dataclass(frozen=True)
class Resampling:
    """How images of one box and pixel size become working images.

    Parameters
    ----------
    box_size : int
        Of the images.
    pixel_size : float
        Å.
    padded : int
        Box N after padding in real space.
    cropped : int
        Box M after cropping the transform.
    working_box : int
        Box after cropping or padding in real space.
    scale_error : float
        Relative error of the pixel size that is left.
    """

    box_size: int
    pixel_size: float
    padded: int
    cropped: int
    working_box: int
    scale_error: float

    def apply(self, images: Tensor) -> Tensor:
        """Working images (n, W, W) of images (n, D, D) whose background is near 0."""
        resampled = fourier_crop(central(images, self.padded), self.cropped)
        return central(resampled, self.working_box)


@dataclass(frozen=True)
class WorkingGrid:
    """The common grid, and the way of every kind of image to it.

    Parameters
    ----------
    box_size : int
    pixel_size : float
        Å.
    kinds : tuple of Resampling
    kind_of_particle : int array, shape (P,)
        Index into `kinds`.
    """

    box_size: int
    pixel_size: float
    kinds: tuple[Resampling, ...]
    kind_of_particle: NDArray[np.int64]

    @property
    def extent_angstrom(self) -> float:
        """Side of the working images, or of the smallest raw image if that is less."""
        smallest = min(kind.box_size * kind.pixel_size for kind in self.kinds)
        return min(self.box_size * self.pixel_size, smallest)


def working_grid(table: ParticleTable, box_size: int | None) -> WorkingGrid:
    """Choose the working grid: the commonest kind of image is cropped exactly to it.

    Parameters
    ----------
    table : ParticleTable
    box_size : int, optional
        Working box, pixels. Default: 64, or the images' box if that is smaller.

    Raises
    ------
    InputError
        If the working box is larger than the images, or pixel sizes cannot be
        brought together.
    """
    pairs = np.stack([table.box_size.astype(np.float64), table.pixel_size_angstrom], axis=1)
    # 1.31 and float32's 1.3099999 are one pixel size.
    rounded = np.round(pairs / [1.0, FINE_TOLERANCE]) * [1.0, FINE_TOLERANCE]
    different, kind, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    main_box, main_pixel = int(different[counts.argmax(), 0]), float(different[counts.argmax(), 1])
    box = box_size if box_size is not None else min(DEFAULT_BOX, main_box)
    if box > main_box:
        raise InputError(
            "--box-size",
            f"must be at most the box of the images, {main_box} pixels, got {box}",
            "Leave it out or give a smaller even number.",
        )
    pixel = main_pixel * main_box / box
    kinds = tuple(_resampling(int(b), float(p), box, pixel) for b, p in different)
    return WorkingGrid(box, pixel, kinds, kind.reshape(-1).astype(np.int64))


def _resampling(box: int, pixel: float, working_box: int, working_pixel: float) -> Resampling:
    """The padding N and crop M of images (box, pixel) with N pixel / M nearest to the aim."""
    padded = np.arange(box, 2 * box + 1, 2)
    cropped = np.maximum(2, 2 * np.rint(padded * pixel / working_pixel / 2).astype(np.int64))
    # A coarser image cannot be made finer by cropping; it keeps its own pixels.
    error = np.abs(padded * pixel / (cropped * working_pixel) - 1)
    error[cropped > padded] = np.inf
    good = np.flatnonzero(error <= SCALE_TOLERANCE / 10)
    best = int(good[0]) if len(good) else int(error.argmin())
    if not error[best] <= SCALE_TOLERANCE:
        raise InputError(
            "--box-size",
            f"images of {box} pixels at {pixel:.4g} Å cannot be brought to the working pixel size "
            f"of {working_pixel:.4g} Å",
            "Give a smaller --box-size, or run the optics groups one at a time.",
        )
    return Resampling(
        box, pixel, int(padded[best]), int(cropped[best]), working_box, float(error[best])
    )


def central(images: Tensor, size: int) -> Tensor:
    """Images cropped, or padded with 0, to `size` pixels with pixel D // 2 kept at the centre.

    Parameters
    ----------
    images : Tensor, shape (n, D, D)
    size : int

    Returns
    -------
    Tensor, shape (n, size, size)
    """
    box = images.shape[-1]
    before = size // 2 - box // 2
    after = size - box - before
    padded: Tensor = torch.nn.functional.pad(images, (before, after, before, after))
    return padded
