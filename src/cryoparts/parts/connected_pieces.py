"""Gaussians divided into connected pieces of what changes alike."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sklearn.cluster import AgglomerativeClustering
from sklearn.neighbors import kneighbors_graph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 12
"""Nearest Gaussians, which a piece grows over."""


def connected_pieces(
    positions: NDArray[np.floating], changes: NDArray[np.floating], pieces: int
) -> NDArray[np.int64]:
    """Piece 0 ... `pieces` - 1 of each Gaussian, by Ward's clustering.

    Parameters
    ----------
    positions : array, shape (N, 3)
        More than `NEIGHBOURS` Gaussians, Å.
    changes : array, shape (N, M)
        What happens to each.
    pieces : int
    """
    near = kneighbors_graph(positions, NEIGHBOURS, include_self=False)
    with warnings.catch_warnings():
        # several islands: what joins these is added to the neighbours, as it should be
        warnings.filterwarnings("ignore", "the number of connected components", UserWarning)
        found: NDArray[np.int64] = AgglomerativeClustering(pieces, connectivity=near).fit_predict(
            changes
        )
    return found
