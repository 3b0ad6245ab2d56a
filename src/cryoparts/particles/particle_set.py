"""The images of a particle table, read when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.imaging.magnification import corrected_shift, undo_magnification
from cryoparts.io.mrc import StackReader, open_stack
from cryoparts.io.positioned import FileVersion
from cryoparts.particle_files.stack_check import check_stacks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

OPEN_STACKS = 64
"""Stacks whose headers are kept: particles may lie in 10,000 of them."""


class ParticleSet:
    """P particles whose images stay on disk, and must stay there as they are.

    Where an optics group has an anisotropic magnification, it is undone in the
    images as they are read, and in the shifts.

    Parameters
    ----------
    table : ParticleTable
        As the file has it.

    Raises
    ------
    InputError
        If a stack is absent, shorter than the table needs, of another box than
        the table says, or its box is odd.
    """

    def __init__(self, table: ParticleTable) -> None:
        check_stacks(
            table.stack_paths,
            table.stack_of_particle,
            table.slice_in_stack,
            table.box_size,
            table.source,
        )
        self._versions = {path: FileVersion.of(path) for path in table.stack_paths}
        self._magnification = table.magnification
        self._table = _without_magnification(table)
        self._open: OrderedDict[int, StackReader] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        """What another process needs, which opens the stacks itself."""
        return self.__dict__ | {"_open": None, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Of a copy in another process."""
        self.__dict__ |= state | {"_open": OrderedDict(), "_lock": threading.Lock()}

    @property
    def table(self) -> ParticleTable:
        """Names, poses, CTF and so on, without anisotropic magnification."""
        return self._table

    @property
    def magnification(self) -> NDArray[np.float64] | None:
        """Anisotropic magnification (P, 2, 2) of the file's images; None where there is none."""
        return self._magnification

    @property
    def is_magnified(self) -> bool:
        """Whether an anisotropic magnification is undone as images are read."""
        return self._magnification is not None

    def __len__(self) -> int:
        return len(self._table)

    def take(self, rows: ArrayLike) -> ParticleSet:
        """The chosen particles, in the order asked for."""
        chosen = ParticleSet(self._table.take(rows))
        chosen._versions = self._versions
        if self._magnification is not None:
            chosen._magnification = self._magnification[np.asarray(rows)]
        return chosen

    def images(self, indices: ArrayLike) -> NDArray[np.float32]:
        """The images of the chosen particles, raw but for their magnification, in order.

        Parameters
        ----------
        indices : int array, shape (n,)
            Particles of one box size.

        Returns
        -------
        float32 array, shape (n, D, D)

        Raises
        ------
        InputError
            If an image holds NaN or infinity, or a stack has gone or changed.
        ValueError
            If the particles' boxes differ.
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        boxes = np.unique(self._table.box_size[rows])
        if len(boxes) > 1:
            raise ValueError(f"images of several boxes {boxes.tolist()} do not fit one array")
        box = int(boxes[0]) if len(boxes) else 0
        out = np.empty((len(rows), box, box), dtype=np.float32)
        stacks = self._table.stack_of_particle[rows]
        slices = self._table.slice_in_stack[rows]
        for stack in np.unique(stacks):
            chosen = np.flatnonzero(stacks == stack)
            out[chosen] = self._read(int(stack), slices[chosen])
        self._require_finite(out, rows)
        if self._magnification is not None:
            _undo(out, self._magnification[rows])
        return out

    def _read(self, stack: int, slices: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            return self._reader(stack).read(slices)
        finally:  # where reading fails, a change of the file is the better reason
            self._versions[self._table.stack_paths[stack]].require_unchanged()

    def _reader(self, number: int) -> StackReader:
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
            else:
                self._open[number] = open_stack(self._table.stack_paths[number])
                if len(self._open) > OPEN_STACKS:
                    self._open.popitem(last=False)
            return self._open[number]

    def _require_finite(self, images: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        # The sum of finite float32 values in double precision is finite: one pass, no mask.
        sums = images.sum(axis=(1, 2), dtype=np.float64)
        if np.isfinite(sums).all():
            return
        row = int(rows[int(np.flatnonzero(~np.isfinite(sums))[0])])
        table = self._table
        stack = table.stack_paths[int(table.stack_of_particle[row])]
        raise InputError(
            f"{table.source}, particle {table.names[row]}",
            f"image {int(table.slice_in_stack[row]) + 1} (counted from 1) of {stack} "
            "holds NaN or infinity",
            "Extract this particle again or take it out of the file.",
        )


def _without_magnification(table: ParticleTable) -> ParticleTable:
    if table.magnification is None:
        return table
    shift = corrected_shift(table.poses.shift_angstrom, table.magnification)
    return replace(table, poses=Poses(table.poses.rotation, shift), magnification=None)


def _undo(images: NDArray[np.float32], matrices: NDArray[np.float64]) -> None:
    """Undo each image's magnification in place, all images of one matrix together."""
    different, member = np.unique(matrices, axis=0, return_inverse=True)
    for number, matrix in enumerate(different):
        rows = np.flatnonzero(member.reshape(-1) == number)
        if not np.array_equal(matrix, np.eye(2)):
            images[rows] = undo_magnification(torch.from_numpy(images[rows]), matrix).numpy()
