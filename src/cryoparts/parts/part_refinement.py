"""From density clusters to parts: join what is one part, dissolve mere borders.

Clusters from an embedding over- or under-divide: one part may come as several
clusters, and the Gaussians between two parts, which do half of each, often form
a cluster of their own. Both are decided here by what the clusters do, not by
where the embedding happened to put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import lsq_linear

from cryoparts.parts.part_labels import numbers_by_size, with_numbers
from cryoparts.parts.part_models import PartModel, separation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.parts.part_models import Observations

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

SAME_PART = 0.2
"""Two clusters are one part if joining them costs less than this part of the
weaker one's change; for equal profiles, a correlation above 0.9."""

SMALLEST_CHANGE = 0.1
"""Root mean square change (1 = all of the amplitude, or one displacement unit)
below which a difference between Gaussians is taken for noise."""

WEAKEST_PART = 0.2
"""A part changes by at least this fraction of the strongest part's change."""

ABOVE_MISFIT = 1.5
"""Two clusters are one part if joining them costs a Gaussian less than this multiple of what
the parts leave unexplained of a Gaussian anyway.

Measured on 14 simulated sets (a ribosome's segments, a transporter's domains; 3,200 and 12,800
particles, with and without errors of the poses, junk, lost poses): pieces of the core that
follow the errors of the poses, or of a part that deforms, are apart from it by 0.7 to 1.5 of
it and now and then by 3; the faintest of the true parts by 3.9, most by 5 to 17. With 1 to 2
nearly every radius of the clustering leads to the same parts; with 0 a ribosome's core was
taken for four parts at most radii, with 3 true parts were joined.
"""

AS_STILL = 1.25
"""Factor on the least root mean square change up to which a part may be the core."""

MIXTURE = 0.85
"""A cluster is a border if this part of what it does is a mixture of others."""

_ROUNDS = 10
"""Most rounds of merging, dissolving and assigning; they end when nothing changes."""


def refine(observed: Observations, labels: IntArray, min_size: int) -> tuple[IntArray, float]:
    """Merge, dissolve and re-assign until the parts are stable.

    Gaussians that resemble no part and no mixture of two, but each other, are
    made a part that the clustering had missed.

    Parameters
    ----------
    observed : Observations
        Changes of N Gaussians.
    labels : array, shape (N,)
        Clusters from 0; -1 takes no part in the first models.
    min_size : int
        Fewest Gaussians in a part.

    Returns
    -------
    labels : array, shape (N,)
        0 for the core (the part that changes least), 1 ... K by size, -1 for
        Gaussians that resemble no part.
    clarity : float
        Mean over the Gaussians of 1 - (misfit to own part) / (misfit to the next
        best), between 0 and 1 (a simplified silhouette); 0 if there is one part.
    """
    current = _stable(observed, labels, min_size)
    for _ in range(_ROUNDS):
        strangers = _strangers(observed, current)
        group = _alike(observed, strangers, min_size)
        if not group.any():
            break
        extended = _stable(observed, np.where(group, current.max() + 1, current), min_size)
        if extended.max() <= current.max():
            break
        current = extended
    clarity = _clarity(_residuals(observed, current))
    return _without_strangers(observed, current), clarity


def joined(observed: Observations, labels: IntArray, min_size: int) -> IntArray:
    """The parts, those joined that are one by these changes, and Gaussians where they fit best.

    As `refine`, but no part is made of Gaussians that are like none.
    """
    return _without_strangers(observed, _stable(observed, labels, min_size))


def with_small_parts(
    observed: Observations, labels: IntArray, min_size: int, most: int
) -> IntArray:
    """The same parts, and groups of Gaussians that are like none of them but each other.

    A group whose model Gaussians of other parts would join is none: a piece of a part that
    deforms, or of its hinge.

    Parameters
    ----------
    observed : Observations
        Changes of N Gaussians.
    labels : array, shape (N,)
        As `refine` gives them.
    min_size : int
        Fewest Gaussians in a group.
    most : int
        Gaussians of a group are fewer: from there on clusters tell.

    Returns
    -------
    array, shape (N,)
        The further parts numbered after the others, by size.
    """
    if labels.max() < 1:
        return labels
    parts, looked_at = labels.copy(), labels >= 0
    while (group := _alike(observed, ~looked_at, min_size)).any():
        looked_at |= group
        number = int(parts.max()) + 1
        nearest = _residuals(observed, np.where(group, number, parts)).argmin(axis=1)
        own = group & (nearest == number)
        if (nearest == number).sum() < most and own.sum() >= min_size:
            parts[own] = number
    return with_numbers(parts, numbers_by_size(parts, int(labels.max()) + 1))


