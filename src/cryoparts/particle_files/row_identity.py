"""What a row of a particle file is called, and which rows show one image.

A row is usually an image of its own, and then its name is the image's name. In a
symmetry-expanded file one image stands on several rows, each with another pose:
these rows are called ``name#1``, ``name#2`` and so on, in the order of the file.
So a row's name is unique in its file, and files without repeated images keep the
names that they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

COPY_MARK = "#"
"""Between an image's name and the number of its row, counted from 1."""


def row_names(image_names: ArrayLike) -> NDArray[np.str_]:
    """Unique names of P rows from the names of their images.

    Parameters
    ----------
    image_names : str array, shape (P,)

    Returns
    -------
    str array, shape (P,)
        The image's name where it occurs once; else ``name#1``, ``name#2`` ... in the
        order of the rows. Where that would be another image's own name, the mark is
        doubled (``name##1``) in the whole file.
    """
    names = np.asarray(image_names, dtype=np.str_)
    number, known = pd.factorize(names.astype(object))
    if len(known) == len(names):
        return names
    repeated = np.bincount(number)[number] > 1
    copy = pd.Series(number).groupby(number).cumcount().to_numpy() + 1
    return _marked(names, copy, repeated)


def copy_names(image_names: ArrayLike, copies: int) -> NDArray[np.str_]:
    """Names (P * copies,) of rows when each of P unique rows is repeated, copies together.

    As `row_names` of the repeated names, without holding these.
    """
    names = np.asarray(image_names, dtype=np.str_)
    if copies == 1:
        return names
    longest = names.dtype.itemsize // np.dtype("U1").itemsize + len(f"{COPY_MARK}{copies}")
    out = np.empty((len(names), copies), dtype=f"U{longest}")
    for copy in range(copies):
        out[:, copy] = np.char.add(names, f"{COPY_MARK}{copy + 1}")
    return out.reshape(-1)


def _marked(
    names: NDArray[np.str_], copy: NDArray[np.int64], repeated: NDArray[np.bool_]
) -> NDArray[np.str_]:
    mark = COPY_MARK
    alone = set(names[~repeated].tolist())
    while True:
        marked = np.char.add(np.char.add(names[repeated], mark), copy[repeated].astype(np.str_))
        if alone.isdisjoint(marked.tolist()) and len(np.unique(marked)) == len(marked):
            break
        mark += COPY_MARK
    out = names.astype(np.result_type(names.dtype, marked.dtype))
    out[repeated] = marked
    return out


def in_words(rows: int, images: int) -> str:
    """``2,000 particles``, or ``80 rows of 40 images``."""
    if images == rows:
        return f"{rows:,} particle{'' if rows == 1 else 's'}"
    return f"{rows:,} rows of {images:,} image{'' if images == 1 else 's'}"


def image_numbers(
    stack_paths: Sequence[Path],
    stack_of_particle: NDArray[np.int64],
    slice_in_stack: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Number (P,) of the image that each row shows; rows of one image share it.

    Images are the same if they lie at the same place of the same file, whatever
    the rows call it. Numbers count from 0 in the order of first appearance, so that
    without repeated images row i shows image i.
    """
    files, _ = pd.factorize(np.array([str(path.resolve()) for path in stack_paths], dtype=object))
    place = np.asarray(slice_in_stack, dtype=np.int64)
    low = int(place.min(initial=0))
    width = int(place.max(initial=0)) - low + 1
    key = files.astype(np.int64)[stack_of_particle] * width + (place - low)
    return np.asarray(pd.factorize(key)[0], dtype=np.int64)


def notes_on_shared_images(
    image: NDArray[np.int64], rotation: NDArray[np.float64], half_set: NDArray[np.int8]
) -> list[str]:
    """What to know of a file in which rows share images; nothing where none do.

    Parameters
    ----------
    image : int array, shape (P,)
    rotation : array, shape (P, 3, 3)
    half_set : int8 array, shape (P,)
        1 or 2, or 0 where unknown.
    """
    rows, images = len(image), int(image.max(initial=-1)) + 1
    if rows == images:
        return []
    notes = [
        f"{in_words(rows, images)}: symmetry expanded? Halves, held-out particles and errors "
        "go by image"
    ]
    views = pd.DataFrame(np.column_stack([image, np.round(rotation.reshape(rows, 9), 3)]))
    repeated = int(views.duplicated().sum())
    if repeated:
        notes.append(
            f"{repeated} rows have image and orientation of another row: the same particle twice"
        )
    torn = np.intersect1d(image[half_set == 1], image[half_set == 2])
    if len(torn):
        notes.append(
            f"{len(torn)} images have rows in both half sets of the file: all rows of such an "
            "image are put into the half of its first, so that the halves share no image"
        )
    return notes


def chosen_rows(known: NDArray[np.str_], names: Iterable[str], source: Path) -> NDArray[np.bool_]:
    """Which rows (P,) of a particle file are asked for.

    Parameters
    ----------
    known : str array, shape (P,)
        The rows' names.
    names : iterable of str
    source : Path
        The file, for messages.

    Raises
    ------
    InputError
        If one of `names` is not in the file.
    """
    # as objects, by their hashes: an array of wide strings is several times larger when sorted
    index, wanted = pd.Index(known.astype(object)), pd.Index(list(names), dtype=object).unique()
    missing = wanted[~wanted.isin(index)]
    if len(missing):
        raise InputError(
            str(source),
            f"lacks {len(missing)} of the {len(wanted)} particles, {min(missing)} for one",
            "Give the file that the run was made from.",
        )
    return np.asarray(index.isin(wanted))
