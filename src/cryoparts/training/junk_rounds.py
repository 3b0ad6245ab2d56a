"""Particles that are not what the model describes weigh less while the networks learn.

After some epochs the networks know enough to tell junk, and images in lost poses, from
particles. From then on each weighs in the loss by its probability of being a particle in
its pose.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.tables import save_array
from cryoparts.particles.pose_change import current_change
from cryoparts.refinement.pose_spread import about_given_poses
from cryoparts.statistics.junk_mixture import probability_of_fit
from cryoparts.statistics.trusted import TRUSTED
from cryoparts.training.judgements import judgement_path
from cryoparts.training.particle_agreement import AgreementMeasure
from cryoparts.training.pose_rounds import encoded_by, poses_alone
from cryoparts.training.split import rows_of_half

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoparts.config import TrainingConfig
    from cryoparts.training.networks import Networks
    from cryoparts.training.setup import TrainingSetup

LOG = logging.getLogger(__name__)


def judge_particles(
    setup: TrainingSetup,
    networks: Networks,
    config: TrainingConfig,
    epoch: int,
    progress: Callable[[str, int, int], None],
) -> TrainingSetup:
    """The setup with the probabilities of being a particle as the networks now have them.

    Writes them. Only particles that this training may know of are judged.

    Parameters
    ----------
    setup : TrainingSetup
    networks : Networks
        As trained so far.
    config : TrainingConfig
    epoch : int
        Epochs done.
    progress : callable
        Told what is done, how many particles of it, and of how many.
    """
    particles = setup.forward.particles
    rows = rows_of_half(particles.half_set, config.half)
    progress("judging particles", 0, len(rows))
    latent = encoded_by(networks, setup, config.batch_size)
    change = current_change(particles.folder)
    refinement = poses_alone(setup, networks, config, latent[rows])
    measure = AgreementMeasure(
        setup,
        networks.encoder,
        latent,
        # the poses of strangers are refined where those of the particles were
        replace(about_given_poses(refinement), pose_spread=change.spread if len(change) else None),
        steps=1 if len(change) else 0,
    )
    probability = np.ones(len(particles))
    probability[rows] = probability_of_fit(*measure.features(rows, config.seed))
    progress("judging particles", len(rows), len(rows))
    doubtful = int((probability <= TRUSTED).sum())
    if doubtful:
        LOG.info(
            "after epoch %d: %d of %d particles seem not to be what the model describes, "
            "and weigh less",
            epoch,
            doubtful,
            len(rows),
        )
    save_array(judgement_path(particles.folder, epoch), probability)
    return replace(setup, probability=probability)