def _stable(observed: Observations, labels: IntArray, min_size: int) -> IntArray:
    for _ in range(_ROUNDS):
        distinct = _dissolve_mixtures(observed, _merge(observed, labels))
        assigned = _assign(observed, distinct, min_size)
        if np.array_equal(assigned, labels):
            break
        labels = assigned
    return labels


def models_of(observed: Observations, labels: IntArray) -> list[PartModel]:
    """The models of parts 0 ... K - 1."""
    return [PartModel.of(observed, labels == part) for part in range(int(labels.max()) + 1)]


def _merge(observed: Observations, labels: IntArray) -> IntArray:
    """Join the most alike pair of clusters until no two are alike."""
    models = models_of(observed, labels)
    members = [labels == part for part in range(len(models))]
    apart = np.full((len(models), len(models)), np.inf)
    for i in range(len(models)):
        for j in range(i):
            apart[i, j] = apart[j, i] = separation(models[i], models[j])
    while len(models) > 1:
        core = _least_changing(models)
        change = np.where(np.arange(len(models)) == core, 0.0, apart[core])
        unexplained = sum(model.misfit for model in models) / sum(model.count for model in models)
        floor = max(
            SMALLEST_CHANGE**2,
            WEAKEST_PART**2 * float(change.max()),
            ABOVE_MISFIT * unexplained,
        )
        allowed = np.maximum(floor, SAME_PART * np.minimum(change[:, None], change[None, :]))
        ratio = apart / allowed
        i, j = sorted(int(k) for k in np.unravel_index(int(ratio.argmin()), ratio.shape))
        if ratio[i, j] >= 1:
            break
        models[i] = models[i].joined(models[j])
        members[i] = members[i] | members[j]
        del models[j], members[j]
        apart = np.delete(np.delete(apart, j, axis=0), j, axis=1)
        for k in range(len(models)):
            if k != i:
                apart[i, k] = apart[k, i] = separation(models[i], models[k])
    return _from_members(members, len(labels))


def _least_changing(models: list[PartModel]) -> int:
    """The core: the largest of the parts that change about as little as the least one does.

    A small piece that changes a little less than the bulk of the molecule, by the noise of
    the decoder, is no core.
    """
    change = np.array([model.square / max(model.count, 1) for model in models])
    still = np.flatnonzero(change <= AS_STILL**2 * change.min())
    return int(still[np.argmax([models[k].count for k in still])])


def _dissolve_mixtures(observed: Observations, labels: IntArray) -> IntArray:
    """Unlabel clusters (small ones first) that do a mixture of what others do."""
    models = models_of(observed, labels)
    alive = list(range(len(models)))
    core = _least_changing(models)
    kept = labels.copy()
    for part in sorted(alive, key=lambda k: models[k].count):
        others = [k for k in alive if k not in (part, core)]
        if part == core or len(others) < 1:
            continue
        members = labels == part
        base = models[core].predict(observed)[members]
        target = (models[part].predict(observed)[members] - base).ravel()
        basis = np.stack(
            [(models[k].predict(observed)[members] - base).ravel() for k in others], axis=1
        )
        left = _unexplained(basis, target)
        if left < (1 - MIXTURE) * float((target**2).sum()):
            alive.remove(part)
            kept[members] = -1
    return _renumbered(kept)


def _unexplained(basis: FloatArray, target: FloatArray) -> float:
    """Sum of squares of the target that no mixture with shares from 0 to 1 explains."""
    gram = basis.T @ basis
    gram += 1e-9 * max(float(np.trace(gram)), 1e-300) * np.eye(len(gram))
    triangle = np.linalg.cholesky(gram).T
    projected = np.linalg.solve(triangle.T, basis.T @ target)
    fit = lsq_linear(triangle, projected, bounds=(0.0, 1.0))
    beyond = float(target @ target - projected @ projected)
    return float(((triangle @ fit.x - projected) ** 2).sum()) + max(beyond, 0.0)


