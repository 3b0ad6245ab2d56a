"""What a particle file says about its stacks against what the stacks' headers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.other_inputs import TOMO_CURE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PIXEL_SIZE_TOLERANCE = 0.01
"""Relative difference of table and header that counts as a contradiction."""


@dataclass(frozen=True)
class StackFindings:
    """What the headers of the stacks say, spread over the P particles.

    Parameters
    ----------
    box_size : int array, shape (P,)
        From the stacks, or from the table where a stack is absent; 0 unknown.
    pixel_size : array, shape (P,)
        Å from the headers; 0 where unset (0 and 1.0 in a header mean unset:
        1.0 is what programs write that do not know it).
    """

    box_size: NDArray[np.int64]
    pixel_size: NDArray[np.float64]
    _paths: tuple[Path, ...]
    _stack_of_particle: NDArray[np.int64]

    def check_pixel_size(self, table: NDArray[np.float64], source: Path) -> None:
        """Raise InputError where the header's pixel size is not the table's."""
        known = self.pixel_size > 0
        wrong = known & (np.abs(self.pixel_size - table) > PIXEL_SIZE_TOLERANCE * table)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            stack = self._paths[int(self._stack_of_particle[first])]
            raise InputError(
                str(source),
                f"it gives a pixel size of {table[first]:.4g} Å, the header of {stack} "
                f"{self.pixel_size[first]:.4g} Å",
                "Give the right one with --pixel-size.",
            )


def check_stacks(
    paths: tuple[Path, ...],
    stack_of_particle: NDArray[np.int64],
    slice_in_stack: NDArray[np.int64],
    table_box: NDArray[np.int64] | None,
    source: Path,
    *,
    row: str = "particle",
    required: bool = True,
    unnumbered: NDArray[np.bool_] | None = None,
) -> StackFindings:
    """Check that every stack is there, long enough, and has the box of the table.

    Parameters
    ----------
    paths : tuple of Path
    stack_of_particle, slice_in_stack : int arrays, shape (P,)
    table_box : int array, shape (P,), optional
        Box sizes of the table; 0 where it does not say.
    source : Path
        The particle file, for messages.
    row : str
        What its rows are called.
    required : bool
        Whether an absent stack is an error.
    unnumbered : bool array, shape (P,), optional
        Rows that name a stack but no image in it: it must have one.

    Raises
    ------
    InputError
    """
    if (slice_in_stack < 0).any():
        first = int(np.flatnonzero(slice_in_stack < 0)[0])
        raise InputError(
            f"{source}, {row} {first + 1}",
            "the image number within its stack is below the first",
            "Correct the file: RELION counts images from 1, cryoSPARC and EMAN2 from 0.",
        )
    lengths = np.full(len(paths), np.iinfo(np.int64).max)
    boxes = np.zeros(len(paths), dtype=np.int64)
    pixels = np.zeros(len(paths))
    for number, path in enumerate(paths):
        if not required and not path.is_file():
            continue
        stack = open_stack(path)
        lengths[number], boxes[number] = len(stack), stack.box_size
        pixel = stack.pixel_size_angstrom or 0.0
        pixels[number] = 0.0 if abs(pixel - 1.0) < 1e-6 else pixel
    if unnumbered is not None:
        _require_one_image(unnumbered, lengths, paths, stack_of_particle, source, row)
    short = slice_in_stack >= lengths[stack_of_particle]
    if short.any():
        first = int(np.flatnonzero(short)[0])
        number = int(stack_of_particle[first])
        raise InputError(
            f"{source}, {row} {first + 1}",
            f"asks for image {int(slice_in_stack[first]) + 1} (counted from 1) of {paths[number]}, "
            f"which has {int(lengths[number])} ({int(short.sum())} such rows)",
            "Give the stack that belongs to this file, with --datadir if it was moved.",
        )
    box = boxes[stack_of_particle]
    if table_box is not None:
        _check_boxes(box, table_box, paths, stack_of_particle, source, row)
        box = np.where(box > 0, box, table_box)
    odd = box % 2 == 1
    if odd.any():
        first = int(np.flatnonzero(odd)[0])
        raise InputError(
            f"{source}, {row} {first + 1}",
            f"the box must be even, it is {int(box[first])} pixels",
            "Extract or crop the particles again with an even box.",
        )
    return StackFindings(box, pixels[stack_of_particle], paths, stack_of_particle)


def _require_one_image(
    unnumbered: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    paths: tuple[Path, ...],
    stack_of_particle: NDArray[np.int64],
    source: Path,
    row: str,
) -> None:
    """Refuse volumes and tilt stacks, whose rows name the whole file."""
    known = lengths[stack_of_particle] < np.iinfo(np.int64).max
    several = unnumbered & known & (lengths[stack_of_particle] > 1)
    if several.any():
        first = int(np.flatnonzero(several)[0])
        number = int(stack_of_particle[first])
        raise InputError(
            f"{source}, {row} {first + 1}",
            f"names {paths[number]} without an image in it, and that file has "
            f"{int(lengths[number])} sections: a 3D subtomogram or the stack of a tilt series? "
            f"({int(several.sum())} such rows)",
            TOMO_CURE,
        )


def _check_boxes(
    box: NDArray[np.int64],
    table_box: NDArray[np.int64],
    paths: tuple[Path, ...],
    stack_of_particle: NDArray[np.int64],
    source: Path,
    row: str,
) -> None:
    wrong = (box > 0) & (table_box > 0) & (box != table_box)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{source}, {row} {first + 1}",
            f"the table says a box of {int(table_box[first])} pixels, "
            f"{paths[int(stack_of_particle[first])]} has {int(box[first])}",
            "Give the stack that belongs to this file, with --datadir if it was moved.",
        )
