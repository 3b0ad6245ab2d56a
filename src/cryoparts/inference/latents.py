"""Latent vectors of all particles, as files of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latent_refinement import LatentRefinement
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import write_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.training.setup import TrainingSetup


def write_latents(
    run: RunDirectory, setup: TrainingSetup, progress: Callable[[int, int], None] | None = None
) -> None:
    """Encode every particle with the best networks and refine; write latent.npy and latent.csv.

    Parameters
    ----------
    run : RunDirectory
        Trained.
    setup : TrainingSetup
        Of the run.
    progress : callable or None
        Told the particles refined, and their total.
    """
    run.latent_path.unlink(missing_ok=True)  # of a training that went on since
    trained = TrainedDecoder(run)
    everyone = np.arange(len(trained.particles))
    encoded = trained.encoded_run()
    steps = trained.config.refinement_steps
    refined = refinement(trained, setup).refine(encoded, everyone, steps, progress)
    latent = refined.cpu().numpy()
    with write_atomically(run.latent_path) as temporary:
        np.save(temporary, latent)
    header = ["name", *(f"z{axis + 1}" for axis in range(latent.shape[1]))]
    rows = ((name, *vector) for name, vector in zip(trained.particles.names, latent, strict=True))
    write_csv(run.latent_csv_path, header, rows)


def refinement(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    forward: ForwardModel | None = None,
) -> LatentRefinement:
    """What refines latent vectors under the trained decoder; the prior is the run's encoder's.

    Parameters
    ----------
    trained : TrainedDecoder
        Of the run.
    setup : TrainingSetup
        Of the run.
    forward : ForwardModel or None
        Of the particles to refine, where they are not those of the run.
    """
    encoded = trained.encoded_run()
    return LatentRefinement(
        forward=forward or setup.forward,
        objective=setup.objective,
        neutral=setup.neutral,
        decoder=trained.networks.decoder,
        vary=trained.config.vary,
        mean=encoded.mean(dim=0),
        covariance=encoded.T.cov(correction=0).reshape(encoded.shape[1], -1),
    )
