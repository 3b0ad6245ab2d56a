"""Batches of decoded particles kept for a second pass: in memory, and further ones in a file."""

from __future__ import annotations

import logging
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryoparts.states.particle_features import Batch

LOG = logging.getLogger(__name__)


class KeptBatches:
    """Batches in the order in which they came.

    To read a particle's numbers takes a tenth of the time of decoding it again. The file has
    no name and is gone when it is closed, or with the process.

    Parameters
    ----------
    folder : Path
        Where the file is.
    most_held, most_filed : int
        Numbers in memory and in the file; of more nothing is kept.
    """

    def __init__(self, folder: Path, most_held: int, most_filed: int) -> None:
        self._folder, self._most_held, self._most_filed = folder, most_held, most_filed
        self._held: list[Batch] = []
        self._file: IO[bytes] | None = None
        self._filed = self._numbers = 0
        self.whole = True

    def add(self, batch: Batch) -> None:
        """Keep one more, if nothing has been given up yet."""
        if not self.whole:
            return
        self._numbers += sum(values.size for values in batch if values is not None)
        if self._file is None and self._numbers <= self._most_held:
            self._held.append(batch)
        elif self._numbers > self._most_held + self._most_filed or not self._write(batch):
            self.whole = False
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._held = []
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, batch: Batch) -> bool:
        try:
            if self._file is None:
                self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115
            for values in batch:
                # nothing is an array without axes
                np.save(self._file, np.float32(0) if values is None else values)
        except OSError as fault:
            LOG.info("particles are decoded twice: %s", fault)
            return False
        self._filed += 1
        return True

    def __iter__(self) -> Iterator[Batch]:
        yield from self._held
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._filed):
                scalars, displacements = (np.load(self._file) for _ in range(2))
                yield (
                    scalars if scalars.ndim else None,
                    displacements if displacements.ndim else None,
                )
