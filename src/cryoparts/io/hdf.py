"""EMAN2's .hdf stacks: one HDF5 group an image, with the header as attributes.

Layout: ``/MDF/images/<n>/image`` holds the pixels and the group's attributes
``EMAN.<key>`` the header. Compressed stacks keep integers; with
``EMAN.stored_renderbits`` = b the value is
``rendermin + integer * (rendermax - rendermin) / (2^b - 1)``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

CURE = "Give a stack of 2D images written by EMAN2 (.hdf)."


@dataclass(frozen=True)
class HdfStack:
    """An EMAN2 .hdf stack; the file is opened for each batch and closed again."""

    path: Path
    box_size: int
    pixel_size_angstrom: float | None
    count: int
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> HdfStack:
        """Read the number, size and pixel size of the images.

        Raises
        ------
        InputError
            If the file is no EMAN2 stack or its images are not square.
        """
        with reading(path, "an EMAN2 .hdf stack", CURE), h5py.File(path, "r") as file:
            images = file["MDF/images"]
            # Deleted images leave gaps, so the largest number counts, not how many there are.
            count = 1 + max((int(name) for name in images if name.isdigit()), default=-1)
            first = images[min((n for n in images if n.isdigit()), key=int)]
            shape = tuple(s for s in first["image"].shape if s != 1)
            pixel = float(attribute(first, "apix_x") or 0.0)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise InputError(str(path), f"images must be 2D squares, these are {shape}", CURE)
        return cls(path, shape[0], pixel or None, count)

    def __len__(self) -> int:
        return self.count

    def read(self, slices: ArrayLike) -> NDArray[np.float32]:
        """The images at 0-based `slices`, shape (n, D, D), in the order asked for."""
        wanted = np.atleast_1d(np.asarray(slices))
        out = np.empty((len(wanted), self.box_size, self.box_size), dtype=np.float32)
        with (
            self._lock,
            reading(self.path, "an EMAN2 .hdf stack", CURE),
            h5py.File(self.path, "r") as file,
        ):
            for row, number in enumerate(wanted):
                out[row] = self._image(file, int(number))
        return out

    def _image(self, file: Any, number: int) -> NDArray[np.float32]:
        try:
            group = file[f"MDF/images/{number}"]
            if group["image"].size != self.box_size**2:
                raise ValueError(f"it has {group['image'].shape} pixels")
            stored = np.asarray(group["image"], dtype=np.float32)
        except (KeyError, OSError, ValueError, RuntimeError, AttributeError) as fault:
            raise InputError(
                f"{self.path}, image {number}",
                f"it cannot be read: {fault}",
                "Write the stack again.",
            ) from fault
        bits = int(attribute(group, "stored_renderbits") or 0)
        if bits > 0:
            low = float(attribute(group, "stored_rendermin") or 0.0)
            high = float(attribute(group, "stored_rendermax") or 0.0)
            if high > low:
                stored = low + stored * np.float32((high - low) / (2**bits - 1))
        return stored.reshape(self.box_size, self.box_size)

    def headers(self, slices: ArrayLike, key: str) -> list[Any]:
        """The header value `key` of each image, None where it has none."""
        with (
            self._lock,
            reading(self.path, "an EMAN2 .hdf stack", CURE),
            h5py.File(self.path, "r") as file,
        ):
            images = file["MDF/images"]
            return [
                attribute(images[str(number)], key) if str(number) in images else None
                for number in np.atleast_1d(np.asarray(slices)).tolist()
            ]


def attribute(group: Any, key: str) -> Any:
    """EMAN2's header value `key` of an image's group as a Python object, None if absent."""
    value = group.attrs.get(f"EMAN.{key}")
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.size > 1 else value.reshape(-1)[0]
    return value.item() if isinstance(value, np.generic) else value
