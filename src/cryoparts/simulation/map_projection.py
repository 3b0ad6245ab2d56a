"""Projection of a density map by central slices of its Fourier transform.

The map is padded twofold and the transform is interpolated with cubic B-splines
(Unser 1999, IEEE Signal Process. Mag. 16, 22); the spline's transform is divided
out of the map beforehand. Frequencies are in 1/Å, so images may have any pixel
and box size; beyond the map's Nyquist frequency they are empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy.fft
from numba import get_num_threads, njit, prange

from cryoparts.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PADDING = 2
"""Side of the padded map over its own, for interpolation in Fourier space."""


@dataclass(frozen=True)
class FourierMap:
    """The interpolation coefficients of a map's transform.

    Parameters
    ----------
    coefficients : complex64 array, shape (M, M, M // 2 + 3)
        [kz, ky, kx + 2], kz and ky with 0 at M // 2, kx from -2 to M // 2, so
        that the neighbours of every slice point are in the array.
    step : float
        Distance of the samples, 1/Å.
    highest : float
        The map's Nyquist frequency, 1/Å.
    """

    coefficients: NDArray[np.complex64]
    step: float
    highest: float

    @classmethod
    def of(cls, density: ArrayLike, voxel_size_angstrom: float) -> Self:
        """Transform a map [z, y, x] of side N about voxel N // 2."""
        values = np.asarray(density, dtype=np.float32)
        side = values.shape[0]
        if values.shape != (side, side, side):
            raise ValueError(f"a map must be a cube, got {values.shape}")
        padded = PADDING * side
        # A spline of unit spacing in k has the transform sinc^4(x / padded).
        along = np.sinc((np.arange(side) - side // 2) / padded) ** -4.0
        values = values * (along[:, None, None] * along[:, None] * along).astype(np.float32)
        whole = np.zeros((padded,) * 3, dtype=np.float32)
        first = padded // 2 - side // 2
        inner = slice(first, first + side)
        whole[inner, inner, inner] = values
        half = scipy.fft.rfftn(np.fft.ifftshift(whole), workers=get_num_threads())
        half = np.fft.fftshift(half, axes=(0, 1))
        # F(-k) is the conjugate of F(k): mirror two columns below kx = 0.
        mirrored = np.conj(np.roll(half[::-1, ::-1, 1:3], 1, axis=(0, 1)))[:, :, ::-1]
        coefficients = np.concatenate([mirrored, half], axis=2).astype(np.complex64)
        return cls(coefficients, 1.0 / (padded * voxel_size_angstrom), 0.5 / voxel_size_angstrom)


def project_map(
    fourier_map: FourierMap,
    rotations: ArrayLike,
    shifts_angstrom: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
) -> NDArray[np.complex64]:
    """Fourier half planes of B projections of a map.

    Parameters
    ----------
    fourier_map : FourierMap
    rotations : array, shape (B, 3, 3)
        Take the reference to the image.
    shifts_angstrom : array, shape (B, 2)
    box_size : int
        Side of the images, pixels.
    pixel_size_angstrom : float

    Returns
    -------
    complex64 array, shape (B, box_size, box_size // 2 + 1)
        Phase origin at pixel ``box_size // 2``; Y(0) is the sum of the map.
    """
    # The slice at (kx, ky) of the image is F(R^T (kx, ky, 0)): rows of R.
    axes = np.ascontiguousarray(np.asarray(rotations, dtype=np.float64)[:, :2, :])
    ky = np.fft.fftfreq(box_size, d=pixel_size_angstrom)
    kx = np.fft.rfftfreq(box_size, d=pixel_size_angstrom)
    planes = np.zeros((len(axes), box_size, len(kx)), dtype=np.complex64)
    _slice(fourier_map.coefficients, fourier_map.step, fourier_map.highest, axes, kx, ky, planes)
    shifts = np.asarray(shifts_angstrom, dtype=np.float64)
    along_x = np.exp(-2j * np.pi * shifts[:, 0, None] * kx)
    along_y = np.exp(-2j * np.pi * shifts[:, 1, None] * ky)
    phases = (along_y[:, :, None] * along_x[:, None, :]).astype(np.complex64)
    shifted: NDArray[np.complex64] = planes * phases
    return shifted


@compiled(parallel=True, nogil=True)
def _slice(
    coefficients: NDArray[np.complex64],
    step: float,
    highest: float,
    axes: NDArray[np.float64],
    kx: NDArray[np.float64],
    ky: NDArray[np.float64],
    planes: NDArray[np.complex64],
) -> None:
    """Interpolate the central slices, in place."""
    middle = coefficients.shape[0] // 2
    for image in prange(planes.shape[0]):
        a = axes[image]
        for row in range(len(ky)):
            for column in range(len(kx)):
                x = kx[column] * a[0, 0] + ky[row] * a[1, 0]
                y = kx[column] * a[0, 1] + ky[row] * a[1, 1]
                z = kx[column] * a[0, 2] + ky[row] * a[1, 2]
                # Two samples short of Nyquist the neighbours are all there.
                if x * x + y * y + z * z >= (highest - 2.0 * step) ** 2:
                    continue
                sign = -1.0 if x < 0.0 else 1.0
                value = _interpolate(
                    coefficients,
                    sign * x / step + 2.0,
                    sign * y / step + middle,
                    sign * z / step + middle,
                )
                planes[image, row, column] = value if sign > 0.0 else np.conj(value)


@njit(nogil=True, inline="always")  # type: ignore[misc, unused-ignore]
def _interpolate(coefficients: NDArray[np.complex64], x: float, y: float, z: float) -> complex:
    """Cubic B-spline interpolation at column x, row y, section z of the array."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    across, down, deep = _weights(x - i), _weights(y - j), _weights(z - k)
    total = 0.0 + 0.0j
    for c in range(4):
        for b in range(4):
            line = 0.0 + 0.0j
            for a in range(4):
                line += across[a] * coefficients[k - 1 + c, j - 1 + b, i - 1 + a]
            total += deep[c] * down[b] * line
    return total


@njit(nogil=True, inline="always")  # type: ignore[misc, unused-ignore]
def _weights(t: float) -> tuple[float, float, float, float]:
    """The cubic B-spline at the four samples around a fraction t of a step."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0,
        t * t * t / 6.0,
    )
