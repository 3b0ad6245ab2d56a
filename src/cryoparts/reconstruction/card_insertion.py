"""Insertion of images' transforms into half volumes that lie on a graphics card.

What `insertion` does sample by sample is done here for a batch with operations of torch.
Samples are added by `index_put_`, which sorts them by voxel: the same card gives the same
bits again, as it would not with atomics.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from cryoparts.reconstruction.insertion import FourierSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.reconstruction.insertion import Members

SAMPLES_AT_ONCE = 1 << 23
"""Samples of images (a ring of 8 voxels each) inserted at once: about 2 GB of a card."""

SHARE_OF_CARD = 0.5
"""Of the memory of a card that is free: what the sums of all sets together may take."""


def room_on(device: torch.device) -> float:
    """Bytes that sums may take on a card; infinite where it is not known."""
    if device.type != "cuda":
        return float("inf")
    free, _ = torch.cuda.mem_get_info(device)
    return SHARE_OF_CARD * free


class CardInserter:
    """As `ImageInserter`, with volumes on a card and images that come from there.

    Parameters
    ----------
    box_size : int
        Side D of the images (padded, where they are), even.
    volumes : int
        How many sums are kept apart.
    device : torch.device
    """

    def __init__(self, box_size: int, *, volumes: int, device: torch.device) -> None:
        self._box, self._device = box_size, device
        columns = box_size // 2 + 1
        shape = (box_size * box_size * columns, 3)  # real and imaginary part, weight
        self._sums = [torch.zeros(shape, device=device) for _ in range(volumes)]
        self._n_images = [0] * volumes
        half = box_size // 2
        ky, kx = torch.meshgrid(torch.arange(box_size), torch.arange(columns), indexing="ij")
        ky = torch.where(ky < half, ky, ky - box_size)
        # of the conjugate pairs within column 0 one is enough; a corner has no neighbours
        used = (ky**2 + kx**2 <= (half - 0.5) ** 2) & ((kx > 0) | (ky >= 0))
        self._used = used.flatten().nonzero()[:, 0].to(device)
        at = torch.stack([kx[used], ky[used]], dim=1)
        self._frequency = at.float().to(device)  # (M, 2)
        # the origin is its own conjugate: the plane x = 0 is symmetrised later
        self._counted = torch.where((at == 0).all(dim=1), 0.5, 1.0).to(device)

    def add(
        self,
        half_planes: Tensor,
        ctf: Tensor,
        rotations: NDArray[np.floating],
        shifts_pixels: NDArray[np.floating],
        members: Sequence[Members],
    ) -> None:
        """Insert a batch.

        Parameters
        ----------
        half_planes : complex Tensor, shape (B, D, D // 2 + 1)
            On the card; phase origin at pixel D // 2.
        ctf : Tensor, shape (B, D, D // 2 + 1)
        rotations, shifts_pixels, members
            As in `ImageInserter.add`.
        """
        samples = half_planes.flatten(1)[:, self._used]
        transfer = ctf.flatten(1)[:, self._used]
        for number, own in enumerate(members):
            turned = rotations[own.places] if own.rotations is None else own.rotations
            moved = shifts_pixels[own.places] if own.shifts_pixels is None else own.shifts_pixels
            self._n_images[number] += len(own.places)
            for first in range(0, len(own.places), self._images_at_once):
                some = slice(first, first + self._images_at_once)
                places = torch.as_tensor(own.places[some]).to(self._device)
                self._insert(
                    self._sums[number],
                    samples[places],
                    transfer[places],
                    self._on_card(turned, some),
                    self._on_card(moved, some),
                    self._on_card(own.weights, some),
                )

    def finish(self) -> Iterator[FourierSums]:
        """The sums of each volume in turn, before `symmetrised`; hands them over and ends."""
        shape = (self._box, self._box, self._box // 2 + 1)
        for count in self._n_images:
            sums = self._sums.pop(0).cpu()
            numerator = torch.view_as_complex(sums[:, :2].contiguous()).reshape(shape)
            weight = sums[:, 2].contiguous().reshape(shape)
            yield FourierSums(numerator.numpy(), weight.numpy(), count)

    @property
    def _images_at_once(self) -> int:
        return max(1, SAMPLES_AT_ONCE // len(self._used))

    def _on_card(self, values: NDArray[np.floating], some: slice) -> Tensor:
        return torch.as_tensor(values[some]).to(self._device, torch.float32)

    def _insert(
        self,
        sums: Tensor,
        samples: Tensor,
        transfer: Tensor,
        rotations: Tensor,
        shifts: Tensor,
        weights: Tensor,
    ) -> None:
        """Add n images (n, M) in their poses (n, 3, 3) and (n, 2) to `sums`, in place."""
        counted = weights[:, None] * self._counted * transfer
        angle = (2.0 * torch.pi / self._box) * (shifts @ self._frequency.T)
        value = samples * torch.polar(counted, angle)
        at = self._frequency @ rotations[:, :2]  # (n, M, 3)
        mirrored = at[..., 0] < 0
        at = torch.where(mirrored[..., None], -at, at)
        imaginary = torch.where(mirrored, -value.imag, value.imag)
        added = torch.stack([value.real, imaginary, transfer * counted], dim=-1)
        corner = at.floor()
        beyond = at - corner
        first = corner.long()
        columns = self._box // 2 + 1
        for steps in itertools.product((0, 1), repeat=3):
            share = torch.ones_like(beyond[..., 0])
            for axis, step in enumerate(steps):
                share = share * (beyond[..., axis] if step else 1.0 - beyond[..., axis])
            x, y, z = (first[..., axis] + step for axis, step in enumerate(steps))
            voxel = (z.remainder(self._box) * self._box + y.remainder(self._box)) * columns + x
            sums.index_put_(
                (voxel.flatten(),), (share[..., None] * added).flatten(0, 1), accumulate=True
            )
