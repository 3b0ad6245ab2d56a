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
from cryoparts.seeds import Purpose, seed_for
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.refinement.least_squares import Refined
    from cryoparts.refinement.particle_refinement import ParticleRefinement
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

BANDS = 4
"""Bands of resolution, of as many rings each: what is wrong shows in some of them."""

STRANGERS = 512
"""Images put into poses that are not theirs."""


@dataclass(frozen=True)
class AgreementMeasure:
    """Compares particles with a trained decoder.

    Parameters
    ----------
    trained : TrainedDecoder
    setup : TrainingSetup
        Of the run.
    latent_refinement : ParticleRefinement
        With the prior of the run's latent vectors.
    """

    trained: TrainedDecoder
    setup: TrainingSetup
    latent_refinement: ParticleRefinement

    @torch.no_grad()
    def of_particles(self) -> FloatArray:
        """Features (P, BANDS + 1) of all particles of the run.

        Fisher's z of the correlation with the own model in each band, each ring divided by
        the power of the noise, and with the model at the median latent vector over all.
        """
        everyone = np.arange(len(self.trained.particles))
        return self._features(self.setup.forward, self.trained.latent_of(everyone), everyone)

    def of_strangers(self, seed: int) -> FloatArray:
        """The same of at most `STRANGERS` images in random poses, (n, BANDS + 1)."""
        particles = self.trained.particles
        rows = evenly_spaced(np.arange(len(particles)), STRANGERS)
        generator = torch.Generator().manual_seed(seed_for(seed, Purpose.AGREEMENT_NOISE))
        rotation = particles.poses.rotation.copy()
        rotation[rows] = random_rotations(len(rows), generator, torch.float64).numpy()
        poses = Poses(rotation, particles.poses.shift_angstrom)
        turned = replace(particles, poses=poses, _given=None)
        forward = ForwardModel(turned, self.setup.forward.device)
        encoded = torch.cat(
            [self._encoded(forward, rows[s : s + BATCH]) for s in range(0, len(rows), BATCH)]
        )
        steps = self.trained.config.refinement_steps
        # what was refined in the particles is refined in the strangers
        refined = replace(self.latent_refinement, forward=forward).solve(encoded, rows, steps)
        posed = ForwardModel(_posed(turned, rows, refined), forward.device)
        with torch.no_grad():
            return self._features(posed, refined.latent, rows)

    def _encoded(self, forward: ForwardModel, rows: NDArray[np.int64]) -> Tensor:
        setup = self.setup
        gradients = agreement_gradients(forward, setup.objective, setup.neutral, rows)
        with torch.no_grad():
            inputs = setup.encoder_input.map.of_gradients(gradients)
            encoded: Tensor = self.trained.networks.encoder(inputs)
        return encoded

    def _features(
        self, forward: ForwardModel, latent: Tensor, rows: NDArray[np.int64]
    ) -> FloatArray:
        everyone = self.trained.latent_of(np.arange(len(self.trained.particles)))
        still = single(
            self.latent_refinement.decoded(everyone.median(dim=0).values[None]), self.setup.neutral
        )
        task = _Agreement(self, forward, latent, rows, still)
        found = [of for _, of in team().sweep(task, np.arange(len(rows)), BATCH)]
        z: FloatArray = np.arctanh(np.clip(np.concatenate(found), -0.999999, 0.999999))
        return z

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
    """Correlations (n, BANDS + 1) of particles with their own models and with one at rest."""

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
        decoded = measure.latent_refinement.decoded(self.latent[places])
        own = forward.images_of(decoded, batch)
        in_bands = measure.correlations(batch.data, own, BANDS)
        at_rest = measure.correlations(batch.data, forward.images_of(self.still, batch), 1)
        found: FloatArray = torch.cat([in_bands, at_rest], dim=1).cpu().double().numpy()
        return found


def _posed(
    particles: PreparedParticles, rows: NDArray[np.int64], refined: Refined
) -> PreparedParticles:
    """The particles, of which some were refined, in the poses that they were refined to."""
    pose = np.zeros((len(particles), POSE_UNKNOWNS))
    pose[rows] = refined.pose.cpu().numpy()
    change = PoseChange(pose[:, :TURNS], pose[:, TURNS:], PoseSpread(0.0, 0.0))
    return particles.with_pose_change(change)
