"""Slabs of a Fourier volume, each of which one thread fills.

Threads that add to one volume must not touch the same voxel. Copies of the volume would
cost its memory once a thread: 26 GB for four volumes of 512 voxels and 32 threads. So the
volume is cut into slabs of planes, and each thread inserts of every image the strips that
fall into its own. In each voxel the images are added in their order, however many there are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACROSS_Y, ACROSS_Z = 1, 2

_RADII, _ANGLES = 12, 32
"""Points of each image that tell where its samples fall."""


@dataclass(frozen=True)
class Slab:
    """Planes of a volume, by signed frequency.

    Parameters
    ----------
    axis : int
        What they are across: `ACROSS_Y` or `ACROSS_Z`.
    runs : tuple of (int, int)
        First plane and the one after the last of each run: two where the slab has the
        plane D / 2, which is the plane -D / 2 as well.
    """

    axis: int
    runs: tuple[tuple[int, int], ...]


def slabs_for(rotations: NDArray[np.floating], box_size: int, count: int) -> list[Slab]:
    """Cut a volume so that images in these poses give every slab as many samples.

    Parameters
    ----------
    rotations : array, shape (n, 3, 3)
        From the reference to the image.
    box_size : int
        Side D, even.
    count : int
        Slabs at the most; fewer where the samples lie in fewer planes.
    """
    half = box_size // 2
    if count <= 1 or not len(rotations):
        return [Slab(ACROSS_Z, ((-half, half + 1),))]
    places = _samples(half) @ rotations[:, :2]  # (n, points, 3): rows of R^T k
    places *= np.where(places[..., :1] < 0, -1, 1)
    # images that are all seen from one side lie in one plane across z, but not across y
    axis = max((ACROSS_Z, ACROSS_Y), key=lambda a: float(places[..., a].std()))
    planes = np.floor(places[..., axis]).astype(int).ravel() + half
    filled = np.bincount(planes, minlength=box_size).cumsum() / len(planes)
    wanted = np.arange(1, count) / count
    cuts = np.abs(filled[:, None] - wanted).argmin(axis=0) + 1 - half
    edges = np.unique([-half + 1, *np.clip(cuts, -half + 2, half), half + 1])
    runs = [((int(low), int(high)),) for low, high in itertools.pairwise(edges)]
    return [Slab(axis, run) for run in runs[:-1]] + [Slab(axis, (*runs[-1], (-half, -half + 1)))]


def _samples(half: int) -> NDArray[np.float64]:
    """Points (kx, ky) of a half plane, each standing for the same area."""
    radius = half * np.sqrt((np.arange(_RADII) + 0.5) / _RADII)
    angle = np.pi * ((np.arange(_ANGLES) + 0.5) / _ANGLES - 0.5)
    points = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(points.reshape(-1, 2))


@compiled(nogil=True, fastmath=True)
def _share(sums, powers, place, weight, shares):  # type: ignore[no-untyped-def]
    """Add a weight's share of a sample to two voxels that are neighbours along x."""
    # unsigned: numba does not look whether it counts from the end
    here, next_one = np.uint64(place), np.uint64(place + 1)
    near, far, near_power, far_power = shares
    sums[here] += weight * near
    sums[next_one] += weight * far
    powers[here] += weight * near_power
    powers[next_one] += weight * far_power


@compiled(nogil=True, fastmath=True)
def _crossing(slope, offset, low, high, first, last):  # type: ignore[no-untyped-def]
    """Of kx from `first` to `last` a run with all where low <= slope kx + offset <= high."""
    if abs(slope) < 1e-6:
        inside = low - 0.5 <= offset <= high + 0.5
        return first, last if inside else first
    start, end = (low - offset) / slope, (high - offset) / slope
    if start > end:
        start, end = end, start
    if end < first - 1.0 or start > last:
        return first, first
    # one more at either end: rounding must not lose a sample
    return max(first, int(np.floor(start)) - 1), min(last, int(np.ceil(end)) + 2)


