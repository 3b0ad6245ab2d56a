"""Images of chosen particles gathered in Fourier space, and maps made from the sums."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.fft import irfftn

from cryoparts.imaging.ctf import CtfBatch, split_transfer
from cryoparts.imaging.fourier import transform
from cryoparts.imaging.shells import shells_of_half_volume
from cryoparts.memory.limit import left_bytes
from cryoparts.parallel.current import team
from cryoparts.reconstruction.card_insertion import CardInserter, room_on
from cryoparts.reconstruction.insertion import FourierSums, ImageInserter, Members, symmetrised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.parallel.group import Group
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

LOG = logging.getLogger(__name__)

PROCESSOR = torch.device("cpu")

_BATCH_BYTES = 32 * 2**20
"""Bytes of the padded transforms of a batch: they stay in the cache of a processor."""


SHARE_OF_MEMORY = 0.25
"""Of what is left to this process: what the sums of all together may take at the most."""


@dataclass(frozen=True)
class Chosen:
    """Particles that are summed together.

    Parameters
    ----------
    rows : int array, shape (n,)
        Of the source.
    weights : array, shape (n,), optional
        How much each particle counts; default 1.
    poses : Poses, optional
        Of these n particles, in the order of `rows`: of a part that has moved, for
        example. Default: the source's.
    """

    rows: IntArray
    weights: FloatArray | None = None
    poses: Poses | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.bool_] | IntArray) -> Chosen:
        """Some of the particles, with their weights and poses."""
        return Chosen(
            self.rows[chosen],
            None if self.weights is None else self.weights[chosen],
            None if self.poses is None else self.poses.take(chosen),
        )

    def ordered(self) -> Chosen:
        """The same with rows in rising order."""
        return self.take(np.argsort(self.rows, kind="stable"))

    @property
    def all_weights(self) -> FloatArray:
        """How much each particle counts, shape (n,)."""
        return np.ones(len(self.rows)) if self.weights is None else self.weights


def gather(
    source: ImageSource,
    chosen: Sequence[Chosen],
    *,
    padding: int = 2,
    threads: int = 1,
    most_bytes: float = math.inf,
    device: torch.device = PROCESSOR,
    progress: Callable[[int], None] | None = None,
) -> Iterator[FourierSums]:
    """Sums over each of several sets of particles, which may share particles.

    Every image is read, padded, transformed and multiplied by its CTF once,
    whatever the number of sets that it is in and of its poses in them. Memory is that
    of one (padded) volume a set (`sums_bytes`) and twice more, and of one batch
    (32 MiB and its copies), whatever the number of particles.

    Parameters
    ----------
    source : ImageSource
    chosen : sequence of Chosen
    padding : int
        The images are padded with zeros to this many times their side, which
        makes trilinear interpolation in Fourier space more exact.
    threads : int
        Of a process that works alone; several have an equal share of the cores each.
    most_bytes : float
        For the sums of all processes together: each has its own. Where they do not fit,
        fewer work.
    device : torch.device, optional
        Where images are inserted, if the sums fit there. Default: the processor.
    progress : callable, optional
        Called with the number of images of each batch done.

    Yields
    ------
    FourierSums
        Of each set in turn, symmetrised; nothing of it is held any longer.
    """
    ordered = [each.ordered() for each in chosen]
    union = np.unique(np.concatenate([each.rows for each in ordered]))
    each = len(chosen) * sums_bytes(source.box_size, padding)
    if each > room_on(device):
        LOG.warning("the sums of the maps do not fit on the card: images go to the processor")
        device = PROCESSOR
    task = _Gathering(source, ordered, union, padding, threads, device)
    room = min(most_bytes, SHARE_OF_MEMORY * left_bytes())
    made = team().together(
        task, _Told(progress, len(union)), particles=len(union), most=max(1, int(room // each))
    )
    while made:
        yield made.pop(0)


class _Told:
    """Tells `progress` how many images each batch is, where every process has as many."""

    def __init__(self, progress: Callable[[int], None] | None, total: int) -> None:
        self._progress, self._left = progress, total

    def __call__(self, images: int) -> None:
        if self._progress is not None and self._left:
            told = min(images, self._left)
            self._left -= told
            self._progress(told)


@dataclass(frozen=True)
class _Gathering:
    """Inserts the images, each process its share of every batch, and adds up the volumes."""

    source: ImageSource
    chosen: list[Chosen]
    """In rising order of the rows."""
    union: IntArray
    """All rows."""
    padding: int
    threads: int
    """Of a process that is alone."""
    device: torch.device

    def __call__(self, group: Group, tell: Callable[[int], None]) -> list[FourierSums]:
        """The sums of all processes, symmetrised, at the leader; tells the images of batches."""
        padded = self.source.box_size * self.padding
        threads = self.threads if group.size == 1 else torch.get_num_threads()
        inserter: ImageInserter | CardInserter
        if self.device.type == "cpu":
            inserter = ImageInserter(padded, volumes=len(self.chosen), threads=threads)
        else:
            inserter = CardInserter(padded, volumes=len(self.chosen), device=self.device)
        # half plane, its CTF, the image, and the transform's copies
        batch = max(1, _BATCH_BYTES // (padded * padded * 16))
        own = self.union[group.share(len(self.union))]
        for start in range(0, len(own), batch):
            rows = own[start : start + batch]
            self._insert(inserter, rows)
            tell(group.size * len(rows))
        made = []
        for sums, one in zip(inserter.finish(), self.chosen, strict=True):
            for array in (sums.numerator.view(np.float32), sums.weight):
                group.add_up(torch.from_numpy(array))
            if group.leads:  # every process has counted its own images alone
                made.append(symmetrised(replace(sums, n_images=len(one))))
        return made

    def _insert(self, inserter: ImageInserter | CardInserter, rows: IntArray) -> None:
        source, pixel = self.source, self.source.pixel_size_angstrom
        padded = source.box_size * self.padding
        margin = (padded - source.box_size) // 2
        images = torch.nn.functional.pad(source.images(rows).to(self.device), (margin,) * 4)
        planes = transform(images)
        ctf = CtfBatch.from_parameters(source.ctf, rows, self.device)
        real, factor = split_transfer(ctf, padded, pixel)
        if factor is not None:
            # the adjoint of the imaging: the CTF's conjugate
            planes *= factor.conj()
        poses = source.poses.rotation[rows], source.poses.shift_angstrom[rows] / pixel
        members = [_within(rows, each, pixel) for each in self.chosen]
        if isinstance(inserter, CardInserter):
            inserter.add(planes, real, *poses, members)
        else:
            inserter.add(planes.numpy(), real.numpy(), *poses, members)


def sums_bytes(box_size: int, padding: int) -> int:
    """Memory of the Fourier sums of one set of particles: a complex64 and a float32 a voxel."""
    padded = box_size * padding
    return 12 * padded * padded * (padded // 2 + 1)


def _within(batch: IntArray, chosen: Chosen, pixel: float) -> Members:
    """The particles, ordered by row, that lie in a batch of rows in rising order."""
    first, last = np.searchsorted(chosen.rows, [batch[0], batch[-1] + 1])
    inside = chosen.take(np.arange(first, last))
    places, poses = np.searchsorted(batch, inside.rows), inside.poses
    if poses is None:
        return Members(places, inside.all_weights)
    return Members(places, inside.all_weights, poses.rotation, poses.shift_angstrom / pixel)


def shell_mean_weight(sums: FourierSums, padding: int) -> FloatArray:
    """Mean over each shell 0 ... D // 2 of the sum of CTF^2."""
    box = sums.weight.shape[0]
    count = box // padding // 2 + 2
    total, voxels = np.zeros(count), np.zeros(count)
    # plane by plane, as bincount copies what it counts in eight bytes a voxel
    for shell, weight in zip(shells_of_half_volume(box, padding), sums.weight, strict=True):
        total += np.bincount(shell.ravel(), weights=weight.ravel(), minlength=count)
        voxels += np.bincount(shell.ravel(), minlength=count)
    mean: FloatArray = (total / np.maximum(voxels, 1))[:-1]
    return mean


