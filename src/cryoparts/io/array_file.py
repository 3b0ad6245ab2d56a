"""Arrays in files: rows of a large .npy without holding it in memory, and whole .npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from cryoparts.io.files import reading
from cryoparts.io.positioned import read_rows_at, write_rows_at

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ArrayFile:
    """An array on disk of which rows are copied, or written, on demand.

    Nothing is mapped: every page of a map that was ever touched would count as
    the program's memory, and a mapped file that is cut off kills the process.
    Reading is thread-safe.

    Parameters
    ----------
    path : Path
        The .npy file.
    shape : tuple of int
    dtype : numpy.dtype
    offset : int
        Bytes before the first number.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the header of a .npy file.

        Raises
        ------
        OSError, ValueError, EOFError
            If the file cannot be read, is no .npy file or is shorter than its header says.
        """
        mapped = np.lib.format.open_memmap(path, mode="r")
        if not mapped.flags.c_contiguous:
            raise ValueError("its rows are not stored one after the other")
        return cls(Path(path), mapped.shape, mapped.dtype, int(mapped.offset))

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self:
        """Make a .npy file whose rows are to be `put`; until then they are 0."""
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape,
        }  # fmt: skip
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            offset = stream.tell()
            stream.truncate(offset + int(np.prod(shape)) * dtype.itemsize)
        return cls(path, shape, dtype, offset)

    def put(self, indices: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Write the chosen rows."""
        write_rows_at(self.path, indices, rows.astype(self.dtype, copy=False), offset=self.offset)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, indices: NDArray[np.int64], axis: Literal[0] = 0) -> NDArray[Any]:
        """The chosen rows, copied; as `numpy.ndarray.take` along the first axis.

        Raises
        ------
        IndexError
            If there is no such row.
        InputError
            If the file has gone or was cut off since it was opened.
        """
        return read_rows_at(
            self.path, indices, shape=self.shape, dtype=self.dtype, offset=self.offset
        )


def read_npz(path: Path, what: str, cure: str) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, by name.

    Parameters
    ----------
    path : Path
    what, cure : str
        As of `cryoparts.io.files.reading`.

    Raises
    ------
    InputError
        If it is missing, damaged, no .npz or holds objects.
    """
    # numpy leaves a file that it opened itself and that is no archive open
    with reading(path, what, cure), path.open("rb") as stream:
        stored = np.load(stream, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with stored:
            return {name: stored[name] for name in stored.files}
