"""Rows that show one image are no independent observations: draws go by image.

Symmetry-expanded particles have several rows an image. Every function here takes
the number of each row's image and does, where every row has its own image, just
what it would do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
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


def image_count(image: IntArray | None, rows: int) -> int:
    """How many images `rows` rows show; `rows` where each has its own (None)."""
    return rows if image is None else len(np.unique(image))


def one_row_each(image: IntArray, seed: int) -> IntArray:
    """One row of each image, drawn at random, in increasing order; all rows if each has its own.

    Parameters
    ----------
    image : int array, shape (P,)
        Number of each row's image.
    seed : int
        Of the draw.
    """
    count = len(image)
    first = first_rows(image)
    if len(first) == count:
        return np.arange(count, dtype=np.int64)
    order = random_for(seed, Purpose.ROW_OF_IMAGE).permutation(count)
    return np.sort(order[first_rows(image[order])]).astype(np.int64)


def with_all_rows(image: IntArray, chosen: IntArray) -> IntArray:
    """All rows of the chosen images, in increasing order.

    Parameters
    ----------
    image : int array, shape (P,)
    chosen : int array
        Places of images in ``np.unique(image)``.
    """
    place = np.unique(image, return_inverse=True)[1].reshape(-1)
    return np.flatnonzero(np.isin(place, chosen)).astype(np.int64)


def sums_by_image(values: FloatArray, image: IntArray) -> FloatArray:
    """Sums (M, ...) of rows (P, ...) over each image's rows."""
    first, place = np.unique(image, return_index=True, return_inverse=True)[1:]
    sums = np.zeros((len(first), *values.shape[1:]))
    np.add.at(sums, place.reshape(-1), values)
    return sums


def covariance_from_scores(scores: FloatArray, image: IntArray | None = None) -> FloatArray:
    """Covariance (k, k) of k parameters of maximum likelihood from the rows' scores (P, k).

    The inverse of the scores' outer product or, where rows share images, the
    cluster-robust sandwich of it (Liang & Zeger 1986, Biometrika 73, 13), in which
    only different images count as independent.
    """
    inner = np.linalg.pinv(scores.T @ scores, hermitian=True)
    if image is None or image_count(image, len(scores)) == len(scores):
        return np.asarray(inner)
    together = sums_by_image(scores, image)
    sandwich: FloatArray = inner @ (together.T @ together) @ inner
    return sandwich
