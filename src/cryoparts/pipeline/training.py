"""Train encoder and decoder of a run, and give every particle its latent vector."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.export.selected import save_selection
from cryoparts.export.summary_tables import write_epochs
from cryoparts.inference.latents import forget_latents, write_latents
from cryoparts.missed.missed_parts import find_missed
from cryoparts.pipeline.progress import Progress, SilentTraining, counting, silent
from cryoparts.selection.selection import Selection
from cryoparts.statistics.trusted import TRUSTED, is_trusted
from cryoparts.training.trainer import Trainer, best_epoch
from cryoparts.validation.limits import Limits, limits_of
from cryoparts.validation.visible_parts import visible_parts

if TYPE_CHECKING:
    from cryoparts.run.run import Run
    from cryoparts.training.trainer import Progress as TrainingProgress

LOG = logging.getLogger(__name__)

GOOD = "good"
"""Selection of the particles that are what the model describes; made where there are others."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Parameters
    ----------
    epochs : tuple of dict
        Rows of metrics.jsonl, one an epoch; epoch 0 is the neutral model.
    best_epoch : int
        The one that is kept.
    held_out_frc : float
        Of particles that were not trained on, at the best epoch.
    held_out_frc_at_rest : float
        The same without the changes from particle to particle.
    held_out_frc_neutral : float
        The same of the model as given.
    trusted, particles : int
        Particles that probably are what the model describes (`is_trusted`), and all.
    limits : Limits
        What limits the run.
    """

    epochs: tuple[dict[str, float], ...]
    best_epoch: int
    held_out_frc: float
    held_out_frc_at_rest: float
    held_out_frc_neutral: float
    trusted: int
    particles: int
    limits: Limits

    @property
    def gains(self) -> bool:
        """Whether held-out particles agree better than with a model at rest."""
        return self.held_out_frc > max(self.held_out_frc_at_rest, self.held_out_frc_neutral)


def train_run(
    run: Run,
    *,
    resume: bool = False,
    epochs: TrainingProgress | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train the networks of a run and write checkpoints, metrics.jsonl and latent vectors.

    Parameters
    ----------
    run : Run
        With particles and model in it (`start_run`).
    resume : bool
        Go on after the last epoch that is there.
    epochs : object with `step` and `epoch`, optional
        Told how far the training is.
    progress : callable
        Told how far the steps before and after it are.
    """
    forget_latents(run.directory)  # those that are there are of the networks as they are now
    progress("measuring the noise", 0, 0)
    setup = run.prepare(counting(progress, "encoder input"))
    progress("training: the model at rest", 0, 0)
    trainer = Trainer(run.directory, setup, run.training)
    rows = trainer.train(epochs or SilentTraining(), resume=resume, sweep=progress)
    write_latents(
        run.directory,
        trainer.setup,
        counting(progress, "latent vectors"),
        second_pass=partial(find_missed, progress=progress),
    )
    run.forget_training()
    write_epochs(run.root, rows)
    best = best_epoch(rows)
    neutral = rows[0]["held_out_frc"]
    trained = Trained(
        tuple(rows),
        best,
        rows[best]["held_out_frc"],
        rows[best].get("held_out_frc_mean", neutral),
        neutral,
        int(is_trusted(run.particle_weights).sum()),
        len(run.particles),
        measure_limits(run),
    )
    if trained.trusted < trained.particles:
        _save_good_ones(run)
    if not trained.gains:
        LOG.warning(
            "held-out particles agree no better with the trained model than with one at rest"
        )
    return trained


def measure_limits(run: Run) -> Limits:
    """Measure what limits a trained run, and keep it in limits.json."""
    good = is_trusted(run.particle_weights)
    rows = np.flatnonzero(good)
    visible = visible_parts(run.decoder, run.setup, rows, run.training.seed)
    limits = limits_of(run.decoder, run.setup, good, run.pose_change, visible)
    limits.save(run.directory.limits_path)
    return limits


def _save_good_ones(run: Run) -> None:
    """The trusted particles as a selection, and as a particle file where there was one."""
    good = is_trusted(run.particle_weights)
    selection = Selection(run.particles.names, good, {"where": f"probability > {TRUSTED}"})
    save_selection(run.directory, selection, GOOD)
