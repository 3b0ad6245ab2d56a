"""Weighted insertion of images' transforms into a half volume (Fourier slice theorem).

A projection along z of the rotated object is a central slice of its transform,
``Y(k) = V(R^T (kx, ky, 0)) exp(-2 pi i k . t) CTF(k)``. Insertion is the adjoint:
each sample, times CTF and with the shift undone, is shared among the eight
voxels around its place by trilinear weights, and so are the CTF's squares
(`slabs.insert_run`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryoparts.reconstruction.slabs import insert_run, slabs_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cryoparts.reconstruction.slabs import Slab

    ComplexArray = NDArray[np.complex64]
    FloatArray = NDArray[np.float32]
    IntArray = NDArray[np.int64]


SPARE = 2
"""Slabs for each thread: one that has finished early takes another."""


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
        Each works on volumes of its own, or on slabs of them (`slabs`).
    """

    def __init__(self, box_size: int, *, volumes: int = 1, threads: int = 1) -> None:
        if box_size % 2:
            raise ValueError("half planes and CTFs of one even box are needed")
        self._box_size = box_size
        self._volumes = [FourierSums.empty(box_size) for _ in range(volumes)]
        self._n_images = [0] * volumes
        self._threads = max(1, threads)
        self._slabs = 1 if self._threads == 1 else -(-SPARE * self._threads // max(1, volumes))

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
        posed = [_posed(one, rotations, shifts_pixels, box) for one in members]
        tasks = [
            (volume, one, slab)
            for volume, one in zip(self._volumes, posed, strict=True)
            if len(one.places)
            for slab in slabs_for(one.rotations, box, self._slabs)
        ]

        def work(task: tuple[FourierSums, _Posed, Slab]) -> None:
            volume, own, slab = task
            for low, high in slab.runs:
                insert_run(*images, *own, volume.numerator, volume.weight, slab.axis, low, high)

        if self._threads == 1 or len(tasks) == 1:
            for task in tasks:
                work(task)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(work, tasks))
        self._n_images = [
            before + len(one.places) for before, one in zip(self._n_images, posed, strict=True)
        ]

    def finish(self) -> Iterator[FourierSums]:
        """The sums of each volume in turn, before `symmetrised`; hands them over and ends."""
        volumes, self._volumes = self._volumes, []
        for count in self._n_images:
            yield replace(volumes.pop(0), n_images=count)


class _Posed(NamedTuple):
    """Images of a batch for one volume, as the kernel takes them."""

    rotations: FloatArray
    shifts_pixels: FloatArray
    places: IntArray
    weights: FloatArray


def _posed(
    members: Members, rotations: NDArray[np.floating], shifts: NDArray[np.floating], box: int
) -> _Posed:
    """A volume's images with their poses, those of the batch where it has none of its own."""
    count, places = len(rotations), np.asarray(members.places, dtype=np.int64)
    if len(places) != len(members.weights) or not ((places >= 0) & (places < count)).all():
        raise ValueError("a volume's images must lie in the batch, with one weight each")
    turned = rotations[places] if members.rotations is None else members.rotations
    moved = shifts[places] if members.shifts_pixels is None else members.shifts_pixels
    if turned.shape != (len(places), 3, 3) or moved.shape != (len(places), 2):
        raise ValueError("a volume's images need one rotation and one shift each")
    # a matrix that lengthens vectors would write outside the volume
    most = min(1e-3, 0.25 / box)
    if not np.allclose(turned @ np.swapaxes(turned, 1, 2), np.eye(3), atol=most):
        raise ValueError("the rotations must be orthonormal matrices")
    return _Posed(
        np.ascontiguousarray(turned, dtype=np.float32),
        np.ascontiguousarray(moved, dtype=np.float32),
        places,
        np.ascontiguousarray(members.weights, dtype=np.float32),
    )


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


def symmetrised(sums: FourierSums) -> FourierSums:
    """The sums with Friedel mates added on the plane x = 0, which holds both of each pair."""
    numerator, weight = sums.numerator.copy(), sums.weight.copy()
    numerator[:, :, 0] += _mates(sums.numerator[:, :, 0]).conj()
    weight[:, :, 0] += _mates(sums.weight[:, :, 0])
    return FourierSums(numerator, weight, sums.n_images)


def _mates(plane: NDArray[Any]) -> NDArray[Any]:
    """Values at (-z, -y) of a plane in unsigned frequency order."""
    return np.roll(plane[::-1, ::-1], 1, axis=(0, 1))
