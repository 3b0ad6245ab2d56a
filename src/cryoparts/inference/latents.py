"""Latent vectors of all particles, and how probably each is one, as files of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.junk_mixture import FEWEST, probability_of_fit
from cryoparts.inference.latent_refinement import LatentRefinement
from cryoparts.inference.particle_agreement import BANDS, AgreementMeasure
from cryoparts.io.atomic import write_together
from cryoparts.io.run_directory import write_csv
from cryoparts.io.tables import save_array, write_table
from cryoparts.training.split import rows_of_half

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.training.setup import TrainingSetup


def forget_latents(run: RunDirectory) -> None:
    """Remove latent vectors and probabilities: the networks that they are of will be others."""
    for path in (run.latent_path, run.probability_path):
        path.unlink(missing_ok=True)


def write_latents(
    run: RunDirectory, setup: TrainingSetup, progress: Callable[[int, int], None] | None = None
) -> None:
    """Encode every particle with the best networks and refine; judge which are particles.

    Writes probability.npy and .csv (with the agreements that it comes from), latent.csv and, last,
    latent.npy: a training without it has not come to its end.

    Parameters
    ----------
    run : RunDirectory
        Trained.
    setup : TrainingSetup
        Of the run.
    progress : callable or None
        Told the particles refined, and their total.
    """
    forget_latents(run)
    trained = TrainedDecoder(run)
    everyone = np.arange(len(trained.particles))
    encoded = trained.encoded_run()
    steps = trained.config.refinement_steps
    refined = refinement(trained, setup).refine(encoded, everyone, steps, progress)
    latent = refined.cpu().numpy()
    probability, features = _probabilities(trained.with_latent(refined), setup)
    names = trained.particles.names
    columns = [f"agreement_band_{band + 1}" for band in range(BANDS)] + ["agreement_at_rest"]
    table = {"name": names, "probability": probability}
    header = ["name", *(f"z{axis + 1}" for axis in range(latent.shape[1]))]
    rows = ((name, *vector) for name, vector in zip(names, latent, strict=True))
    with write_together(run.root, last=run.latent_path.name) as new:
        save_array(new / run.probability_path.name, probability)
        path = new / run.probability_csv_path.name
        write_table(path, table | dict(zip(columns, features.T, strict=False)))
        write_csv(new / run.latent_csv_path.name, header, rows)
        save_array(new / run.latent_path.name, latent)


def _probabilities(
    trained: TrainedDecoder, setup: TrainingSetup
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability (P,) that each particle is what the model describes, in its pose.

    Also the agreements (P, K) that it is judged by.
    """
    count = len(trained.particles)
    if count < FEWEST:
        return np.ones(count), np.zeros((count, 0))
    measure = AgreementMeasure(trained, setup, refinement(trained, setup))
    features = measure.of_particles()
    return probability_of_fit(features, measure.of_strangers(trained.config.seed)), features


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
    # trainings on two half sets know nothing of each other
    rows = rows_of_half(setup.forward.particles.half_set, trained.config.half)
    encoded = trained.encoded_run()[torch.as_tensor(rows, device=trained.device)]
    return LatentRefinement(
        forward=forward or setup.forward,
        objective=setup.objective,
        neutral=setup.neutral,
        decoder=trained.networks.decoder,
        vary=trained.config.vary,
        mean=encoded.mean(dim=0),
        covariance=encoded.T.cov(correction=0).reshape(encoded.shape[1], -1),
    )
