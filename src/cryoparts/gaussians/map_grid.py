"""Maps on other grids: resampling and low-pass filtering in Fourier space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from cryoparts.conventions import box_centre

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resample(density: NDArray[np.floating], new_size: int) -> NDArray[np.float32]:
    """Crop or pad a cubic map's Fourier transform, so that D voxels become `new_size`.

    The same density is sampled at another pitch: values keep their scale, and
    what was at voxel D // 2 is at voxel new_size // 2.

    Parameters
    ----------
    density : array, shape (D, D, D)
    new_size : int
        Side of the new grid; the new voxel size is the old one times D / new_size.

    Returns
    -------
    float32 array, shape (new_size, new_size, new_size)
    """
    size = len(density)
    if new_size == size:
        return np.array(density, dtype=np.float32)
    spectrum = fft.fftshift(fft.fftn(fft.ifftshift(density.astype(np.float32))))
    common = min(size, new_size)
    result = np.zeros((new_size,) * 3, dtype=np.complex64)
    source = _central(size, common)
    target = _central(new_size, common)
    result[target, target, target] = spectrum[source, source, source]
    values = fft.fftshift(fft.ifftn(fft.ifftshift(result)).real)
    return np.asarray(values * (new_size / size) ** 3, dtype=np.float32)


def _central(size: int, common: int) -> slice:
    start = box_centre(size) - box_centre(common)
    return slice(start, start + common)


def low_pass(
    density: NDArray[np.floating], voxel_size: float, width_angstrom: float
) -> NDArray[np.float32]:
    """Convolve a periodic map with a Gaussian of unit integral, exactly (in Fourier space).

    Parameters
    ----------
    density : array, shape (D, D, D)
    voxel_size, width_angstrom : float
        Å.
    """
    size = len(density)
    line = np.square(fft.fftfreq(size, voxel_size))
    half = np.square(fft.rfftfreq(size, voxel_size))
    squared = line[:, None, None] + line[None, :, None] + half[None, None, :]
    damping = np.exp(-2.0 * (np.pi * width_angstrom) ** 2 * squared).astype(np.float32)
    spectrum = fft.rfftn(np.asarray(density, dtype=np.float32)) * damping
    return np.asarray(fft.irfftn(spectrum, density.shape), dtype=np.float32)
