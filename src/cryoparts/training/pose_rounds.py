"""Refined poses while the networks learn: told wrong poses, a decoder learns to make up for them.

What the decoder knows after some epochs places each particle better than the consensus map
did that the given poses come from. With the better poses it learns on, before it spends
its displacements on errors of the whole particle. The given poses stay the prior of every
round, with the spread that the data show, and where that is less than one image can tell
nothing is changed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.particles.pose_change import (
    PoseChange,
    PoseSpread,
    changes_trained_in,
    current_change,
    pose_change_path,
    pose_changes,
)
from cryoparts.refinement.least_squares import TURNS
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import (
    about_given_poses,
    learned_spread,
    spread_sample,
)
from cryoparts.training.encoder_input import in_new_poses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.refinement.least_squares import Refined
    from cryoparts.training.networks import Networks
    from cryoparts.training.setup import TrainingSetup

LOG = logging.getLogger(__name__)

STEPS_A_TANGENT = 2
"""In a round: the poses are refined again when more is known."""


def refine_poses(
    setup: TrainingSetup,
    networks: Networks,
    config: TrainingConfig,
    epoch: int,
    progress: Callable[[str, int, int], None],
) -> TrainingSetup:
    """The setup in refined poses, or the same where refining them is not worth it.

    Writes what was changed and the encoder's input in the new poses.

    Parameters
    ----------
    setup : TrainingSetup
        In the poses of the rounds before.
    networks : Networks
        As trained so far.
    config : TrainingConfig
    epoch : int
        Epochs done.
    progress : callable
        Told what is done, how many particles of it, and of how many.
    """
    particles = setup.forward.particles
    everyone = np.arange(len(particles))
    latent = encoded_by(networks, setup, config.batch_size)
    # what turns the whole molecule is a pose's error, though the decoder may have learned it
    networks = networks.held_to_core(setup.neutral, config.vary)
    refinement = about_given_poses(poses_alone(setup, networks, config, latent))
    sample = spread_sample(setup.split.training)
    spread = learned_spread(refinement, latent[sample], sample)
    if spread is None:
        return setup
    known = current_change(particles.folder)
    refined = replace(refinement, pose_spread=spread).solve(
        latent,
        everyone,
        pose=start_of(known, latent),
        progress=lambda done, total: progress("poses", done, total),
        steps_a_tangent=STEPS_A_TANGENT,
    )
    change = change_of(refined, spread)
    LOG.info(
        "after epoch %d: given poses are off by about %.2f° and %.2f Å (along each axis); refined",
        epoch,
        np.rad2deg(spread.turn),
        spread.shift_angstrom,
    )
    forward = ForwardModel(particles.with_pose_change(change), setup.forward.device)
    change.save(pose_change_path(particles.folder, epoch))
    encoder_input = in_new_poses(
        setup.encoder_input.map,
        forward,
        setup.objective,
        setup.neutral,
        particles.folder,
        progress=lambda done, total: progress("encoder input", done, total),
    )
    return replace(setup, forward=forward, encoder_input=encoder_input)


@torch.no_grad()
def encoded_by(networks: Networks, setup: TrainingSetup, batch_size: int) -> Tensor:
    """Latent vectors (P, Z) that the encoder gives all particles; it is left evaluating."""
    networks.encoder.eval()
    networks.decoder.eval()
    everyone = np.arange(len(setup.forward.particles))
    chunks = np.array_split(everyone, -(-len(everyone) // batch_size))
    device = setup.forward.device
    return torch.cat([networks.encoder(setup.encoder_input.rows(r, device)) for r in chunks])


def poses_alone(
    setup: TrainingSetup, networks: Networks, config: TrainingConfig, latent: Tensor
) -> ParticleRefinement:
    """What refines poses between epochs, with latent vectors (n, Z) held as encoded."""
    return ParticleRefinement(
        setup.forward,
        setup.objective,
        setup.neutral,
        networks.decoder,
        config.vary,
        latent.mean(dim=0),
        latent.T.cov(correction=0).reshape(latent.shape[1], -1),
        latent_held=True,
    )


def networks_in(setup: TrainingSetup, networks: Networks, config: TrainingConfig) -> Networks:
    """The networks as they are used: in refined poses, they do not turn the whole molecule."""
    if not setup.forward.particles.poses_refined:
        return networks
    return networks.held_to_core(setup.neutral, config.vary)


def change_of(refined: Refined, spread: PoseSpread) -> PoseChange:
    """What refinement has changed, as it is kept."""
    pose = refined.pose.cpu().numpy()
    left = refined.pose_variance.median(dim=0).values.sqrt().cpu()
    turn, shift = float(left[:TURNS].mean()), float(left[TURNS:].mean())
    return PoseChange(pose[:, :TURNS], pose[:, TURNS:], spread, PoseSpread(turn, shift))


def start_of(change: PoseChange, latent: Tensor) -> Tensor | None:
    """The change as unknowns (P, 5) of a refinement; None of given poses."""
    if not len(change):
        return None
    return latent.new_tensor(np.concatenate([change.turn, change.shift_angstrom], axis=1))


def poses_found_after(folder: Path) -> int:
    """The epoch after which the poses that are trained in were found; 0 of given ones."""
    found = changes_trained_in(folder)
    return int(found[-1].stem.rpartition("_")[2]) if found else 0


def forget_rounds_after(folder: Path, epoch: int) -> bool:
    """Delete the changes that were found after later epochs than this; True if there were any."""
    later = [p for p in pose_changes(folder) if p.stem > pose_change_path(folder, epoch).stem]
    for path in later:
        path.unlink()
    return bool(later)
