"""Latent vectors of all particles, and how probably each is one, as files of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.atomic import write_together
from cryoparts.io.run_directory import write_csv
from cryoparts.io.tables import save_array, write_table
from cryoparts.particles.pose_change import FINAL, MOVED, current_change, pose_change_path
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import about_given_poses, learned_spread, spread_sample
from cryoparts.statistics.junk_mixture import FEWEST, probability_of_fit
from cryoparts.statistics.trusted import only_trusted
from cryoparts.training.particle_agreement import BANDS, AgreementMeasure
from cryoparts.training.pose_rounds import change_of, start_of
from cryoparts.training.region_amounts import regions_of
from cryoparts.training.split import rows_of_half

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.inference.missed_regions import MissedRegions
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.particles.pose_change import PoseSpread
    from cryoparts.training.setup import TrainingSetup

    SecondPass = Callable[
        [TrainedDecoder, TrainingSetup], tuple[MissedRegions, NDArray[np.float32]]
    ]


def forget_latents(run: RunDirectory) -> None:
    """Remove latent vectors, probabilities and last poses: the networks they are of will differ."""
    poses = (pose_change_path(run.particles_path, after) for after in (FINAL, MOVED))
    for path in (run.latent_path, run.probability_path, run.missed_path, *poses):
        path.unlink(missing_ok=True)


def write_latents(
    run: RunDirectory,
    setup: TrainingSetup,
    progress: Callable[[int, int], None] | None = None,
    second_pass: SecondPass | None = None,
) -> None:
    """Encode every particle with the best networks and refine; judge which are particles.

    Writes what was found to be wrong with the poses, probability.npy and .csv (with the
    agreements that it comes from), regions that the decoder missed, latent.csv and, last,
    latent.npy: a training without it has not come to its end.

    Parameters
    ----------
    run : RunDirectory
        Trained.
    setup : TrainingSetup
        Of the run.
    progress : callable or None
        Told the particles refined, and their total.
    second_pass : callable or None
        Looks for what the decoder missed, and gives the latent vectors with it.
    """
    forget_latents(run)
    trained = TrainedDecoder(run)
    setup = replace(setup, forward=ForwardModel(trained.particles, trained.device))
    everyone = np.arange(len(trained.particles))
    encoded = trained.encoded_run()
    steps = trained.config.refinement_steps
    change = current_change(run.particles_path)
    held = trained.held_to_core()
    spread = _pose_spread(refinement(held, setup), setup, encoded, trained.config)
    posed = trained.particles
    if spread is None:
        refined = refinement(trained, setup).solve(encoded, everyone, steps, progress)
    else:
        trained = held
        problem = about_given_poses(refinement(trained, setup), spread)
        refined = problem.solve(encoded, everyone, steps, progress, pose=start_of(change, encoded))
        change = change_of(refined, spread)
        posed = posed.with_pose_change(change)
        setup = replace(setup, forward=ForwardModel(posed, trained.device))
    known = trained.with_latent(refined.latent, posed)
    own_spread = change.spread if len(change) else None
    probability, features = _probabilities(known, setup, own_spread)
    latent, missed = refined.latent.cpu().numpy(), None
    if second_pass is not None:
        missed, latent = second_pass(known.judged(probability), setup)
    names = trained.particles.names
    columns = [f"agreement_band_{band + 1}" for band in range(BANDS)] + [
        "agreement_at_rest",
        "agreement_by_region",
    ]
    table = {"name": names, "probability": probability}
    header = ["name", *(f"z{axis + 1}" for axis in range(latent.shape[1]))]
    rows = ((name, *vector) for name, vector in zip(names, latent, strict=True))
    with write_together(run.root, last=run.latent_path.name) as new:
        if spread is not None:
            folder = new / run.particles_path.name
            folder.mkdir()
            change.save(pose_change_path(folder, FINAL))
        save_array(new / run.probability_path.name, probability)
        path = new / run.probability_csv_path.name
        write_table(path, table | dict(zip(columns, features.T, strict=False)))
        if missed is not None and len(missed):
            missed.save(new / run.missed_path.name)
        write_csv(new / run.latent_csv_path.name, header, rows)
        save_array(new / run.latent_path.name, latent)


def _pose_spread(
    problem: ParticleRefinement, setup: TrainingSetup, encoded: Tensor, config: TrainingConfig
) -> PoseSpread | None:
    """Spread of the errors of the given poses; None where these are not to be refined."""
    if not config.pose_rounds or config.refinement_steps == 0:
        return None
    rows = spread_sample(setup.split.training)
    return learned_spread(about_given_poses(problem), encoded[rows], rows)


def _probabilities(
    trained: TrainedDecoder, setup: TrainingSetup, spread: PoseSpread | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability (P,) that each particle is what the model describes, in its pose.

    Also the agreements (P, K) that it is judged by.
    """
    count = len(trained.particles)
    if count < FEWEST:
        return np.ones(count), np.zeros((count, 0))
    everyone = np.arange(count)
    measure = AgreementMeasure(
        setup,
        trained.networks.encoder,
        trained.latent_of(everyone),
        replace(refinement(trained, setup), pose_spread=spread),
        trained.config.refinement_steps,
        regions_of(trained.neutral.positions, trained.config.seed),
    )
    features, strangers = measure.features(everyone, trained.config.seed)
    return probability_of_fit(features, strangers), features


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
    rows = only_trusted(rows, setup.probability)  # as the training had it
    encoded = trained.encoded_run()[torch.as_tensor(rows, device=trained.device)]
    covariance = encoded.T.cov(correction=0).reshape(encoded.shape[1], -1)
    if trained.extended is not None:
        # the encoder does not know these; 1 leads most of the way to being there, or away
        further = torch.arange(encoded.shape[1], device=trained.device)[-trained.extended.further :]
        covariance[further, further] = 1.0
    return ParticleRefinement(
        forward=forward or setup.forward,
        objective=setup.objective,
        neutral=setup.neutral,
        decoder=trained.networks.decoder,
        vary=trained.config.vary,
        mean=encoded.mean(dim=0),
        covariance=covariance,
    )
