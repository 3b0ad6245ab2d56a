"""Shells of the half volume: which voxel lies in which, and sums over them.

Shell s holds the voxels whose spatial frequency, in steps of 1 / (D pixels), rounds to s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]


def radius_of_half_volume(box_size: int) -> FloatArray:
    """|k| of the half volume in shells (units of 1 / (D pixels)), shape (D, D, D // 2 + 1)."""
    k = np.fft.fftfreq(box_size, 1.0 / box_size)
    kx = np.arange(box_size // 2 + 1)
    radius: FloatArray = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2)
    return radius


def shells_of_half_volume(box_size: int, padding: int = 1) -> NDArray[np.int16]:
    """Shell of every voxel of a half volume, in steps of the unpadded box's frequency.

    Parameters
    ----------
    box_size : int
        Side of the (padded) volume.
    padding : int
        How many times the side of the unpadded box that is.

    Returns
    -------
    array, shape (box_size, box_size, box_size // 2 + 1)
        Rounded |k|; the corners beyond the Nyquist shell are clipped to one shell above it.
    """
    k = np.fft.fftfreq(box_size, 1.0 / box_size).astype(np.float32)
    kx = np.arange(box_size // 2 + 1, dtype=np.float32)
    # single precision tells shells apart, and a volume of it is large enough
    length = k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2
    np.sqrt(length, out=length)
    length /= np.float32(padding)
    np.rint(length, out=length)
    np.minimum(length, box_size // padding // 2 + 1, out=length)
    return length.astype(np.int16)


def conjugate_pairs(box_size: int) -> FloatArray:
    """How many voxels of the whole volume each column (D // 2 + 1) of the half volume is: 1 or 2.

    The columns 0 and, of an even box, D / 2 hold both of each pair of conjugates.
    """
    kx = np.arange(box_size // 2 + 1)
    return np.where((kx > 0) & (2 * kx != box_size), 2.0, 1.0)


def shell_sums(values: ArrayLike) -> FloatArray:
    """Sums over the whole volume's voxels in each shell 0 ... D // 2.

    Parameters
    ----------
    values : array, shape (D, D, D // 2 + 1)
        Real; on the half volume, alike at conjugate voxels.
    """
    half = np.asarray(values, dtype=np.float64)
    box = half.shape[0]
    weighted = half * conjugate_pairs(box)
    sums = np.bincount(shells_of_half_volume(box).ravel(), weights=weighted.ravel())
    return np.asarray(sums[: box // 2 + 1], dtype=np.float64)
