"""Projection of a whole atomic model, group by group, onto Fourier half planes.

The atoms are spread as cubic B-splines onto a grid finer than the image, and the
spline is divided out in Fourier space. Its alias then lies beyond the image's
Nyquist frequency: with the threefold grid the error is below 1e-3 of the image
(Unser 2000, Proc. IEEE 88, 1591, for the splines; the scheme is that of a
non-uniform FFT). Atoms belong to groups that move rigidly and may be absent, so
one kernel serves composition (weights of the groups) and motion (their
placements).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy.fft
from numba import get_num_threads, njit, prange

from cryoparts.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float32Array = NDArray[np.float32]

ATOM_WIDTH_ANGSTROM = 0.9
"""Standard deviation of every atom, Å: a B-factor of 8 pi² 0.9² = 64 Å²."""

OVERSAMPLING = 3
"""How much finer than the image the grid is onto which atoms are spread."""


@dataclass(frozen=True)
class AtomGroups:
    """Atoms sorted by the group they belong to.

    Parameters
    ----------
    positions : float32 array, shape (A, 3)
        (x, y, z) about the box centre, Å.
    masses : float32 array, shape (A,)
        Scattering mass.
    starts : int64 array, shape (G + 1,)
        Group g holds the atoms ``starts[g]:starts[g + 1]``.
    """

    positions: Float32Array
    masses: Float32Array
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, positions: ArrayLike, masses: ArrayLike, group: ArrayLike, n_groups: int) -> Self:
        """Sort atoms by `group` (A,), whole numbers from 0 to ``n_groups - 1``."""
        labels = np.asarray(group, dtype=np.int64)
        if labels.size and (labels.min() < 0 or labels.max() >= n_groups):
            raise ValueError(f"groups must lie in 0..{n_groups - 1}")
        order = np.argsort(labels, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=n_groups))])
        return cls(
            np.ascontiguousarray(np.asarray(positions, dtype=np.float32)[order]),
            np.ascontiguousarray(np.asarray(masses, dtype=np.float32)[order]),
            starts.astype(np.int64),
        )

    @property
    def n_groups(self) -> int:
        """Number of groups, empty ones counted."""
        return len(self.starts) - 1


def project_groups(
    atoms: AtomGroups,
    matrices: ArrayLike,
    offsets: ArrayLike,
    weights: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    atom_width_angstrom: float = ATOM_WIDTH_ANGSTROM,
) -> NDArray[np.complex64]:
    """Fourier half planes of B projections, each from its own placement of the groups.

    ``Y(k) = exp(-2 pi² w² |k|²) sum_g weight_g sum_{n in g} mass_n exp(-2 pi i k . u_n)``
    with ``u_n = matrix_g x_n + offset_g`` the atom's place in the image.

    Parameters
    ----------
    matrices : array, shape (B, G, 2, 3)
        First two rows of each group's rotation into the image.
    offsets : array, shape (B, G, 2)
        (x, y), Å, added after it. An atom outside the box wraps around, as by a
        phase ramp.
    weights : array, shape (B, G)
        Factor of the group's masses; groups of weight 0 cost nothing.
    box_size : int
        Side of the images, pixels, even.
    pixel_size_angstrom : float
        Å per pixel.
    atom_width_angstrom : float
        Standard deviation of the atoms, Å.

    Returns
    -------
    complex64 array, shape (B, box_size, box_size // 2 + 1)
        Phase origin at pixel ``box_size // 2``, no normalisation.
    """
    fine = OVERSAMPLING * box_size
    scale = OVERSAMPLING / pixel_size_angstrom
    placed = np.ascontiguousarray(np.asarray(matrices, dtype=np.float64) * scale, dtype=np.float32)
    shifted = np.asarray(offsets, dtype=np.float64) * scale + fine // 2
    factors = np.ascontiguousarray(weights, dtype=np.float32)
    expected = (len(placed), atoms.n_groups)
    if placed.shape != (*expected, 2, 3) or shifted.shape != (*expected, 2):
        raise ValueError(f"matrices and offsets must be (B, {atoms.n_groups}, 2, 3) and (.., 2)")
    if factors.shape != expected:
        raise ValueError(f"weights have shape {factors.shape}, they should have {expected}")
    grids = np.zeros((len(placed), fine, fine), dtype=np.float32)
    _spread(
        atoms.positions,
        atoms.masses,
        atoms.starts,
        placed,
        np.ascontiguousarray(shifted, dtype=np.float32),
        factors,
        grids,
    )
    planes = scipy.fft.rfft2(grids, workers=get_num_threads())
    correction = _correction(box_size, pixel_size_angstrom, atom_width_angstrom)
    return _crop(planes, box_size) * correction


def _crop(planes: NDArray[np.complex64], box_size: int) -> NDArray[np.complex64]:
    """Keep the frequencies of an image of side `box_size`, Nyquist's included.

    The Nyquist row stands for both signs of the frequency; a real image needs
    their mean (along the Nyquist column the inverse transform takes it itself).
    """
    half = box_size // 2
    upper, nyquist, lower = planes[:, :half], planes[:, [half, -half]], planes[:, 1 - half :]
    rows = (upper, nyquist.mean(axis=1, keepdims=True), lower)
    return np.concatenate([part[..., : half + 1] for part in rows], axis=1)


def _correction(box_size: int, pixel_size: float, width: float) -> Float32Array:
    """The atoms' Gaussian over the spline's transform, with the phase origin at the centre."""
    fine = OVERSAMPLING * box_size
    cycles_y = np.fft.fftfreq(box_size)[:, None]
    cycles_x = np.fft.rfftfreq(box_size)[None, :]
    spline = (np.sinc(cycles_y / OVERSAMPLING) * np.sinc(cycles_x / OVERSAMPLING)) ** 4
    squared = (cycles_y**2 + cycles_x**2) / pixel_size**2
    envelope = np.exp(-2.0 * math.pi**2 * width**2 * squared)
    # exp(2 pi i k . centre), the centre at fine // 2: a sign for every frequency.
    row = np.rint(cycles_y * box_size) * (fine // 2)
    column = np.rint(cycles_x * box_size) * (fine // 2)
    phase = np.cos(2.0 * math.pi * (row + column) / fine)
    correction: Float32Array = (envelope / spline * phase).astype(np.float32)
    return correction


@compiled(parallel=True, fastmath=True, nogil=True)
def _spread(
    positions: Float32Array,
    masses: Float32Array,
    starts: NDArray[np.int64],
    matrices: Float32Array,
    offsets: Float32Array,
    weights: Float32Array,
    grids: Float32Array,
) -> None:
    """Add every atom as a cubic B-spline to the grid of each of the B images, in place."""
    side = grids.shape[1]
    for image in prange(grids.shape[0]):
        grid = grids[image]
        for group in range(len(starts) - 1):
            weight = weights[image, group]
            if weight == 0.0:
                continue
            m = matrices[image, group]
            a, b, c = m[0, 0], m[0, 1], m[0, 2]
            d, e, f = m[1, 0], m[1, 1], m[1, 2]
            dx, dy = offsets[image, group, 0], offsets[image, group, 1]
            for n in range(starts[group], starts[group + 1]):
                x, y, z = positions[n, 0], positions[n, 1], positions[n, 2]
                u = a * x + b * y + c * z + dx
                v = d * x + e * y + f * z + dy
                _add_spline(grid, side, u, v, weight * masses[n])


@njit(fastmath=True, inline="always")  # type: ignore[misc, unused-ignore]
def _add_spline(grid: Float32Array, side: int, u: float, v: float, mass: float) -> None:
    """Add one cubic B-spline of integral `mass` at column u, row v, wrapping around."""
    column, row = int(np.floor(u)), int(np.floor(v))
    across = _spline_weights(u - np.float32(column))
    down = _spline_weights(v - np.float32(row))
    if 1 <= column < side - 2 and 1 <= row < side - 2:
        for j in range(4):
            height = mass * down[j]
            for i in range(4):
                grid[row - 1 + j, column - 1 + i] += height * across[i]
    else:
        for j in range(4):
            height = mass * down[j]
            for i in range(4):
                grid[(row - 1 + j) % side, (column - 1 + i) % side] += height * across[i]


@njit(fastmath=True, inline="always")  # type: ignore[misc, unused-ignore]
def _spline_weights(t: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """The cubic B-spline at the four grid points around a fraction t of a step."""
    # Constants of single precision: a double one would make all of it double.
    sixth, two_thirds, half = np.float32(1 / 6), np.float32(2 / 3), np.float32(0.5)
    s = np.float32(1) - t
    return (
        s * s * s * sixth,
        two_thirds - t * t * (np.float32(1) - half * t),
        two_thirds - s * s * (np.float32(1) - half * s),
        t * t * t * sixth,
    )
