"""Latent vectors of all particles, and how probably each is one, as files of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.junk_mixture import FEWEST, probability_of_fit
from cryoparts.inference.particle_agreement import BANDS, AgreementMeasure
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import write_csv
from cryoparts.io.tables import write_table
from cryoparts.particles.pose_change import FINAL, pose_change_path
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import about_given_poses, learned_spread, spread_sample
from cryoparts.training.pose_rounds import change_of, current_change, start_of
from cryoparts.training.split import rows_of_half

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.particles.pose_change import PoseSpread
    from cryoparts.training.setup import TrainingSetup


def write_latents(
    run: RunDirectory, setup: TrainingSetup, progress: Callable[[int, int], None] | None = None
) -> None:
    """Encode every particle with the best networks and refine; judge which are particles.

    Writes latent.npy and latent.csv, what was found to be wrong with the poses, and
    `write_probabilities`.

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
    run.probability_path.unlink(missing_ok=True)
    pose_change_path(run.particles_path, FINAL).unlink(missing_ok=True)
    trained = TrainedDecoder(run)
    setup = replace(setup, forward=ForwardModel(trained.particles, trained.device))
    everyone = np.arange(len(trained.particles))
    encoded = trained.encoded_run()
    steps = trained.config.refinement_steps
    known = current_change(run.particles_path)
    problem = refinement(trained, setup)
    spread = _pose_spread(problem, setup, encoded, trained.config)
    if spread is None:
        refined = problem.solve(encoded, everyone, steps, progress)
    else:
        problem = about_given_poses(problem, spread)
        refined = problem.solve(encoded, everyone, steps, progress, pose=start_of(known, encoded))
        change = change_of(refined, spread)
        change.save(pose_change_path(run.particles_path, FINAL))
        posed = trained.particles.with_pose_change(change)
        setup = replace(setup, forward=ForwardModel(posed, trained.device))
    latent = refined.latent.cpu().numpy()
    with write_atomically(run.latent_path) as temporary:
        np.save(temporary, latent)
    write_probabilities(run, setup)
    header = ["name", *(f"z{axis + 1}" for axis in range(latent.shape[1]))]
    rows = ((name, *vector) for name, vector in zip(trained.particles.names, latent, strict=True))
    write_csv(run.latent_csv_path, header, rows)


def _pose_spread(
    problem: ParticleRefinement, setup: TrainingSetup, encoded: Tensor, config: TrainingConfig
) -> PoseSpread | None:
    """Spread of the errors of the given poses; None where these are not to be refined."""
    if not config.pose_rounds or config.refinement_steps == 0:
        return None
    rows = spread_sample(setup.split.training)
    return learned_spread(about_given_poses(problem), encoded[rows], rows)


def write_probabilities(run: RunDirectory, setup: TrainingSetup) -> NDArray[np.float64]:
    """Judge which particles are what the model describes, in their poses.

    Writes probability.npy and probability.csv (with the agreements that it comes from).

    Parameters
    ----------
    run : RunDirectory
        With latent vectors.
    setup : TrainingSetup
        Of the run.

    Returns
    -------
    array, shape (P,)
    """
    run.probability_path.unlink(missing_ok=True)
    trained = TrainedDecoder(run)
    names = trained.particles.names
    probability, features = np.ones(len(names)), np.zeros((len(names), 0))
    if len(names) >= FEWEST:
        change = current_change(run.particles_path)
        spread = None if not len(change) else change.spread
        own = replace(refinement(trained, setup), pose_spread=spread)
        measure = AgreementMeasure(trained, setup, own)
        features = measure.of_particles()
        probability = probability_of_fit(features, measure.of_strangers(trained.config.seed))
    with write_atomically(run.probability_path) as temporary:
        np.save(temporary, probability)
    columns = [f"agreement_band_{band + 1}" for band in range(BANDS)] + ["agreement_at_rest"]
    table = {"name": names, "probability": probability}
    write_table(run.probability_csv_path, table | dict(zip(columns, features.T, strict=False)))
    return probability


def refinement(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    forward: ForwardModel | None = None,
) -> ParticleRefinement:
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
    return ParticleRefinement(
        forward=forward or setup.forward,
        objective=setup.objective,
        neutral=setup.neutral,
        decoder=trained.networks.decoder,
        vary=trained.config.vary,
        mean=encoded.mean(dim=0),
        covariance=encoded.T.cov(correction=0).reshape(encoded.shape[1], -1),
    )