def _residuals(observed: Observations, labels: IntArray) -> FloatArray:
    """Squared misfit of every Gaussian to every part, shape (N, K)."""
    models = models_of(observed, labels)
    return np.stack([model.squared_residual(observed) for model in models], axis=1)


def _assign(observed: Observations, labels: IntArray, min_size: int) -> IntArray:
    """Give every Gaussian to the part that fits it best, and fit again, in turns."""
    for _ in range(_ROUNDS):
        nearest = _residuals(observed, labels).argmin(axis=1).astype(np.int64)
        sizes = np.bincount(nearest, minlength=int(labels.max()) + 1)
        if sizes.min() < min_size and len(sizes) > 1:
            # one at a time: its Gaussians may lift another above the limit
            nearest[nearest == sizes.argmin()] = -1
            labels = _renumbered(nearest)
        elif np.array_equal(nearest, labels):
            break
        else:
            labels = nearest
    return _renumbered(_residuals(observed, labels).argmin(axis=1).astype(np.int64))


def _core_first(observed: Observations, labels: IntArray) -> IntArray:
    """Number the parts: the one that changes least 0, the others by size."""
    models = models_of(observed, labels)
    core = _least_changing(models)
    others = sorted((k for k in range(len(models)) if k != core), key=lambda k: -models[k].count)
    number = np.empty(len(models), dtype=np.int64)
    number[[core, *others]] = np.arange(len(models))
    return number[labels]


def _without_strangers(observed: Observations, labels: IntArray) -> IntArray:
    """The parts numbered, the core 0; Gaussians that resemble none of them -1."""
    numbered = _core_first(observed, labels)
    return np.where(_strangers(observed, numbered), -1, numbered)


def _strangers(observed: Observations, labels: IntArray) -> NDArray[np.bool_]:
    """Gaussians far from every part and from every mixture of their own with another.

    Far is half of the way from their own part to the one nearest to it: a
    Gaussian at a border does some of what both sides do and is no stranger.
    """
    models = models_of(observed, labels)
    own = np.maximum(labels, 0)
    if len(models) < 2:
        return np.zeros(len(labels), dtype=np.bool_)
    data = np.concatenate([observed.amplitudes, observed.moves], axis=1)
    predictions = np.stack([model.predict(observed) for model in models])
    start = predictions[own, np.arange(len(own))]
    rest = data - start
    misfit = (rest**2).sum(axis=1)
    typical = np.array([np.median(misfit[own == part]) for part in range(len(models))])
    for prediction in predictions:
        step = prediction - start
        length = np.maximum((step**2).sum(axis=1), 1e-300)
        share = np.clip((rest * step).sum(axis=1) / length, 0.0, 1.0)
        mixed = ((rest - share[:, None] * step) ** 2).sum(axis=1)
        misfit = np.minimum(misfit, mixed)
    apart = np.array([min(separation(a, b) for b in models if b is not a) for a in models])
    return np.asarray(misfit > np.maximum(0.5 * apart, 4 * typical)[own])


def _alike(observed: Observations, chosen: NDArray[np.bool_], min_size: int) -> NDArray[np.bool_]:
    """The largest group, around one of the chosen Gaussians, that does the same."""
    group = np.zeros(len(chosen), dtype=np.bool_)
    index = np.flatnonzero(chosen)
    if len(index) < min_size:
        return group
    data = np.concatenate([observed.amplitudes, observed.moves], axis=1)[index]
    squared = (data**2).sum(axis=1)
    distance = squared[:, None] + squared[None, :] - 2 * data @ data.T
    close = distance < SAME_PART * 2 * np.minimum(squared[:, None], squared[None, :])
    centre = close.sum(axis=1).argmax()
    if close[centre].sum() >= min_size:
        group[index[close[centre]]] = True
    return group


def _clarity(residuals: FloatArray) -> float:
    if residuals.shape[1] < 2:
        return 0.0
    best = np.sqrt(np.sort(residuals, axis=1)[:, :2])
    return float(np.mean(1 - best[:, 0] / np.maximum(best[:, 1], 1e-12)))


def _from_members(members: list[NDArray[np.bool_]], count: int) -> IntArray:
    labels = np.full(count, -1, dtype=np.int64)
    for part, chosen in enumerate(members):
        labels[chosen] = part
    return labels


def _renumbered(labels: IntArray) -> IntArray:
    """Labels >= 0 without gaps."""
    present = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(present, labels), -1).astype(np.int64)
