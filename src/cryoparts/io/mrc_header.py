"""Headers of MRC files: what mrcfile makes of them, and the values behind.

Either byte order is understood, with or without a machine stamp.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from mrcfile.mrcinterpreter import MrcInterpreter
from mrcfile.utils import data_dtype_from_header

from cryoparts.errors import InputError
from cryoparts.io.positioned import read_rows_at

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER_BYTES = 1024
EXTENDED_SIZE = slice(92, 96)
COMPRESSED = (b"\x1f\x8b", b"BZ")
"""How files of gzip and bzip2 begin."""


@dataclass(frozen=True)
class MrcLayout:
    """What an MRC header says.

    Parameters
    ----------
    shape : tuple of 3 ints
        Sections, rows, columns.
    dtype : dtype
        Of the values, with their byte order.
    offset : int
        Bytes before the values.
    voxel_size : tuple of 3 floats
        (x, y, z), Å; 0 where unset.
    origin : tuple of 3 floats
        (x, y, z), Å.
    start : tuple of 3 ints
        First column, row and section, voxels.
    axes : tuple of 3 ints
        Axis (1 = x, 2 = y, 3 = z) that columns, rows and sections run along.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float]
    start: tuple[int, int, int]
    axes: tuple[int, int, int]


def _header(path: Path, *, compressed: bool) -> tuple[np.recarray[Any, Any], int]:
    """The main header, and how many bytes of extended header follow it."""
    with path.open("rb") as stream:
        raw = bytearray(stream.read(HEADER_BYTES))
    if compressed and raw[:2] == COMPRESSED[0]:
        with gzip.open(path) as stream:
            raw = bytearray(stream.read(HEADER_BYTES))
    if raw[:2] in COMPRESSED:
        raise InputError(
            str(path),
            "the file is compressed, and images are read from it one by one, which that does "
            "not allow",
            "Decompress it (gunzip, bunzip2) and give what comes out.",
        )
    # mrcfile would read the extended header too, gigabytes of it if this is no MRC file.
    extended = bytes(raw[EXTENDED_SIZE])
    raw[EXTENDED_SIZE] = bytes(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        header = MrcInterpreter(BytesIO(raw), permissive=True, header_only=True).header
    return header, int(np.frombuffer(extended, dtype=header.nsymbt.dtype)[0])


def is_gzip(path: Path) -> bool:
    """Whether a file begins as those of gzip do."""
    with path.open("rb") as stream:
        return stream.read(2) == COMPRESSED[0]


def read_layout(path: Path, *, compressed: bool = False) -> MrcLayout:
    """Read a header; the size of the file is checked against it.

    Parameters
    ----------
    path : Path
    compressed : bool
        Whether the file may be compressed by gzip; then its size is not checked.

    Raises
    ------
    InputError
        If the file is no MRC file or is cut off.
    """
    try:
        header, extended_bytes = _header(path, compressed=compressed)
        dtype = np.dtype(data_dtype_from_header(header))
    except (OSError, ValueError, EOFError, zlib.error) as fault:
        raise InputError(
            str(path), f"not an MRC file: {fault}", "Give an .mrc map or an .mrcs stack."
        ) from fault
    nx, ny, nz = int(header.nx), int(header.ny), int(header.nz)
    if min(nx, ny, nz) < 1 or dtype.kind == "c":
        raise InputError(
            str(path),
            f"an MRC map or stack has real values and positive dimensions, "
            f"this one has {nx} x {ny} x {nz} of mode {int(header.mode)}",
            "The file is corrupt or no MRC file; write it again.",
        )
    offset = HEADER_BYTES + max(extended_bytes, 0)
    expected = offset + nx * ny * nz * dtype.itemsize
    found = path.stat().st_size
    if found < expected and not (compressed and is_gzip(path)):
        raise InputError(
            str(path),
            f"its header announces {nz} sections of {nx} x {ny} ({expected} bytes), "
            f"the file has {found} bytes",
            "The file was cut off; copy it again.",
        )
    cell = [float(v) for v in header.cella.item()]
    grid = [int(header.mx), int(header.my), int(header.mz)]
    voxel = tuple(c / m if m > 0 and c > 0 else 0.0 for c, m in zip(cell, grid, strict=True))
    return MrcLayout(
        shape=(nz, ny, nx),
        dtype=dtype,
        offset=offset,
        voxel_size=(voxel[0], voxel[1], voxel[2]),
        origin=(float(header.origin.x), float(header.origin.y), float(header.origin.z)),
        start=(int(header.nxstart), int(header.nystart), int(header.nzstart)),
        axes=(int(header.mapc), int(header.mapr), int(header.maps)),
    )


def read_sections(
    path: Path, layout: MrcLayout, sections: NDArray[np.int64] | None = None
) -> NDArray[np.generic]:
    """Chosen sections (n, rows, columns) as they are stored, in the order asked for.

    Parameters
    ----------
    path : Path
        Not compressed.
    layout : MrcLayout
    sections : int array, shape (n,), optional
        Counted from 0. Default: all.

    Raises
    ------
    IndexError
        If a section is not in the file.
    InputError
        If the file has gone or was cut off since its header was read.
    """
    wanted = np.arange(layout.shape[0]) if sections is None else sections
    return read_rows_at(path, wanted, shape=layout.shape, dtype=layout.dtype, offset=layout.offset)


def unpacked(path: Path, layout: MrcLayout) -> NDArray[np.generic]:
    """The values of a map compressed by gzip, shape (sections, rows, columns).

    Raises
    ------
    InputError
        If the file is cut off.
    """
    count = int(np.prod(layout.shape))
    wanted = count * layout.dtype.itemsize
    try:
        with gzip.open(path) as stream:
            stream.read(layout.offset)
            raw = stream.read(wanted)
    except (OSError, EOFError, zlib.error) as fault:
        raise InputError(
            str(path), f"cannot be decompressed: {fault}", "Copy the file again."
        ) from fault
    if len(raw) < wanted:
        raise InputError(
            str(path),
            f"its header announces {wanted} bytes of values, the decompressed file has {len(raw)}",
            "The file was cut off; copy it again.",
        )
    return np.frombuffer(raw, dtype=layout.dtype, count=count).reshape(layout.shape)
