"""How stable parts are: found again in other particles, from other seeds, by other trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parallel.current import team
from cryoparts.parts.core_pieces import core_pieces
from cryoparts.parts.part_halves import part_halves
from cryoparts.parts.segmentation import segment_decoded
from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.statistics.by_image import image_count, with_all_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.embedding import Method
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

REPEATS = 3
"""Subsamples that the segmentation is repeated on."""

SHARE = 0.5
"""Of the particles in each of them."""


def best_overlaps(labels: IntArray, *others: IntArray) -> FloatArray:
    """For each part 1 ... K its Jaccard overlap with the most alike part of `others`.

    Parameters
    ----------
    labels : int array, shape (N,)
    *others : int array, shape (N,)
        Other segmentations of the same Gaussians. Their core (0) is no
        part: one that went into it was not found again.

    Returns
    -------
    array, shape (K,)
        |A and B| / |A or B|, from 0 to 1.

    Raises
    ------
    ValueError
        If they label different numbers of Gaussians.
    """
    for found in others:
        if labels.shape != found.shape:
            raise ValueError(f"{len(labels)} and {len(found)} Gaussians cannot be compared")
    one, other = _members(labels), np.concatenate([_members(found) for found in others])
    if not len(one) or not len(other):
        return np.zeros(len(one))
    both = one.astype(np.float64) @ other.T
    either = one.sum(axis=1)[:, None] + other.sum(axis=1)[None, :] - both
    overlap: FloatArray = (both / np.maximum(either, 1)).max(axis=1)
    return overlap


def _members(labels: IntArray) -> NDArray[np.bool_]:
    """Masks (K, N) of the parts."""
    members: NDArray[np.bool_] = np.arange(1, int(labels.max(initial=0)) + 1)[:, None] == labels
    return members


def possible_parts(
    found: PartLabels,
    relative_amplitudes: NDArray[np.floating] | None,
    *,
    min_part_size: int | None = None,
    seed: int = 0,
) -> tuple[IntArray, IntArray]:
    """What the images would be asked of: parts beside pieces of the core, and halves of parts.

    Parameters
    ----------
    found, relative_amplitudes, min_part_size, seed
        As in `core_pieces` and `part_halves`.

    Returns
    -------
    with_pieces, in_halves : int array, shape (N,)
    """
    pieces = core_pieces(found, relative_amplitudes, min_part_size=min_part_size, seed=seed)
    halves, _ = part_halves(
        found,
        relative_amplitudes,
        range(1, found.n_parts + 1),
        min_part_size=min_part_size,
        seed=seed,
    )
    return pieces, halves


def stability_over_subsamples(
    labels: IntArray,
    positions: FloatArray,
    decoded: Decoded,
    *,
    image: IntArray | None = None,
    method: Method = "umap",
    min_part_size: int | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> FloatArray:
    """Segment again, on random halves of the particles and from other seeds of the embedding.

    Parameters
    ----------
    labels : int array, shape (N,)
        The parts that are judged.
    positions : array, shape (N, 3)
        Neutral positions, Å.
    decoded : Decoded
        The decoder's output for the sample of particles that parts are found on.
    image : int array, shape (S,), optional
        Number of each of these rows' image: a half has all its rows or none.
        Default: an image a row.
    method, min_part_size
        As in `segment_gaussians`.
    seed : int
        Of the draws; the embeddings take seeds after it.
    repeats : int
        How often.

    Returns
    -------
    array, shape (K,)
        Mean best overlap of each part.
    """
    rng = random_for(seed, Purpose.SUBSAMPLES)
    own = np.arange(len(decoded)) if image is None else image
    images = image_count(own, len(own))
    most = max(2, round(SHARE * images))
    halves = tuple(with_all_rows(own, rng.permutation(images)[:most]) for _ in range(repeats))
    again = _SegmentedAgain(positions, decoded, halves, method, min_part_size, seed)
    found = [of for _, of in team().sweep(again, np.arange(repeats), 1, worth_sending=2)]
    mean: FloatArray = np.mean([best_overlaps(labels, *other) for other in found], axis=0)
    return mean


@dataclass(frozen=True)
class _SegmentedAgain:
    """The possible parts that another half of the particles gives, with another seed."""

    positions: FloatArray
    decoded: Decoded
    halves: tuple[IntArray, ...]
    method: Method
    min_part_size: int | None
    seed: int

    def __call__(self, repeats: IntArray) -> tuple[IntArray, IntArray]:
        """Of one repeat."""
        (repeat,) = repeats.tolist()
        chosen = self.decoded.of_particles(self.halves[repeat])
        seed = seed_for(self.seed, Purpose.SUBSAMPLES, repeat + 1)
        found = segment_decoded(
            self.positions,
            chosen,
            method=self.method,
            min_part_size=self.min_part_size,
            seed=seed,
        )
        return possible_parts(
            found, chosen.relative_amplitudes, min_part_size=self.min_part_size, seed=seed
        )


def stability_over_segmentations(
    labels: IntArray, others: Sequence[Sequence[IntArray]]
) -> FloatArray:
    """Mean best overlap (K,) of each part with the `possible_parts` of each other training."""
    if not others:
        raise ValueError("no other segmentation is given")
    mean: FloatArray = np.mean([best_overlaps(labels, *other) for other in others], axis=0)
    return mean
