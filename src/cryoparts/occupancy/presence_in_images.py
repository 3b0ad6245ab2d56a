"""What a sample of the images says of parts that have been found: whether they come and go.

Small groups of Gaussians are no clusters of what the decoder does, but fade or move like no part.
Some are small parts. Others lie between parts: where one that comes and goes is away, networks
let Gaussians of its neighbour fade along with it, or put them where it was. The images tell them
apart: what comes and goes is there as a whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import BATCH, PartsFit, measure_amplitudes
from cryoparts.occupancy.presence import GRADUAL
from cryoparts.statistics.by_image import image_count
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cryoparts.config import TrainingConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.occupancy.composition import Composition
    from cryoparts.occupancy.image_amplitudes import DisplacementsOf
    from cryoparts.occupancy.presence import Presence
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.parts.part_labels import PartLabels

    IntArray = NDArray[np.int64]

SAMPLE = 4096
"""Particles that are asked: of twice as many a little more is found (see benchmarks/choices.md)."""

FEWEST = 100
"""Particles: fewer say nothing of single Gaussians."""

SMALL = 0.01
"""Share of the Gaussians below which a part is none by the decoder's word alone."""

FADES = 0.1
"""Deviation of a part's relative amplitude from which on the decoder says that it fades."""

UNDECIDED = 9.0
"""Twice the gain in log-likelihood by a second level (three parameters more) from which on a part
may have two: by chance, 3% of the parts that have one gain as much (chi squared)."""

VARIES = 0.5
"""Deviation of a part's amplitude, in its mean, from which on it fades if two levels fit it better
than one at all: what has Gaussians of two parts has more levels than two. What is there in half of
the particles deviates by 0.9, pieces that are always there by up to 0.7, and fit one level."""


@dataclass(frozen=True)
class PresenceInImages:
    """Parts, and what the images of a sample of particles say of them.

    Parameters
    ----------
    particles, model, config, displacements_of
        As in `measure_amplitudes`.
    labels : PartLabels
        At least one part.
    rows : int array, shape (n,)
        The particles that were asked.
    counted : bool array, shape (n,)
        Those of them that say anything.
    composition : Composition
        Of these n particles.
    """

    particles: PreparedParticles
    model: GaussianModel
    labels: PartLabels
    config: TrainingConfig
    displacements_of: DisplacementsOf | None
    rows: IntArray
    counted: NDArray[np.bool_]
    composition: Composition

    @classmethod
    def of(
        cls,
        particles: PreparedParticles,
        model: GaussianModel,
        labels: PartLabels,
        config: TrainingConfig,
        displacements_of: DisplacementsOf | None = None,
        counted: NDArray[np.bool_] | None = None,
        sample: int = SAMPLE,
    ) -> Self | None:
        """Ask a sample; None where there is no part, or too few particles count.

        Parameters
        ----------
        particles, model, labels, config, displacements_of
            As in `measure_amplitudes`.
        counted : bool array, shape (P,), optional
            Particles that say anything. Default: all.
        sample : int
            Particles that are asked.
        """
        everyone = np.ones(len(particles), dtype=bool) if counted is None else counted
        rows = _stretches(len(particles), sample)
        if labels.n_parts == 0 or everyone[rows].sum() < FEWEST:
            return None
        measured = measure_amplitudes(
            particles, model, labels, config, displacements_of, counted=everyone, rows=rows
        )
        found = find_composition(measured, labels.part_names, particles.image[rows], everyone[rows])
        return cls(particles, model, labels, config, displacements_of, rows, everyone[rows], found)

    def fit(self, labels: PartLabels) -> PartsFit:
        """The images of the same particles by other parts."""
        return PartsFit(self.particles, self.model, labels, self.config, self.displacements_of)

    @property
    def fading(self) -> list[int]:
        """Parts whose amplitudes vary beyond doubt: that come and go, or mixtures of such."""
        known = self.composition
        return [
            number
            for number, part in enumerate(known.parts, start=1)
            if number in known.optional or (part.change == GRADUAL and _varies(part))
        ]

    def unconfirmed(self, moving: Collection[int]) -> list[int]:
        """Small parts that fade by the decoder alone: images say neither that nor that they move.

        Parameters
        ----------
        moving : collection of int
            Parts of which the images say that they move.
        """
        known = {*self.composition.optional, *moving}
        return [
            part
            for part in range(1, self.labels.n_parts + 1)
            if part not in known and self._is_doubtful(self.labels.members(part))
        ]

    def leaves_undecided(self, first: int) -> bool:
        """Whether one of the parts from `first` on may come and go, and more images could tell.

        It varies beyond the noise, and two levels fit it better than one, though not surely.
        """
        if len(self.rows) == len(self.particles):
            return False
        images = image_count(self.particles.image[self.rows[self.counted]], self.counted.sum())
        gain = UNDECIDED - 3.0 * np.log(images)
        return any(
            part.change == GRADUAL and part.bic_gain > gain
            for part in self.composition.parts[first - 1 :]
        )

    def _is_doubtful(self, members: NDArray[np.bool_]) -> bool:
        if "amplitude" not in self.config.vary or members.mean() >= SMALL:
            return False
        return float(self.labels.amplitude_change[members].mean()) >= FADES


def _varies(part: Presence) -> bool:
    return part.bic_gain > 0 and part.spread_present > VARIES * abs(part.level_present)


def _stretches(count: int, sample: int) -> IntArray:
    """A sample in batches as the particles lie in the file: what is kept of them is read so."""
    batches = evenly_spaced(np.arange(-(-count // BATCH)), sample // BATCH)
    rows: IntArray = (batches[:, None] * BATCH + np.arange(BATCH)).reshape(-1)
    return rows[rows < count]
