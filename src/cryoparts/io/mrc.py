"""MRC maps and image stacks; `open_stack` also opens EMAN2's .hdf stacks.

mrcfile interprets the headers (either byte order, with or without a machine
stamp); images are memory-mapped and converted to float32 as they are read.
"""

from __future__ import annotations

import mmap
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import mrcfile
import numpy as np
from mrcfile.mrcinterpreter import MrcInterpreter
from mrcfile.utils import data_dtype_from_header

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import require_file
from cryoparts.io.hdf import HdfStack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

HEADER_BYTES = 1024
EXTENDED_SIZE = slice(92, 96)
VOXEL_ANISOTROPY_LIMIT = 0.01


class DensityMap(NamedTuple):
    """A map as it lies in its file."""

    density: NDArray[np.float32]
    """Values, shape (z, y, x)."""
    voxel_size: float
    """Å."""
    origin: NDArray[np.float64]
    """(x, y, z) of voxel (0, 0, 0), Å."""


class StackReader(Protocol):
    """A stack of square images that is read image by image."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def box_size(self) -> int:
        """Pixels along one side."""

    @property
    def pixel_size_angstrom(self) -> float | None:
        """Å per pixel as the file's header gives it, None where it does not."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, slices: ArrayLike) -> NDArray[np.float32]:
        """The images at 0-based `slices`, shape (n, D, D), in the order asked for."""


@dataclass(frozen=True)
class _Layout:
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float]
    start: tuple[int, int, int]
    axes: tuple[int, int, int]


