"""How well each particle agrees with what the run says of it, and how well strangers do.

A particle's image is compared with its own decoded model, in bands of resolution, and
with the model at rest. The same is asked of images in poses that are not theirs: their
latent vectors are found as those of the data are, so what a decoder can make of an
image that it does not describe is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.conventions import Poses
from cryoparts.image_model.deformation import single
from cryoparts.image_model.forward_model import BATCH, ForwardModel
from cryoparts.image_model.gradients import agreement_gradients
from cryoparts.imaging.rotations import random_rotations
from cryoparts.imaging.shell_correlation import correlation_from_products, ring_statistics
from cryoparts.parallel.current import team
from cryoparts.particles.pose_change import PoseChange, PoseSpread
from cryoparts.refinement.least_squares import POSE_UNKNOWNS, TURNS
from cryoparts.refinement.whitened_images import WhitenedImages
from cryoparts.seeds import Purpose, seed_for
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.statistics.trusted import is_trusted
from cryoparts.training.region_amounts import RegionAmounts, UsualAmounts, region_amounts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.refinement.least_squares import Refined
    from cryoparts.refinement.particle_refinement import ParticleRefinement
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

BANDS = 4
"""Bands of resolution, of as many rings each: what is wrong shows in some of them."""

CERTAIN = 1.0
"""Errors that are added to the distance of regions' amounts from what is usual, before its
logarithm is taken. On three simulated sets with a fifth of junk 0.58 to 0.88% of the good
particles were thrown away, and broken ones had an area under the curve of 0.83, 0.91 and 0.99;
with 2 errors 0.62 to 1.04%, and 0.84, 0.92 and 1.00."""

STRANGERS = 512
"""Images put into poses that are not theirs."""


@dataclass(frozen=True)
class AgreementMeasure:
    """Compares particles with what a decoder makes of them.

    Parameters
    ----------
    setup : TrainingSetup
        With the particles in the poses in which they are judged.
    encoder : Module
    latent : Tensor, shape (P, Z)
        Of all particles.
    refinement : ParticleRefinement
        With the decoder, and with what was refined in the particles.
    steps : int
        Of the refinement; 0 where the latent vectors are the encoder's.
    regions : int array, shape (N,), or None
        Region of every Gaussian, from 0 (`regions_of`); None for no amounts.
    """

    setup: TrainingSetup
    encoder: nn.Module
    latent: Tensor
    refinement: ParticleRefinement
    steps: int
    regions: NDArray[np.int64] | None = None

    def features(self, rows: NDArray[np.int64], seed: int) -> tuple[FloatArray, FloatArray]:
        """Agreements of the particles `rows` (n, F), and of strangers (m, F); larger is better.

        Fisher's z of the correlation with the own model in each band, each ring divided by
        the power of the noise, and with the model at the median latent vector over all;
        where regions are given, also how far the amounts of these in the image are beyond
        what they may be (`region_amounts`).

        Parameters
        ----------
        rows : int array, shape (n,)
        seed : int
            Of the random poses of at most `STRANGERS` of them.
        """
        with torch.no_grad():
            own = self._compared(self.setup.forward, self.latent[rows], rows)
        strange = self._strangers(rows, seed)
        if self.regions is None:
            return _agreement(own), _agreement(strange)
        counted = is_trusted(self.setup.probability[rows])
        usual = UsualAmounts.of(_amounts(own[counted]))
        return _with_amounts(own, usual), _with_amounts(strange, usual)

    def _strangers(self, rows: NDArray[np.int64], seed: int) -> FloatArray:
        """What at most `STRANGERS` of the images `rows` say in random poses."""
        particles = self.setup.forward.particles
        rows = evenly_spaced(rows, STRANGERS)
        generator = torch.Generator().manual_seed(seed_for(seed, Purpose.AGREEMENT_NOISE))
        rotation = particles.poses.rotation.copy()
        rotation[rows] = random_rotations(len(rows), generator, torch.float64).numpy()
        poses = Poses(rotation, particles.poses.shift_angstrom)
        turned = replace(particles, poses=poses, _given=None)
        forward = ForwardModel(turned, self.setup.forward.device)
        encoded = torch.cat(
            [self._encoded(forward, rows[s : s + BATCH]) for s in range(0, len(rows), BATCH)]
        )
        # what was refined in the particles is refined in the strangers
        refined = replace(self.refinement, forward=forward).solve(encoded, rows, self.steps)
        posed = ForwardModel(_posed(turned, rows, refined), forward.device)
        with torch.no_grad():
            return self._compared(posed, refined.latent, rows)

    def _encoded(self, forward: ForwardModel, rows: NDArray[np.int64]) -> Tensor:
        setup = self.setup
        gradients = agreement_gradients(forward, setup.objective, setup.neutral, rows)
        with torch.no_grad():
            inputs = setup.encoder_input.map.of_gradients(gradients)
            encoded: Tensor = self.encoder(inputs)
        return encoded

    def _compared(
        self, forward: ForwardModel, latent: Tensor, rows: NDArray[np.int64]
    ) -> FloatArray:
        """Correlations in bands and at rest, and amounts of regions, (n, BANDS + 1 + 3 K)."""
        median = self.latent.median(dim=0).values[None]
        still = single(self.refinement.decoded(median), self.setup.neutral)
        task = _Agreement(self, forward, latent, rows, still)
        return np.concatenate([of for _, of in team().sweep(task, np.arange(len(rows)), BATCH)])

    def correlations(self, data: Tensor, model: Tensor, bands: int) -> Tensor:
        """Correlations (B, bands) of images, each ring divided by the noise's power."""
        weights = self.setup.objective.ring_weights
        inside = torch.nonzero(weights).flatten()
        share = weights.new_zeros(len(weights), bands)
        for band, rings in enumerate(torch.tensor_split(inside, bands)):
            share[rings, band] = weights[rings]
        return correlation_from_products(*(s @ share for s in ring_statistics(data, model)))


