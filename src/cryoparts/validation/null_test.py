"""Null particles, seen by networks that were trained on the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.image_model.forward_model import BATCH, ForwardModel
from cryoparts.inference.latents import refinement
from cryoparts.parallel.current import team
from cryoparts.training.encoder_input import EncoderInput, GradientInputs
from cryoparts.validation.null_particles import NullImaging

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.training.setup import TrainingSetup


def null_decoder(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    indices: NDArray[np.int64],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedDecoder:
    """The trained networks, asked about null particles instead of the real ones.

    Nothing is trained: the null particles pass through the same encoder and the
    same refinement of latent vectors, and the same decoder, whose amplitudes
    keep the scale of the real particles.

    Parameters
    ----------
    trained : TrainedDecoder
        Of the run.
    setup : TrainingSetup
        Of the run.
    indices : array, shape (n,)
        Real particles in whose places the null particles are.
    seed : int
        Of the noise.
    progress : callable or None
        Told how many latent vectors are refined.

    Returns
    -------
    TrainedDecoder
        Its n particles are the null ones, in the order of `indices`.
    """
    particles = NullImaging.measure(trained, setup).particles(indices, seed)
    forward = ForwardModel(particles, setup.forward.device)
    own = setup.encoder_input.map
    values = np.empty((len(indices), setup.encoder_input.width), dtype=np.float32)
    everyone = np.arange(len(indices))
    task = GradientInputs(forward, setup.objective, setup.neutral, map=own)
    for place, inputs in team().sweep(task, everyone, BATCH):
        values[place] = inputs
    encoder_input = EncoderInput(values, own)
    encoded = trained.asked_about(particles, encoder_input, None).encoded(everyone)
    refined = refinement(trained, setup, forward).refine(
        encoded, everyone, trained.config.refinement_steps, progress
    )
    return trained.asked_about(particles, encoder_input, refined)
