"""A sample that is spread over a file, which may be sorted by micrograph or defocus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def evenly_spaced(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, from the first to the last at even distances.

    Parameters
    ----------
    rows : int array, shape (n,)
    count : int
    """
    places = np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(np.int64)
    return rows[np.unique(places)]