def invert(sums: FourierSums, regulariser: FloatArray, *, padding: int) -> NDArray[np.float32]:
    """The map of Fourier sums: numerator / (weight + regulariser), back in real space.

    The trilinear interpolation's sinc^2 envelope is divided out, and the corners
    outside the inscribed sphere, which the images do not determine, are zero.

    Parameters
    ----------
    sums : FourierSums
        After `symmetrised`.
    regulariser : array, shape (D // 2 + 1,)
        Added to the weight in each shell; the Wiener filter's noise-to-signal
        power ratio, in the unit of the weight.
    padding : int

    Returns
    -------
    array, shape (D, D, D)
        float32 [z, y, x].
    """
    padded = sums.weight.shape[0]
    box = padded // padding
    added = np.append(np.asarray(regulariser, dtype=np.float32), np.float32(np.inf))
    denominator = added[shells_of_half_volume(padded, padding)]
    denominator += sums.weight
    volume = np.zeros_like(sums.numerator)
    np.divide(sums.numerator, denominator, out=volume, where=denominator > 0)
    del denominator
    whole = irfftn(volume, s=(padded,) * 3, overwrite_x=True)
    offset = np.arange(box) - box // 2
    # the centre of the volume is at index 0, what lies before it at the end
    density = whole[np.ix_(offset % padded, offset % padded, offset % padded)]
    envelope = np.sinc(offset / padded) ** 2
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(offset, offset, offset, indexing="ij")))
    corrected = density / (envelope[:, None, None] * envelope[None, :, None] * envelope)
    return np.where(radius <= box // 2, corrected, 0.0).astype(np.float32)