def _header(path: Path) -> tuple[np.recarray[Any, Any], int]:
    """The main header, and how many bytes of extended header follow it."""
    with path.open("rb") as stream:
        raw = bytearray(stream.read(HEADER_BYTES))
    # mrcfile would read the extended header too, gigabytes of it if this is no MRC file.
    extended = bytes(raw[EXTENDED_SIZE])
    raw[EXTENDED_SIZE] = bytes(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        header = MrcInterpreter(BytesIO(raw), permissive=True, header_only=True).header
    return header, int(np.frombuffer(extended, dtype=header.nsymbt.dtype)[0])


def _layout(path: Path) -> _Layout:
    """What the header says; the size of the file is checked against it."""
    try:
        header, extended_bytes = _header(path)
        dtype = np.dtype(data_dtype_from_header(header))
    except (OSError, ValueError) as fault:
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
    if found < expected:
        raise InputError(
            str(path),
            f"its header announces {nz} sections of {nx} x {ny} ({expected} bytes), "
            f"the file has {found} bytes",
            "The file was cut off; copy it again.",
        )
    cell = [float(v) for v in header.cella.item()]
    grid = [int(header.mx), int(header.my), int(header.mz)]
    voxel = tuple(c / m if m > 0 and c > 0 else 0.0 for c, m in zip(cell, grid, strict=True))
    return _Layout(
        shape=(nz, ny, nx),
        dtype=dtype,
        offset=offset,
        voxel_size=(voxel[0], voxel[1], voxel[2]),
        origin=(float(header.origin.x), float(header.origin.y), float(header.origin.z)),
        start=(int(header.nxstart), int(header.nystart), int(header.nzstart)),
        axes=(int(header.mapc), int(header.mapr), int(header.maps)),
    )


def read_map(path: Path, *, voxel_size: float | None = None) -> DensityMap:
    """Read a 3D map.

    Parameters
    ----------
    path : Path
        .mrc, .map or .ccp4 file of any real mode, with or without machine stamp.
    voxel_size : float, optional
        Å; overrides the header.

    Returns
    -------
    DensityMap
        (density float32 [z, y, x], voxel size Å, origin (x, y, z) Å).

    Raises
    ------
    InputError
        If the file is absent, no MRC map, cut off, two-dimensional, has voxels
        that are not cubes or of unknown size, or holds values that are not finite.
    """
    require_file(path, "Give the path of the map.")
    layout = _layout(path)
    if min(layout.shape) < 2:
        raise InputError(
            str(path), f"a map has three dimensions, this file is {layout.shape}", "Give a 3D map."
        )
    density = _memory_map(path, layout)[0].astype(np.float32)
    density = _standard_axes(density, path, layout)
    if not np.isfinite(density).all():
        raise InputError(
            str(path),
            f"{int((~np.isfinite(density)).sum())} voxels are NaN or infinite",
            "Write the map again without them.",
        )
    size = voxel_size if voxel_size is not None else _cubic_voxel(path, layout)
    start = np.zeros(3)
    start[np.array(layout.axes) - 1] = layout.start
    origin = np.array(layout.origin, dtype=np.float64)
    return DensityMap(np.ascontiguousarray(density), size, origin if origin.any() else start * size)


def _standard_axes(
    density: NDArray[np.float32], path: Path, layout: _Layout
) -> NDArray[np.float32]:
    """Sections, rows and columns may run along any axes: bring them to z, y, x."""
    if sorted(layout.axes) != [1, 2, 3]:
        raise InputError(
            str(path),
            f"MAPC, MAPR, MAPS must be a permutation of 1, 2, 3, they are {layout.axes}",
            "Write the map again.",
        )
    of_dimension = layout.axes[::-1]
    return np.transpose(density, [of_dimension.index(axis) for axis in (3, 2, 1)])


def _cubic_voxel(path: Path, layout: _Layout) -> float:
    x, y, z = layout.voxel_size
    if min(x, y, z) <= 0:
        raise InputError(
            str(path),
            "the header gives no voxel size",
            "Give it with --pixel-size, in Å, or write it into the header.",
        )
    if max(abs(y - x), abs(z - x)) > VOXEL_ANISOTROPY_LIMIT * x:
        raise InputError(
            str(path),
            f"voxels must be cubes, these are {x:.4g} x {y:.4g} x {z:.4g} Å",
            "Resample the map to one voxel size.",
        )
    # The header keeps the cell in single precision: 419.2 / 64 comes back as 6.5499997.
    return float(f"{x:.6g}")


def _memory_map(path: Path, layout: _Layout) -> tuple[NDArray[np.generic], mmap.mmap]:
    with path.open("rb") as stream:
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    count = int(np.prod(layout.shape))
    values = np.frombuffer(mapping, dtype=layout.dtype, count=count, offset=layout.offset)
    return values.reshape(layout.shape), mapping


def write_map(
    path: Path,
    density: ArrayLike,
    pixel_size: float,
    origin_angstrom: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a float32 map [z, y, x], atomically.

    Parameters
    ----------
    path : Path
    density : array, shape (D, D, D)
    pixel_size : float
        Å.
    origin_angstrom : sequence of 3 floats
        (x, y, z) of voxel (0, 0, 0), Å; ``-(D // 2) * pixel_size`` along each
        axis lays the map over models whose coordinates are about the box centre.
    """
    values = np.ascontiguousarray(density, dtype=np.float32)
    if values.ndim != 3:
        raise ValueError(f"a map has 3 dimensions, got {values.shape}")
    with (
        write_atomically(path) as temporary,
        mrcfile.new(temporary, data=values, overwrite=True) as file,
    ):
        file.voxel_size = pixel_size
        file.header.origin.x, file.header.origin.y, file.header.origin.z = origin_angstrom


@dataclass(frozen=True)
class MrcStack:
    """An .mrc or .mrcs stack, memory-mapped."""

    path: Path
    box_size: int
    pixel_size_angstrom: float | None
    _images: NDArray[np.generic]
    _mapping: mmap.mmap

    @classmethod
    def open(cls, path: Path) -> MrcStack:
        """Map the stack; images are read when asked for."""
        layout = _layout(path)
        _, rows, columns = layout.shape
        if rows != columns:
            raise InputError(
                str(path),
                f"particle images must be square, these are {columns} x {rows} pixels",
                "Extract the particles again with a square box.",
            )
        pixel = layout.voxel_size[0]
        images, mapping = _memory_map(path, layout)
        return cls(path, columns, float(f"{pixel:.6g}") or None, images, mapping)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, slices: ArrayLike) -> NDArray[np.float32]:
        """The images at 0-based `slices`, shape (n, D, D), in the order asked for."""
        chosen = self._images[np.atleast_1d(np.asarray(slices))]
        if hasattr(self._mapping, "madvise"):
            # The pages stay in the system's cache, but not in this process's count:
            # reading a whole stack once must not look like holding it in memory.
            self._mapping.madvise(mmap.MADV_DONTNEED)
        return np.asarray(chosen, dtype=np.float32)


def open_stack(path: Path) -> StackReader:
    """Open an .mrc/.mrcs stack (memory-mapped) or an EMAN2 .hdf stack.

    Raises
    ------
    InputError
        If the file is absent, of another type, cut off, or its images not square.
    """
    require_file(path, "Give the stack's present folder with --datadir.")
    if path.suffix.lower() in {".hdf", ".h5", ".hdf5"}:
        return HdfStack.open(path)
    return MrcStack.open(path)


def write_stack(
    path: Path,
    batches: Iterable[NDArray[np.float32]],
    *,
    count: int,
    box_size: int,
    pixel_size_angstrom: float,
) -> None:
    """Write a float32 .mrcs stack batch by batch, atomically; memory stays at one batch.

    Parameters
    ----------
    path : Path
    batches : iterable of arrays, shape (n, D, D)
        `count` images altogether.
    """
    shape = (count, box_size, box_size)
    with (
        write_atomically(path) as temporary,
        mrcfile.new_mmap(temporary, shape=shape, mrc_mode=2, overwrite=True) as file,
    ):
        written = 0
        for batch in batches:
            if written + len(batch) > count:
                raise ValueError(f"more than the announced {count} images")
            file.data[written : written + len(batch)] = batch
            written += len(batch)
        if written != count:
            raise ValueError(f"{count} images were announced, {written} came")
        file.set_image_stack()
        file.voxel_size = pixel_size_angstrom
