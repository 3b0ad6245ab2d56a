"""Weighted insertion of images' transforms into a half volume (Fourier slice theorem).

A projection along z of the rotated object is a central slice of its transform,
``Y(k) = V(R^T (kx, ky, 0)) exp(-2 pi i k . t) CTF(k)``. Insertion is the adjoint:
each sample, times CTF and with the shift undone, is shared among the eight
voxels around its place by trilinear weights, and so are the CTF's squares.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.kernels.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    ComplexArray = NDArray[np.complex64]
    FloatArray = NDArray[np.float32]
    IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class FourierSums:
    """Sums over inserted images on the half volume of a cube of side D.

    Parameters
    ----------
    numerator : complex array, shape (D, D, D // 2 + 1)
        Sum of weight * CTF * Y with the shift undone; axes (z, y, x), unsigned
        frequency order, phase origin at voxel D // 2.
    weight : array, shape (D, D, D // 2 + 1)
        Sum of weight * CTF^2.
    n_images : int
    """

    numerator: ComplexArray
    weight: FloatArray
    n_images: int

    @classmethod
    def empty(cls, box_size: int) -> FourierSums:
        """No image yet."""
        shape = (box_size, box_size, box_size // 2 + 1)
        return cls(np.zeros(shape, np.complex64), np.zeros(shape, np.float32), 0)

    def __add__(self, other: FourierSums) -> FourierSums:
        """Sums over both sets of images."""
        return FourierSums(
            self.numerator + other.numerator,
            self.weight + other.weight,
            self.n_images + other.n_images,
        )

    def without(self, others: Sequence[FourierSums]) -> FourierSums:
        """Sums over the images that are here and in none of the others, which are all here."""
        numerator, weight, count = self.numerator.copy(), self.weight.copy(), self.n_images
        for other in others:
            numerator -= other.numerator
            weight -= other.weight
            count -= other.n_images
        # where no image is left, rounding may leave less than nothing
        return FourierSums(numerator, np.maximum(weight, 0, out=weight), count)


@dataclass(frozen=True)
class Members:
    """Which images of a batch go into one volume, how much each counts, and in which pose.

    Parameters
    ----------
    places : int array, shape (n,)
        In the batch.
    weights : array, shape (n,)
    rotations : array, shape (n, 3, 3), optional
        From the volume's reference to the image. Default: the batch's own.
    shifts_pixels : array, shape (n, 2), optional
        Given with `rotations`.
    """

    places: IntArray
    weights: NDArray[np.floating]
    rotations: NDArray[np.floating] | None = None
    shifts_pixels: NDArray[np.floating] | None = None


class ImageInserter:
    """Inserts images batch by batch into volumes that it keeps.

    One image may go into several volumes: read and transformed once, it serves
    all of them. Memory is that of the volumes, whatever the number of images.

    Parameters
    ----------
    box_size : int
        Side D of the images (padded, where they are), even.
    volumes : int
        How many sums are kept apart.
    threads : int
        Each works on volumes of its own. Where there are more threads than
        volumes every volume has several copies, which are added in a fixed order.
    """

    def __init__(self, box_size: int, *, volumes: int = 1, threads: int = 1) -> None:
        if box_size % 2:
            raise ValueError("half planes and CTFs of one even box are needed")
        self._box_size = box_size
        self._threads = max(1, threads)
        copies = -(-self._threads // max(1, volumes))
        self._volumes = [
            [FourierSums.empty(box_size) for _ in range(copies)] for _ in range(volumes)
        ]
        self._n_images = [0] * volumes

    def add(
        self,
        half_planes: ComplexArray,
        ctf: FloatArray,
        rotations: NDArray[np.floating],
        shifts_pixels: NDArray[np.floating],
        members: Sequence[Members] | None = None,
    ) -> None:
        """Insert a batch.

        Parameters
        ----------
        half_planes : complex64 array, shape (B, D, D // 2 + 1)
            Transforms of the images, phase origin at pixel D // 2.
        ctf : float32 array, shape (B, D, D // 2 + 1)
        rotations : array, shape (B, 3, 3)
            From the reference to the image.
        shifts_pixels : array, shape (B, 2)
            (x, y) by which the object was moved in each image, pixels.
        members : sequence of Members, optional
            Of each volume. Default: every image once, in every volume.

        Raises
        ------
        ValueError
            If shapes disagree, a matrix is no rotation or a place is not in the batch.
        """
        count, box = len(half_planes), self._box_size
        shape = (count, box, box // 2 + 1)
        if half_planes.shape != shape or ctf.shape != shape or len(rotations) != count:
            raise ValueError(
                "half planes and CTFs of one even box, and one rotation each, are needed"
            )
        if members is None:
            members = [Members(np.arange(count), np.ones(count))] * len(self._volumes)
        images = np.ascontiguousarray(half_planes), np.ascontiguousarray(ctf)

        def work(task: tuple[FourierSums, Members]) -> None:
            volume, own = task
            _insert(
                *images,
                np.ascontiguousarray(own.rotations, dtype=np.float32),
                np.ascontiguousarray(own.shifts_pixels, dtype=np.float32),
                own.places,
                np.ascontiguousarray(own.weights, dtype=np.float32),
                volume.numerator,
                volume.weight,
            )

        tasks = list(self._tasks(members, rotations, shifts_pixels))
        if self._threads == 1 or len(tasks) == 1:
            for task in tasks:
                work(task)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(work, tasks))

    def _tasks(
        self,
        members: Sequence[Members],
        rotations: NDArray[np.floating],
        shifts: NDArray[np.floating],
    ) -> Iterator[tuple[FourierSums, Members]]:
        """What is inserted where; no volume twice."""
        count = len(rotations)
        for number, one in enumerate(members):
            chosen = np.asarray(one.places, dtype=np.int64)
            if len(chosen) != len(one.weights) or not ((chosen >= 0) & (chosen < count)).all():
                raise ValueError("a volume's images must lie in the batch, with one weight each")
            turned = rotations[chosen] if one.rotations is None else one.rotations
            moved = shifts[chosen] if one.shifts_pixels is None else one.shifts_pixels
            if turned.shape != (len(chosen), 3, 3) or moved.shape != (len(chosen), 2):
                raise ValueError("a volume's images need one rotation and one shift each")
            # a matrix that lengthens vectors would write outside the volume
            most = min(1e-3, 0.25 / self._box_size)
            if not np.allclose(turned @ np.swapaxes(turned, 1, 2), np.eye(3), atol=most):
                raise ValueError("the rotations must be orthonormal matrices")
            copies = self._volumes[number]
            ends = np.linspace(0, len(chosen), len(copies) + 1).astype(int)
            for copy, (start, end) in zip(copies, itertools.pairwise(ends), strict=True):
                if end > start:
                    part = slice(start, end)
                    yield copy, Members(chosen[part], one.weights[part], turned[part], moved[part])
            self._n_images[number] += len(chosen)

    def finish(self) -> Iterator[FourierSums]:
        """The sums of each volume in turn, before `symmetrised`; hands them over and ends."""
        volumes, self._volumes = self._volumes, []
        for count in self._n_images:
            first, *others = volumes.pop(0)
            for copy in others:
                np.add(first.numerator, copy.numerator, out=first.numerator)
                np.add(first.weight, copy.weight, out=first.weight)
            yield FourierSums(first.numerator, first.weight, count)


def insert_images(
    half_planes: ComplexArray,
    ctf: FloatArray,
    rotations: NDArray[np.floating],
    shifts_pixels: NDArray[np.floating],
    *,
    weights: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> FourierSums:
    """Insert images, each counted `weights` times, into one empty half volume."""
    count = len(half_planes)
    inserter = ImageInserter(half_planes.shape[1], threads=min(threads, max(1, count)))
    each = np.ones(count) if weights is None else weights
    inserter.add(half_planes, ctf, rotations, shifts_pixels, [Members(np.arange(count), each)])
    return next(inserter.finish())


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
def _insert(  # type: ignore[no-untyped-def]
    half_planes, ctf, rotations, shifts, chosen, weights, numerator, weight
):
    """Add the chosen images, each in its pose, to `numerator` and `weight`, in place."""
    box, columns = half_planes.shape[1:]
    half = box // 2
    limit = (half - 0.5) ** 2
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
            angle = 2.0 * np.pi * shifts[place, 1] * ky / box
            ramp_y = np.complex64(complex(np.cos(angle), np.sin(angle)))
            along_y = np.float32(ky)
            # of the conjugate pairs within column 0 one is enough
            first = 1 if ky < 0 else 0
            last = min(columns, int(np.sqrt(limit - ky * ky)) + 1)
            for kx in range(first, last):
                along_x = np.float32(kx)
                x = r[0, 0] * along_x + r[1, 0] * along_y
                y = r[0, 1] * along_x + r[1, 1] * along_y
                z = r[0, 2] * along_x + r[1, 2] * along_y
                transfer = ctf[b, row, kx]
                counted = weights[place] * transfer
                value = half_planes[b, row, kx] * ramp[kx] * ramp_y * counted
                power = transfer * counted
                if kx == 0 and ky == 0:
                    # its own conjugate: the plane x = 0 is symmetrised later
                    value *= np.float32(0.5)
                    power *= np.float32(0.5)
                if x < 0:
                    x, y, z, value = -x, -y, -z, np.conj(value)
                x0, y0, z0 = int(x), int(np.floor(y)), int(np.floor(z))
                fx = x - np.float32(x0)
                fy = y - np.float32(y0)
                fz = z - np.float32(z0)
                shares = (one - fx) * value, fx * value, (one - fx) * power, fx * power
                z1, y1 = z0 + 1, y0 + 1
                z0, z1 = z0 + (box if z0 < 0 else 0), z1 + (box if z1 < 0 else 0)
                y0, y1 = y0 + (box if y0 < 0 else 0), y1 + (box if y1 < 0 else 0)
                gz, gy = one - fz, one - fy
                _share(sums, powers, (z0 * box + y0) * columns + x0, gz * gy, shares)
                _share(sums, powers, (z0 * box + y1) * columns + x0, gz * fy, shares)
                _share(sums, powers, (z1 * box + y0) * columns + x0, fz * gy, shares)
                _share(sums, powers, (z1 * box + y1) * columns + x0, fz * fy, shares)


def symmetrised(sums: FourierSums) -> FourierSums:
    """The sums with Friedel mates added on the plane x = 0, which holds both of each pair."""
    numerator, weight = sums.numerator.copy(), sums.weight.copy()
    numerator[:, :, 0] += _mates(sums.numerator[:, :, 0]).conj()
    weight[:, :, 0] += _mates(sums.weight[:, :, 0])
    return FourierSums(numerator, weight, sums.n_images)


def _mates(plane: NDArray[Any]) -> NDArray[Any]:
    """Values at (-z, -y) of a plane in unsigned frequency order."""
    return np.roll(plane[::-1, ::-1], 1, axis=(0, 1))