@dataclass(frozen=True)
class _Agreement:
    """Correlations of particles with their own models and with one at rest; regions' amounts."""

    measure: AgreementMeasure
    forward: ForwardModel
    latent: Tensor
    rows: NDArray[np.int64]
    still: Gaussians

    @torch.no_grad()
    def __call__(self, places: NDArray[np.int64]) -> FloatArray:
        """Of the particles at these places of `rows`."""
        forward, measure = self.forward, self.measure
        batch = forward.batch(self.rows[places])
        decoded = measure.refinement.decoded(self.latent[places])
        own = forward.images_of(decoded, batch)
        in_bands = measure.correlations(batch.data, own, BANDS)
        at_rest = measure.correlations(batch.data, forward.images_of(self.still, batch), 1)
        found: FloatArray = torch.cat([in_bands, at_rest], dim=1).cpu().double().numpy()
        if measure.regions is not None:
            images = WhitenedImages.of(forward, measure.setup.objective)
            neutral = measure.setup.neutral
            amounts = region_amounts(images, batch, decoded, neutral, measure.regions)
            return np.concatenate([found, amounts.columns], axis=1)
        return found


def _agreement(compared: FloatArray) -> FloatArray:
    """Fisher's z of the correlations."""
    z: FloatArray = np.arctanh(np.clip(compared[:, : BANDS + 1], -0.999999, 0.999999))
    return z


def _amounts(compared: FloatArray) -> RegionAmounts:
    return RegionAmounts.of_columns(compared[:, BANDS + 1 :])


def _with_amounts(compared: FloatArray, usual: UsualAmounts) -> FloatArray:
    """Agreements, and how far the regions' amounts are beyond the usual ones."""
    beyond = usual.beyond(_amounts(compared))
    return np.column_stack([_agreement(compared), -np.log(CERTAIN + beyond)])


def _posed(
    particles: PreparedParticles, rows: NDArray[np.int64], refined: Refined
) -> PreparedParticles:
    """The particles, of which some were refined, in the poses that they were refined to."""
    pose = np.zeros((len(particles), POSE_UNKNOWNS))
    pose[rows] = refined.pose.cpu().numpy()
    change = PoseChange(pose[:, :TURNS], pose[:, TURNS:], PoseSpread(0.0, 0.0))
    return particles.with_pose_change(change)
