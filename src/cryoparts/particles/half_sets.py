"""The two halves of the particles that are never mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class HalfSets:
    """Which half each of P particles belongs to.

    Parameters
    ----------
    half : int8 array, shape (P,)
        1 or 2.
    source : str
        ``file`` or ``random``.
    """

    half: NDArray[np.int8]
    source: Literal["file", "random"]

    def __post_init__(self) -> None:
        """Check that every particle is in exactly one half."""
        if self.half.ndim != 1 or not np.isin(self.half, (1, 2)).all():
            raise ValueError("every particle must be in half 1 or 2")

    def __len__(self) -> int:
        return len(self.half)

    def indices(self, half: Literal[1, 2]) -> NDArray[np.int64]:
        """The particles of one half, in order."""
        if half not in (1, 2):
            raise ValueError(f"the halves are 1 and 2, not {half}")
        return np.flatnonzero(self.half == half)


def assign_half_sets(
    known: NDArray[np.int8], seed: int = 0, *, image: NDArray[np.int64] | None = None
) -> HalfSets:
    """Half sets as the file gives them, else drawn at random in equal numbers.

    A file that knows both halves is followed; particles that it leaves out are
    drawn. With one half or none in the file, all particles are drawn, because
    one half alone is no split. All rows of one image are in one half: that of the
    first row of which the file says it.

    Parameters
    ----------
    known : int8 array, shape (P,)
        1, 2, or 0 where the file does not say.
    seed : int
        Of the draw.
    image : int array, shape (P,), optional
        Number of each row's image, from 0. Default: an image a row.
    """
    of_row = np.arange(len(known)) if image is None else image
    count = int(of_row.max(initial=-1)) + 1
    told = np.zeros(count, dtype=np.int8)
    # of several values for one place the last is kept: backwards, that of the first row
    rows = np.flatnonzero(known > 0)[::-1]
    told[of_row[rows]] = known[rows]
    drawn = (
        random_for(seed, Purpose.HALF_SETS).permutation(np.arange(count) % 2 + 1).astype(np.int8)
    )
    if not ((told == 1).any() and (told == 2).any()):
        return HalfSets(drawn[of_row], "random")
    of_image = np.where(told > 0, told, drawn).astype(np.int8)
    return HalfSets(of_image[of_row], "file")
