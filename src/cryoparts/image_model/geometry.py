"""Do particles, poses and model belong together? Asked before any training.

Wrong conventions (hand, transposed rotations, the sign of shifts, contrast) are
the commonest reason for a training that learns nothing, and each has a
signature: the model agrees with the particles only after the same mistake is
made with the poses (see `cryoparts.particle_files.mending`). A map whose axes lie
otherwise (mirrored along x or z, turned, or written in the other order) is found in
the same way: few particles choose among the 46 ways, all of the sample judge it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import BATCH, ForwardModel
from cryoparts.image_model.losses import mean_frc
from cryoparts.particle_files.mending import AS_GIVEN, Mending, has_odd_aberrations
from cryoparts.seeds import Purpose, random_for
from cryoparts.statistics.by_image import first_rows
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.particles.prepared import PreparedParticles

__all__ = ["AS_GIVEN", "SAMPLE", "GeometryCheck", "check_geometry", "is_clear", "sample_of"]

SAMPLE = 200
"""Particles compared: enough to tell a mean FRC of 0.01 from 0."""

AXES_SAMPLE = 20
"""Particles that choose among the ways in which a model's axes may lie."""

CLEAR = 5.0
"""Gain over its standard error from which on another model is beyond doubt."""

FEWEST = 20
"""Particles below which no error of a mean is known well enough."""


def is_clear(gain: NDArray[np.float64]) -> bool:
    """Whether the particles' gains (n,) in FRC by another model leave no doubt about it."""
    error = float(gain.std()) / np.sqrt(len(gain))
    return len(gain) >= FEWEST and bool(float(gain.mean()) > CLEAR * error)


def sample_of(rows: NDArray[np.int64], purpose: Purpose, seed: int) -> NDArray[np.int64]:
    """At most `SAMPLE` of the rows, drawn without repeats, in increasing order."""
    count = min(SAMPLE, len(rows))
    return np.sort(random_for(seed, purpose).choice(rows, count, replace=False))


@dataclass(frozen=True)
class GeometryCheck:
    """Agreement of the particles with the model under each convention.

    Parameters
    ----------
    n_particles : int
        Particles compared.
    n_all : int
        Images that there are.
    frc : dict
        Mean FRC over band and particles by variant, with the contrast as set;
        negative where the contrast is inverted.
    standard_error : dict
        Standard error of each mean.
    odd_gain, odd_gain_error : float
        What reversed odd aberrations gain, particle by particle, and its standard error.
    """

    n_particles: int
    n_all: int
    frc: dict[str, float]
    standard_error: dict[str, float]
    odd_gain: float = 0.0
    odd_gain_error: float = 0.0

    @property
    def odd_aberrations_are_reversed(self) -> bool:
        """Whether the particles agree beyond doubt better with reversed odd aberrations.

        The difference is small unless the images are fine, so particles are compared
        one by one.
        """
        return self.odd_gain > 5 * self.odd_gain_error > 0

    @property
    def best(self) -> str:
        """The variant of the strongest agreement, whatever its sign."""
        return max(self.frc, key=lambda name: abs(self.frc[name]))

    @property
    def mending(self) -> Mending:
        """What makes the given convention the one of the strongest agreement."""
        known = (*Mending.all_of(aberrations=True), *Mending.all_axes())
        return next(m for m in known if m.label == self.best)

    @property
    def significant(self) -> bool:
        """Whether the best agreement is above the noise: five standard errors."""
        return abs(self.frc[self.best]) > 5 * self.standard_error[self.best]

    @property
    def contrast_is_inverted(self) -> bool:
        """Whether the particles agree with the negative of the model."""
        return self.significant and self.frc[self.best] < 0

    @property
    def clearly_wrong(self) -> bool:
        """Whether another convention than the given one agrees beyond doubt better."""
        gain = abs(self.frc[self.best]) - abs(self.frc[AS_GIVEN])
        error = np.hypot(self.standard_error[self.best], self.standard_error[AS_GIVEN])
        return self.best != AS_GIVEN and self.significant and bool(gain > 5 * error)


def check_geometry(
    particles: PreparedParticles, model: GaussianModel, band: Band, seed: int = 0
) -> GeometryCheck:
    """Compare a sample of the particles, the first row of each image, by each variant.

    Parameters
    ----------
    particles : PreparedParticles
        Working images.
    model : GaussianModel
        The neutral model.
    band : Band
        Rings compared.
    seed : int
        Seed of the sample.
    """
    single = first_rows(particles.image)
    chosen = sample_of(single, Purpose.GEOMETRY_SAMPLE, seed)

    def frc_of(mending: Mending, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        mended = replace(particles, ctf=mending.ctf(particles.ctf))
        return frc_of_rows(model, mending.poses(particles.poses), mended, band, rows)

    few = evenly_spaced(chosen, AXES_SAMPLE)
    axes = max(Mending.all_axes(), key=lambda mending: abs(float(frc_of(mending, few).mean())))
    tried = (*Mending.all_of(aberrations=has_odd_aberrations(particles.ctf)), axes)
    scores = {mending.label: frc_of(mending, chosen) for mending in tried}
    return GeometryCheck(
        len(chosen),
        len(single),
        {name: float(values.mean()) for name, values in scores.items()},
        {name: float(values.std() / np.sqrt(len(chosen))) for name, values in scores.items()},
        *_odd_gain(scores),
    )


def _odd_gain(scores: dict[str, NDArray[np.float64]]) -> tuple[float, float]:
    reversed_ = scores.get(Mending(invert_aberrations=True).label)
    if reversed_ is None:
        return 0.0, 0.0
    gain = reversed_ - scores[AS_GIVEN]
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))


def frc_of_rows(
    model: GaussianModel,
    poses: Poses,
    particles: PreparedParticles,
    band: Band,
    chosen: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Mean FRC (n,) over the band of the model and the images of the chosen rows."""
    device = torch.device("cpu")
    forward = ForwardModel(replace(particles, poses=poses), device)
    neutral = Gaussians.neutral(model, device)
    scores = []
    with torch.no_grad():
        for indices in np.array_split(chosen, -(-len(chosen) // BATCH)):
            batch = forward.batch(indices)
            scores.append(mean_frc(batch.data, forward.images_of(neutral, batch), band).numpy())
    return np.concatenate(scores).astype(np.float64)
