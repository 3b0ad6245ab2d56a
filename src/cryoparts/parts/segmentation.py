"""Gaussians that change together, grouped into parts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parts.changes import gaussian_features, measure_changes
from cryoparts.parts.density_clusters import candidate_clusterings
from cryoparts.parts.embedding import FEWEST_FOR_UMAP, Embedding, Method, embed
from cryoparts.parts.part_labels import CORE, PartLabels
from cryoparts.parts.part_models import Observations
from cryoparts.parts.part_refinement import joined, refine, with_small_parts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.inference.decoded import Decoded

    IntArray = NDArray[np.int64]

_MIN_SAMPLES = 8
"""Neighbours within the radius that make a Gaussian the core of a cluster (DBSCAN)."""

_MOST_CLUSTERS = 60
"""Clusters of one radius beyond which it is too small to be considered."""

_FEWEST_CLUSTERED = 0.5
"""Share of the Gaussians that are in clusters, of a clustering that is considered. Where few are,
what is kept of a fine radius may lack a part; the others then join its Gaussians, and two parts
far from each other are clearer than the three that there are."""

_CLUSTERED = 0.01
"""Share of the Gaussians that a cluster has at the least. Smaller ones are pieces of parts and of
their borders as often as not: with 0.5%, a part of a ribosome was cut in two. What is smaller is
found by being like no part (`with_small_parts`)."""

_SMALLEST = 0.004
"""Share of the Gaussians that a part has at the least: half of them lie at the borders of one that
has 1% of the mass."""

_BETTER = 0.01
"""Gain of the explained change by which more parts must be better than fewer."""


def segment_gaussians(
    positions: ArrayLike,
    relative_amplitudes: ArrayLike | None = None,
    displacements: ArrayLike | None = None,
    *,
    relative_widths: ArrayLike | None = None,
    method: Method = "umap",
    min_part_size: int | None = None,
    seed: int = 0,
) -> PartLabels:
    """Group Gaussians into a core and parts by the decoder's output over particles.

    The Gaussians are embedded by what happens to them (UMAP of the significant
    modes of change) and clustered there by DBSCAN at a series of radii, after
    Chen, Li & Liao (arXiv 2601.18713). Each clustering that has half of the
    Gaussians in clusters is then refined by what its clusters do
    (`part_refinement`), and the one whose parts are the clearest is kept, the
    one with fewer parts if they are equally clear. Beside these, small groups
    that are like none of them, but alike, are parts. What networks let a Gaussian do
    where it is away parts nothing: parts that are one by what is seen are joined.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Neutral positions, Å.
    relative_amplitudes : array, shape (S, N), optional
        Amplitudes relative to the neutral model, of S particles.
    displacements : array, shape (S, N, 3), optional
        Displacements of the same particles, Å.
    relative_widths : array, shape (S, N), optional
        Looked at in the place of amplitudes where these do not vary.
    method : "umap" or "pca"
        Space of the clustering. Below 50 Gaussians always "pca".
    min_part_size : int, optional
        Fewest Gaussians in a part. Default: 0.4% of the Gaussians, at least 5
        (at least 2 for fewer than 50 Gaussians).
    seed : int
        The result depends on the arguments and this alone.

    Returns
    -------
    PartLabels
        0 = core (changes least), 1 ... K = parts by size, -1 = like no part. All
        zero if nothing changes.

    Raises
    ------
    ValueError
        If no output is given, or shapes disagree.
    """
    measured = partial(
        measure_changes,
        positions,
        relative_amplitudes,
        displacements,
        relative_widths=relative_widths,
        seed=seed,
    )
    changes = measured(as_seen=False)
    # what does not come and go is seen wherever it is: nothing to measure a second time
    may_hide = relative_amplitudes is not None and displacements is not None
    seen = measured() if may_hide else changes
    count = len(changes.positions)
    labels = np.zeros(count, dtype=np.int64)
    if changes.n_modes == 0:
        layout = Embedding(np.zeros((count, 2)), np.zeros((count, 0)), "pca")
    else:
        layout = embed(gaussian_features(changes), method=method, seed=seed)
        size = min_part_size or default_part_size(count)
        labels = _parts(Observations.of(changes), layout, size)
        if may_hide and labels.max() > CORE and seen.n_modes:
            labels = joined(Observations.of(seen), labels, size)
    return PartLabels(
        labels=labels,
        embedding=layout.coordinates,
        positions=changes.positions,
        amplitude_change=seen.amplitude_change,
        displacement_rms_angstrom=seen.displacement_rms_angstrom,
        method=layout.method,
    )


def segment_decoded(
    positions: ArrayLike,
    decoded: Decoded,
    *,
    method: Method = "umap",
    min_part_size: int | None = None,
    seed: int = 0,
) -> PartLabels:
    """The same of all that the decoder says of a sample of particles."""
    return segment_gaussians(
        positions,
        decoded.relative_amplitudes,
        decoded.displacements,
        relative_widths=decoded.relative_widths,
        method=method,
        min_part_size=min_part_size,
        seed=seed,
    )


def default_part_size(n_gaussians: int) -> int:
    """0.4% of the Gaussians, at least 5, or at least 2 where there are few."""
    return max(int(n_gaussians * _SMALLEST), 5 if n_gaussians >= FEWEST_FOR_UMAP else 2)


def _parts(observed: Observations, layout: Embedding, min_size: int) -> IntArray:
    """The clearest parts, and smaller groups that are like none of them."""
    clustered = max(min_size, int(len(layout.coordinates) * _CLUSTERED))
    labels = _clearest_parts(observed, layout, clustered)
    if clustered == min_size:
        return labels
    return with_small_parts(observed, labels, min_size, clustered)


def _clearest_parts(observed: Observations, layout: Embedding, min_size: int) -> IntArray:
    """Refine DBSCAN clusterings at several radii and keep the clearest."""
    points = layout.coordinates if layout.method == "umap" else layout.components
    best = np.zeros(len(points), dtype=np.int64)
    best_score, best_parts = 0.0, 1
    candidates = candidate_clusterings(
        points,
        min_samples=min(_MIN_SAMPLES, min_size),
        min_size=min_size,
        most=_MOST_CLUSTERS,
    )
    seen: set[bytes] = set()
    for clusters in candidates:
        if np.mean(clusters >= 0) < _FEWEST_CLUSTERED:
            continue
        labels, score = refine(observed, clusters, min_size)
        if labels.tobytes() in seen:
            continue
        seen.add(labels.tobytes())
        parts = int(labels.max()) + 1
        margin = _BETTER if parts > best_parts else -_BETTER if parts < best_parts else 0.0
        if score > best_score + margin:
            best, best_score, best_parts = labels, score, parts
    return best
