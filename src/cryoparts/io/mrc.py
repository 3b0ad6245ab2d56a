"""MRC maps and image stacks; `open_stack` also opens EMAN2's .hdf stacks.

mrcfile interprets the headers (either byte order, with or without a machine
stamp); images are converted to float32 as they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import mrcfile
import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import require_file
from cryoparts.io.hdf import HdfStack
from cryoparts.io.mrc_header import (
    HEADER_BYTES,
    MrcLayout,
    is_gzip,
    read_layout,
    read_sections,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

VOXEL_ANISOTROPY_LIMIT = 0.01
WHOLE_VOXEL = 0.01
"""Starts as near to whole voxels as this are whole."""
MAPS = (".mrc", ".map", ".ccp4")


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


def is_map(path: Path) -> bool:
    """Whether a file is a map by its suffix, with or without .gz behind it."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(MAPS)


def places_by_start(path: Path) -> bool:
    """Whether a map's header tells its place by NSTART, and gives no origin."""
    layout = read_layout(path, compressed=True)
    return any(layout.start) and not any(layout.origin)


def read_map(
    path: Path, *, voxel_size: float | None = None, may_be_unset: bool = False
) -> DensityMap:
    """Read a 3D map.

    Parameters
    ----------
    path : Path
        .mrc, .map or .ccp4 file of any real mode, with or without machine stamp; .gz as well.
    voxel_size : float, optional
        Å; overrides the header.
    may_be_unset : bool
        Whether a header without voxel size is no error; it is 0 then.

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
    layout = read_layout(path, compressed=True)
    if min(layout.shape) < 2:
        raise InputError(
            str(path), f"a map has three dimensions, this file is {layout.shape}", "Give a 3D map."
        )
    values = unpacked(path, layout) if is_gzip(path) else read_sections(path, layout)
    density = values.astype(np.float32)
    density = _standard_axes(density, path, layout)
    if not np.isfinite(density).all():
        raise InputError(
            str(path),
            f"{int((~np.isfinite(density)).sum())} voxels are NaN or infinite",
            "Write the map again without them.",
        )
    if voxel_size is not None:
        size = voxel_size
    else:
        unset = may_be_unset and min(layout.voxel_size) <= 0
        size = 0.0 if unset else _cubic_voxel(path, layout)
    start = np.zeros(3)
    start[np.array(layout.axes) - 1] = layout.start
    origin = np.array(layout.origin, dtype=np.float64)
    return DensityMap(np.ascontiguousarray(density), size, origin if origin.any() else start * size)


def _standard_axes(
    density: NDArray[np.float32], path: Path, layout: MrcLayout
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


def _cubic_voxel(path: Path, layout: MrcLayout) -> float:
    x, y, z = layout.voxel_size
    if min(x, y, z) <= 0:
        raise InputError(
            str(path),
            "the header gives no voxel size",
            "Give it with --model-pixel-size, in Å, or write it into the header.",
        )
    if max(abs(y - x), abs(z - x)) > VOXEL_ANISOTROPY_LIMIT * x:
        raise InputError(
            str(path),
            f"voxels must be cubes, these are {x:.4g} x {y:.4g} x {z:.4g} Å",
            "Resample the map to one voxel size.",
        )
    # The header keeps the cell in single precision: 419.2 / 64 comes back as 6.5499997.
    return float(f"{x:.6g}")


def write_map(
    path: Path,
    density: ArrayLike,
    pixel_size: float,
    origin_angstrom: Sequence[float] = (0.0, 0.0, 0.0),
    *,
    by_start: bool = False,
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
    by_start : bool
        Write it as NSTART, if it is a whole number of voxels, and not as origin.
    """
    values = np.ascontiguousarray(density, dtype=np.float32)
    if values.ndim != 3:
        raise ValueError(f"a map has 3 dimensions, got {values.shape}")
    with (
        write_atomically(path) as temporary,
        mrcfile.new(temporary, data=values, overwrite=True) as file,
    ):
        file.voxel_size = pixel_size
        voxels = np.asarray(origin_angstrom) / (pixel_size or 1.0)
        if by_start and np.abs(voxels - np.rint(voxels)).max() < WHOLE_VOXEL:
            x, y, z = np.rint(voxels).astype(int)
            file.header.nxstart, file.header.nystart, file.header.nzstart = x, y, z
        else:
            file.header.origin.x, file.header.origin.y, file.header.origin.z = origin_angstrom


@dataclass(frozen=True)
class MrcStack:
    """An .mrc or .mrcs stack; the file is opened for each batch and closed again."""

    path: Path
    box_size: int
    pixel_size_angstrom: float | None
    _layout: MrcLayout

    @classmethod
    def open(cls, path: Path) -> MrcStack:
        """Read the header; images are read when asked for."""
        layout = read_layout(path)
        _, rows, columns = layout.shape
        if rows != columns:
            raise InputError(
                str(path),
                f"particle images must be square, these are {columns} x {rows} pixels",
                "Extract the particles again with a square box.",
            )
        pixel = layout.voxel_size[0]
        return cls(path, columns, float(f"{pixel:.6g}") or None, layout)

    def __len__(self) -> int:
        return self._layout.shape[0]

    def read(self, slices: ArrayLike) -> NDArray[np.float32]:
        """The images at 0-based `slices`, shape (n, D, D), in the order asked for."""
        chosen = np.atleast_1d(np.asarray(slices, dtype=np.int64))
        return read_sections(self.path, self._layout, chosen).astype(np.float32, copy=False)


def open_stack(path: Path) -> StackReader:
    """Open an .mrc/.mrcs stack or an EMAN2 .hdf stack.

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
    with write_atomically(path) as temporary:
        with mrcfile.new_mmap(temporary, shape=shape, mrc_mode=2, overwrite=True) as file:
            file.set_image_stack()
            file.voxel_size = pixel_size_angstrom
        # The values are written, not mapped: pages of a map would count as memory held.
        with temporary.open("r+b") as stream:
            stream.seek(HEADER_BYTES)
            written = 0
            for batch in batches:
                written += len(batch)
                if written > count:
                    raise ValueError(f"more than the announced {count} images")
                stream.write(np.ascontiguousarray(batch, dtype=np.float32).tobytes())
        if written != count:
            raise ValueError(f"{count} images were announced, {written} came")