@compiled(nogil=True, fastmath=True)
def insert_run(  # type: ignore[no-untyped-def]
    half_planes, ctf, rotations, shifts, chosen, weights, numerator, weight, axis, low, high
):
    """Add what of the chosen images falls into planes low ... high - 1, in place.

    As `ImageInserter.add`; planes are by signed frequency across `axis`.
    """
    box, columns = half_planes.shape[1:]
    half = box // 2
    limit = (half - 0.5) ** 2
    across_z = axis == ACROSS_Z
    ramp = np.empty(columns, np.complex64)
    sums, powers = numerator.reshape(-1), weight.reshape(-1)
    one = np.float32(1.0)
    for place in range(len(chosen)):
        b = chosen[place]
        r = rotations[place]
        for kx in range(columns):
            angle = 2.0 * np.pi * shifts[place, 0] * kx / box
            ramp[kx] = complex(np.cos(angle), np.sin(angle))
        for row in range(box):
            ky = row if row < half else row - box
            if ky * ky > limit:
                continue
            along_y = np.float32(ky)
            # of the conjugate pairs within column 0 one is enough
            first = 1 if ky < 0 else 0
            last = min(columns, int(np.sqrt(limit - ky * ky)) + 1)
            angle = 2.0 * np.pi * shifts[place, 1] * ky / box
            ramp_y = np.complex64(complex(np.cos(angle), np.sin(angle)))
            # where x < 0 the mate is inserted, at -x, -y, -z
            for mate in (False, True):
                sign = np.float32(-1.0 if mate else 1.0)
                slope, offset = sign * r[0, axis], sign * r[1, axis] * along_y
                begin, end = _crossing(slope, offset, low - 1.0, 1.0 * high, first, last)
                slope, offset = sign * r[0, 0], sign * r[1, 0] * along_y
                begin, end = _crossing(slope, offset, 0.0, 1.0 * box, begin, end)
                for kx in range(begin, end):
                    along_x = np.float32(kx)
                    x = r[0, 0] * along_x + r[1, 0] * along_y
                    if (x < 0) != mate:
                        continue
                    y = r[0, 1] * along_x + r[1, 1] * along_y
                    z = r[0, 2] * along_x + r[1, 2] * along_y
                    x, y, z = sign * x, sign * y, sign * z
                    x0, y0, z0 = int(x), int(np.floor(y)), int(np.floor(z))
                    cut = z0 if across_z else y0
                    near, far = low <= cut < high, low <= cut + 1 < high
                    if not (near or far):
                        continue
                    transfer = ctf[b, row, kx]
                    counted = weights[place] * transfer
                    value = half_planes[b, row, kx] * ramp[kx] * ramp_y * counted
                    power = transfer * counted
                    if kx == 0 and ky == 0:
                        # its own conjugate: the plane x = 0 is symmetrised later
                        value *= np.float32(0.5)
                        power *= np.float32(0.5)
                    if mate:
                        value = np.conj(value)
                    fx, fy, fz = x - np.float32(x0), y - np.float32(y0), z - np.float32(z0)
                    shares = (one - fx) * value, fx * value, (one - fx) * power, fx * power
                    z1, y1 = z0 + 1, y0 + 1
                    z0, z1 = z0 + (box if z0 < 0 else 0), z1 + (box if z1 < 0 else 0)
                    y0, y1 = y0 + (box if y0 < 0 else 0), y1 + (box if y1 < 0 else 0)
                    gz, gy = one - fz, one - fy
                    if near:
                        _share(sums, powers, (z0 * box + y0) * columns + x0, gz * gy, shares)
                    if near if across_z else far:
                        _share(sums, powers, (z0 * box + y1) * columns + x0, gz * fy, shares)
                    if far if across_z else near:
                        _share(sums, powers, (z1 * box + y0) * columns + x0, fz * gy, shares)
                    if far:
                        _share(sums, powers, (z1 * box + y1) * columns + x0, fz * fy, shares)
