"""Images of which every pixel has the same value: all of them, not only the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.statistics.by_image import first_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable
    from cryoparts.particles.particle_set import ParticleSet

    IntArray = NDArray[np.int64]

NAMED = 20
"""Blank images that a message names."""
PIXELS_AT_A_TIME = 2**21
"""Pixels read together: 8 MB."""


def blank_rows(
    particles: ParticleSet,
    rows: IntArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IntArray:
    """Rows whose images are blank; an image that several rows show is looked at once.

    Parameters
    ----------
    particles : ParticleSet
    rows : int array, shape (n,), optional
        Rows to look at. Default: all.
    progress : callable, optional
        Told the images looked at, and their number.
    """
    wanted = np.arange(len(particles)) if rows is None else rows
    image = particles.table.image[wanted]
    asked = wanted[first_rows(image)]
    box = particles.table.box_size[asked]
    blank = np.zeros(len(asked), dtype=bool)
    done = 0
    for size in np.unique(box):
        places = np.flatnonzero(box == size)
        step = max(1, PIXELS_AT_A_TIME // int(size) ** 2)
        for start in range(0, len(places), step):
            some = places[start : start + step]
            blank[some] = is_blank(particles.images(asked[some]))
            done += len(some)
            if progress is not None:
                progress(done, len(asked))
    found = np.isin(image, particles.table.image[asked[blank]])
    return np.asarray(wanted[found], dtype=np.int64)


def is_blank(images: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether all pixels of each of n images (n, D, D) have one value."""
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    # undoing a magnification leaves rounding where there was nothing
    return np.asarray(high - low <= 1e-6 * np.maximum(np.abs(high), np.abs(low)))


def named(table: ParticleTable, rows: IntArray) -> str:
    """Names of the images of rows for a message: all, or the first of many."""
    known = table.names if table.image_names is None else table.image_names
    single = rows[first_rows(table.image[rows])]
    names = ", ".join(str(name) for name in known[single[:NAMED]])
    return names if len(single) <= NAMED else f"{names} and {len(single) - NAMED:,} more"


def blank_error(particles: ParticleSet) -> InputError:
    """The error that counts and names all blank images."""
    table, rows = particles.table, blank_rows(particles)
    return InputError(
        str(table.source),
        f"{len(np.unique(table.image[rows])):,} of {table.image_count:,} images are blank, every "
        "pixel has the same value: "
        f"{named(table, rows)}",
        "Extract these particles again, or give --skip-blank to leave them out.",
    )
