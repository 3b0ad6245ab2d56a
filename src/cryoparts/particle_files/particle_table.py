"""What every particle file is turned into: one row a particle, in the file's own order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.particle_files.row_identity import image_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses


@dataclass(frozen=True)
class ParticleTable:
    """P particles: where their images lie, their poses and their CTF.

    Rows are never dropped or reordered: row i is the i-th particle of `source`.
    Several rows may show one image (a symmetry-expanded file): then they are told
    apart by their names, and `image` says which belong together.

    Parameters
    ----------
    names : str array, shape (P,)
        The row's own name, unique: that of its image, ``000001@stack.mrcs``
        (RELION), the uid (cryoSPARC), ``index@file`` with the 0-based index (EMAN2),
        or ``000001@stack.mrcs`` (cryoDRGN); with ``#1``, ``#2`` ... behind it where
        several rows have this name (see `cryoparts.particle_files.row_identity`).
    stack_paths : tuple of Path
        The stacks that the particles lie in.
    stack_of_particle : int array, shape (P,)
        Index into `stack_paths`.
    slice_in_stack : int array, shape (P,)
        0-based image within its stack.
    poses : Poses
        Orientation and shift (Å) of every particle.
    ctf : CtfParameters
        CTF parameters of every particle.
    pixel_size_angstrom : float array, shape (P,)
        Å per pixel.
    box_size : int array, shape (P,)
        Pixels along one side; 0 where neither table nor stack told.
    optics_group : int array, shape (P,)
        The optics group's number as the file gives it.
    half_set : int8 array, shape (P,)
        1 or 2; 0 where the file does not say.
    source : Path
        The file that was read.
    format : str
        ``relion``, ``cryosparc``, ``eman2`` or ``cryodrgn``.
    phase_flipped : bool
        Whether the images were multiplied by the sign of their CTF.
    notes : tuple of str
        What was found in the file and is not used, for the user to read.
    image_names : str array, shape (P,), optional
        What the file calls each row's image. None where no two rows show the same
        image: then it is the row's name.
    magnification : array, shape (P, 2, 2), optional
        Anisotropic magnification M of each particle's optics group (see
        `cryoparts.imaging.magnification`); None where there is none.
    """

    names: NDArray[np.str_]
    stack_paths: tuple[Path, ...]
    stack_of_particle: NDArray[np.int64]
    slice_in_stack: NDArray[np.int64]
    poses: Poses
    ctf: CtfParameters
    pixel_size_angstrom: NDArray[np.float64]
    box_size: NDArray[np.int64]
    optics_group: NDArray[np.int64]
    half_set: NDArray[np.int8]
    source: Path
    format: str
    phase_flipped: bool = False
    notes: tuple[str, ...] = ()
    image_names: NDArray[np.str_] | None = None
    magnification: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        for field in (
            "stack_of_particle",
            "slice_in_stack",
            "pixel_size_angstrom",
            "box_size",
            "optics_group",
            "half_set",
        ):
            shape = getattr(self, field).shape
            if shape != (count,):
                raise ValueError(f"{field} has shape {shape}, it should have ({count},)")
        if len(self.poses) != count or len(self.ctf) != count:
            raise ValueError(
                f"{count} particles, {len(self.poses)} poses and {len(self.ctf)} CTFs must agree"
            )
        if self.image_names is not None and len(self.image_names) != count:
            raise ValueError(f"{count} particles but {len(self.image_names)} names of images")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def image(self) -> NDArray[np.int64]:
        """Number (P,) of each row's image, from 0 in order of first appearance."""
        return image_numbers(self.stack_paths, self.stack_of_particle, self.slice_in_stack)

    @property
    def image_count(self) -> int:
        """How many different images the rows show."""
        return int(self.image.max(initial=-1)) + 1

    def take(self, indices: ArrayLike) -> Self:
        """The chosen rows, in the order asked for; all stacks are kept."""
        rows = np.asarray(indices)
        return replace(
            self,
            names=self.names[rows],
            stack_of_particle=self.stack_of_particle[rows],
            slice_in_stack=self.slice_in_stack[rows],
            poses=self.poses.take(rows),
            ctf=self.ctf.take(rows),
            pixel_size_angstrom=self.pixel_size_angstrom[rows],
            box_size=self.box_size[rows],
            optics_group=self.optics_group[rows],
            half_set=self.half_set[rows],
            image_names=None if self.image_names is None else self.image_names[rows],
            magnification=None if self.magnification is None else self.magnification[rows],
        )
