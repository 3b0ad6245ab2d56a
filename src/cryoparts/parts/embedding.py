"""Points with many features laid out in the plane: UMAP, or principal components."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cryoparts.kernels.compiled import keep_compiled
from cryoparts.seeds import Purpose, seed_for
from cryoparts.statistics.principal_components import principal_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

Method = Literal["umap", "pca"]

LAYOUT = "_nb_optimize_layout_euclidean_single_epoch"

FEWEST_FOR_UMAP = 50
"""Below this many points UMAP's neighbour graph says less than the components do."""


@dataclass(frozen=True)
class Embedding:
    """Points in the plane.

    Parameters
    ----------
    coordinates : array, shape (n, 2)
        For UMAP in its own unit; for PCA in the unit of the features.
    components : array, shape (n, C)
        Principal components that the embedding was made from.
    method : "umap" or "pca"
        What was used (few points fall back to PCA).
    """

    coordinates: FloatArray
    components: FloatArray
    method: Method


def embed(
    features: ArrayLike,
    *,
    method: Method = "umap",
    seed: int = 0,
    n_neighbours: int = 15,
    max_components: int = 20,
) -> Embedding:
    """Lay points out in the plane.

    UMAP (McInnes et al. 2018, arXiv 1802.03426) of the first principal
    components, from exact nearest neighbours; with a seed it is reproducible.

    Parameters
    ----------
    features : array, shape (n, F)
    method : "umap" or "pca"
        UMAP falls back to PCA for fewer than 50 points or features that do not vary.
    seed : int
    n_neighbours : int
        Neighbours of each point in UMAP's graph.
    max_components : int
        Most principal components used.
    """
    components = principal_scores(features, max_components)
    count = len(components)
    if method == "pca" or count < FEWEST_FOR_UMAP or components.shape[1] < 2:
        plane = np.zeros((count, 2))
        shown = components[:, :2]
        plane[:, : shown.shape[1]] = shown
        return Embedding(plane, components, "pca")
    return Embedding(_umap(components, min(n_neighbours, count - 1), seed), components, "umap")


@cache
def _umap_class() -> Any:
    """UMAP; what it compiles when it first runs, for six seconds, is kept on disk."""
    # umap-learn compiles for seconds when imported: only where it is used
    from umap import UMAP, layouts, umap_

    # the third has no public name: where a version calls it otherwise it is compiled each time
    slow = (umap_, "smooth_knn_dist"), (umap_, "compute_membership_strengths"), (layouts, LAYOUT)
    keep_compiled("umap-learn", *(getattr(*named) for named in slow if hasattr(*named)))
    return UMAP


def _umap(points: FloatArray, n_neighbours: int, seed: int) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = NearestNeighbors(n_neighbors=n_neighbours).fit(points)
        distances, indices = search.kneighbors(points)
        model = _umap_class()(
            n_neighbors=n_neighbours,
            min_dist=0.0,
            random_state=seed_for(seed, Purpose.GAUSSIAN_LAYOUT),
            n_jobs=1,
            precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32), None),
        )
        plane: FloatArray = np.asarray(
            model.fit_transform(points.astype(np.float32)), dtype=np.float64
        )
    return plane
