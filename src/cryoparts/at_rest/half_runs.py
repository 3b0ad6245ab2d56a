"""Parts and motions of two trainings that saw one half of the particles each, kept apart.

Each half of a run's particles is trained on by itself, finds its own parts and their motions
from its own particles alone, and moves its own half of the particles into place. The parts of
a half are matched to those of the run, which give them their names and masks: a mask is one for
both half maps anyhow. Both trainings start from the same neutral model, which is coarser than
what is claimed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.at_rest.run_bodies import particle_weight, run_bodies
from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.inference.decode import particle_probability
from cryoparts.io.tables import save_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.run.run import Run

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

LOG = logging.getLogger(__name__)

LEAST_OVERLAP = 0.5
"""Gaussians in both over Gaussians in either: less is another part."""


@dataclass(frozen=True)
class HalfRuns:
    """Two runs of the same particles, each trained on one half of them.

    Parameters
    ----------
    first, second : Run
        Of half 1 and of half 2, with parts and motions.
    """

    first: Run
    second: Run

    @property
    def both(self) -> tuple[Run, Run]:
        """Half 1 first."""
        return self.first, self.second


@dataclass(frozen=True)
class DecodedByHalf:
    """Displacements of all Gaussians as each particle's own decoder says; it can be sent.

    Parameters
    ----------
    decoders : sequence of TrainedDecoder
        Of half 1 and half 2; or one, of all particles.
    half_set : int array, shape (P,), or None
        1 or 2; not needed of one decoder.
    """

    decoders: Sequence[TrainedDecoder]
    half_set: NDArray[np.int8] | None

    def __call__(self, rows: IntArray) -> FloatArray:
        """Of the particles `rows` (n, N, 3), Å; 0 of those of neither half."""
        if self.half_set is None:
            return self._decoded(self.decoders[0], rows)
        moved = np.zeros((len(rows), len(self.decoders[0].neutral), 3))
        for half, decoder in enumerate(self.decoders, start=1):
            own = self.half_set[rows] == half
            if own.any():
                moved[own] = self._decoded(decoder, rows[own])
        return moved

    @staticmethod
    def _decoded(decoder: TrainedDecoder, rows: IntArray) -> FloatArray:
        moved = decoder.decode(rows).displacements
        assert moved is not None  # positions vary: asked for before
        return np.asarray(moved, dtype=np.float64)


def keep_apart(run: Run, half: int) -> None:
    """Let a run that was trained on one half judge by that half's particles alone.

    The particles of the other half get the probability 0, so that no sample, level, mode or
    axis is of them.
    """
    path = run.directory.probability_path
    probability = particle_probability(run.directory, len(run.particles))
    kept = np.where(run.particles.half_set == half, probability, 0.0)
    save_array(path, kept.astype(np.float32))
    run.forget_training()


def matched_parts(labels: IntArray, others: IntArray) -> dict[int, int]:
    """The part of another segmentation that each part is, one to one.

    Parameters
    ----------
    labels, others : int array, shape (N,)
        0 is the core, 1 ... the parts.

    Returns
    -------
    dict of int to int
        Part of `labels` to part of `others`, by the largest total overlap (Gaussians in both
        over Gaussians in either); pairs that overlap by less than a half are left out.
    """
    own, theirs = (np.arange(1, int(x.max(initial=0)) + 1) for x in (labels, others))
    if not len(own) or not len(theirs):
        return {}
    one, other = own[:, None] == labels, theirs[:, None] == others
    both = one.astype(np.float64) @ other.T
    either = one.sum(axis=1)[:, None] + other.sum(axis=1) - both
    overlap = both / np.maximum(either, 1)
    rows, columns = linear_sum_assignment(-overlap)
    return {
        int(own[i]): int(theirs[j])
        for i, j in zip(rows, columns, strict=True)
        if overlap[i, j] >= LEAST_OVERLAP
    }


def bodies_of_halves(run: Run, halves: HalfRuns) -> tuple[Body, ...]:
    """The run's parts that both halves have found, each half's particles moved as its own says.

    Raises
    ------
    InputError
        If the halves are of other particles, or no part was found in both.
    """
    labels, half_set = run.parts, run.particles.half_set
    found = []
    for half in halves.both:
        if not np.array_equal(half.particles.names, run.particles.names):
            raise InputError(
                str(half.root), "has other particles than the run", "Remove that folder."
            )
        of_half = {body.name: body for body in run_bodies(half)}
        pairs = matched_parts(labels.labels, half.parts.labels)
        found.append({k: of_half[f"part_{j}"] for k, j in pairs.items() if f"part_{j}" in of_half})
    bodies = []
    for part in range(1, labels.n_parts + 1):
        if not all(part in of_half for of_half in found):
            LOG.warning("%s was not found in both halves: its map stays", labels.name(part))
            continue
        bodies.append(
            _joined(f"part_{part}", labels.name(part), np.flatnonzero(labels.members(part)),
                    found[0][part], found[1][part], half_set)
        )  # fmt: skip
    if not bodies:
        raise InputError(
            str(run.root),
            "no part was found in both halves",
            "Leave out --halves, or train on more particles.",
        )
    return tuple(bodies)


def poses_of_halves(run: Run, halves: HalfRuns) -> Poses:
    """Poses of the P particles, where refined as the training of their own half refined them."""
    first, second = (half.particles.poses for half in halves.both)
    own = run.particles.half_set == 1
    return Poses(
        np.where(own[:, None, None], first.rotation, second.rotation),
        np.where(own[:, None], first.shift_angstrom, second.shift_angstrom),
    )


def weight_of_halves(run: Run, halves: HalfRuns) -> NDArray[np.float64]:
    """How much each particle (P,) counts, by the training of its own half."""
    first, second = (particle_weight(half) for half in halves.both)
    return np.where(run.particles.half_set == 1, first, second)


def _joined(
    name: str,
    label: str,
    members: IntArray,
    first: Body,
    second: Body,
    half_set: NDArray[np.int8],
) -> Body:
    centre = 0.5 * (first.motion.centre + second.motion.centre)
    one, two = first.motion.about(centre), second.motion.about(centre)
    own = half_set == 1
    motion = BodyMotion(
        centre,
        np.where(own[:, None, None], one.rotation, two.rotation),
        np.where(own[:, None], one.shift_angstrom, two.shift_angstrom),
    )
    return Body(name, label, members, motion, np.where(own, first.weight, second.weight))
