"""Rows that show one image are no independent observations: draws go by image.

Symmetry-expanded particles have several rows an image. Every function here takes
the number of each row's image and does, where every row has its own image, just
what it would do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]


def numbered(keys: ArrayLike) -> IntArray:
    """Numbers (P,) from 0, in the order of first appearance, of P keys."""
    return np.asarray(pd.factorize(np.asarray(keys))[0], dtype=np.int64)


def first_rows(image: IntArray) -> IntArray:
    """The first row of each image, in increasing order.

    Parameters
    ----------
    image : int array, shape (P,)
        Number of each row's image.
    """
    return np.sort(np.unique(image, return_index=True)[1]).astype(np.int64)
