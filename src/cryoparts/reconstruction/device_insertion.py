"""Insertion of images' transforms into half volumes on a graphics processor.

What `cryoparts.reconstruction.insertion` does on the processor, sample by sample, in
operations on whole batches. Many samples fall on one voxel, and a graphics processor adds
them up in an order that changes from run to run; so they are added as whole numbers, whose
sum has no order, and results repeat to the bit.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.reconstruction.insertion import FourierSums, Members

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

SAMPLES_AT_A_TIME = 1 << 21
"""Samples whose places and shares are in memory together, some 60 bytes each."""

UNIT_BITS = 34
"""The largest sample of the first batch is 2^34 units: 1,000 times finer than float32's
rounding of it. That leaves 2^29 times as much for the sum of one voxel, that is 2 million
images with samples up to 256 times as large."""


class DeviceInserter:
    """Inserts images batch by batch into volumes that it keeps on a device.

    Parameters
    ----------
    box_size : int
        Side D of the images (padded, where they are), even.
    device : torch.device
    volumes : int
        How many sums are kept apart, of 24 bytes a voxel.
    """

    def __init__(self, box_size: int, device: torch.device, *, volumes: int = 1) -> None:
        if box_size % 2:
            raise ValueError("half planes and CTFs of one even box are needed")
        self._box_size, self._device = box_size, device
        voxels = box_size * box_size * (box_size // 2 + 1)
        # numerator (real, imaginary) and weight, side by side
        self._volumes = [
            torch.zeros(voxels, 3, dtype=torch.int64, device=device) for _ in range(volumes)
        ]
        self._n_images = [0] * volumes
        self._row, self._column = (torch.as_tensor(x, device=device) for x in _samples(box_size))
        self._along = torch.stack([self._column, _signed(self._row, box_size)]).float()
        # the conjugate of the mean is itself: the plane x = 0 is symmetrised later
        self._counted = torch.where((self._along == 0).all(dim=0), 0.5, 1.0)
        self._units: Tensor | None = None

    def add(
        self,
        half_planes: Tensor,
        ctf: Tensor,
        rotations: NDArray[np.floating],
        shifts_pixels: NDArray[np.floating],
        members: Sequence[Members] | None = None,
    ) -> None:
        """Insert a batch; arguments as in `ImageInserter.add`, the first two on the device.

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
        planes, transfer = (x[:, self._row, self._column] for x in (half_planes, ctf))
        if self._units is None:
            self._units = _units(planes, transfer)
        step = max(1, SAMPLES_AT_A_TIME // len(self._row))
        for number, one in enumerate(members):
            placed = one.placed(rotations, shifts_pixels, box)
            for start in range(0, len(placed.places), step):
                self._insert(number, planes, transfer, placed, slice(start, start + step))
            self._n_images[number] += len(placed.places)

    def _insert(
        self, number: int, planes: Tensor, transfer: Tensor, placed: Members, part: slice
    ) -> None:
        assert self._units is not None
        columns = placed.places, placed.weights, placed.rotations, placed.shifts_pixels
        place, weight, turned, moved = (
            torch.as_tensor(np.ascontiguousarray(x[part]), device=self._device)
            for x in columns
            if x is not None
        )
        own = transfer[place] * self._counted
        counted = weight.float()[:, None] * transfer[place]
        kx, ky = self._along
        shift = moved.float()[..., None]
        angle = 2.0 * math.pi / self._box_size * (shift[:, 0] * kx + shift[:, 1] * ky)
        value = planes[place] * torch.polar(torch.ones_like(angle), angle)
        value = value * (counted * self._counted)
        # R^T (kx, ky, 0)
        rows = turned.float()[..., None]
        where = rows[:, 0] * kx + rows[:, 1] * ky
        mirrored = where[:, 0] < 0
        where = torch.where(mirrored[:, None], -where, where)
        imaginary = torch.where(mirrored, -value.imag, value.imag)
        shares = torch.stack([value.real, imaginary, own * counted], dim=-1)
        self._share(self._volumes[number], where, shares)

    def _share(self, volume: Tensor, where: Tensor, shares: Tensor) -> None:
        """Add shares (n, M, 3) of samples at (x, y, z) (n, 3, M) to the eight voxels around."""
        assert self._units is not None
        box = self._box_size
        low = where.floor()
        fraction = where - low
        low = low.to(torch.int64)
        for corner in itertools.product((0, 1), repeat=3):
            weight = torch.ones_like(fraction[:, 0])
            for axis, upper in enumerate(corner):
                near = fraction[:, axis]
                weight = weight * (near if upper else 1.0 - near)
            x, y, z = (low[:, axis] + upper for axis, upper in enumerate(corner))
            voxel = (z % box * box + y % box) * (box // 2 + 1) + x
            whole = torch.round((shares * weight[..., None]).double() * self._units)
            volume.index_add_(0, voxel.flatten(), whole.to(torch.int64).flatten(0, 1))

    def finish(self) -> Iterator[FourierSums]:
        """The sums of each volume in turn, before `symmetrised`; hands them over and ends."""
        volumes, self._volumes = self._volumes, []
        box = self._box_size
        units = torch.ones(3, dtype=torch.float64) if self._units is None else self._units
        for count in self._n_images:
            sums = (volumes.pop(0) / units.to(self._device)).float()
            sums = sums.reshape(box, box, box // 2 + 1, 3)
            numerator = torch.complex(sums[..., 0], sums[..., 1])
            weight = sums[..., 2].contiguous()
            yield FourierSums(numerator.cpu().numpy(), weight.cpu().numpy(), count)


def _units(planes: Tensor, transfer: Tensor) -> Tensor:
    """Units (3,) a one of real part, imaginary part and weight: powers of two."""
    numerator = (planes.abs() * transfer.abs()).amax()
    largest = torch.stack([numerator, numerator, transfer.square().amax()]).double()
    bits = UNIT_BITS - torch.ceil(torch.log2(largest.clamp_min(1e-30)))
    return torch.exp2(bits)


def _samples(box: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the samples inside the Nyquist circle, one of each conjugate pair."""
    row, column = np.indices((box, box // 2 + 1))
    along_y = np.where(row < box // 2, row, row - box)
    inside = along_y**2 + column**2 <= (box // 2 - 0.5) ** 2
    # of the conjugate pairs within column 0 one is enough
    inside &= (column > 0) | (along_y >= 0)
    return row[inside], column[inside]


def _signed(row: Tensor, box: int) -> Tensor:
    return torch.where(row < box // 2, row, row - box)
