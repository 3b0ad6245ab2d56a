"""`cryoparts train`: from particles and a model to trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import TrainingProgress, progress_bar, say, warn
from cryoparts.cli.options import (
    InputOptions,
    Inputs,
    ModelFile,
    Modelling,
    OutputFolder,
    ParticlesFile,
    Preprocessing,
    Resume,
    Training,
    run_config,
)
from cryoparts.config import ModelConfig, PreprocessingConfig, TrainingConfig
from cryoparts.inference.latents import write_latents
from cryoparts.pipeline.start import start_run
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.training.trainer import Trainer, best_epoch

if TYPE_CHECKING:
    from cryoparts.io.run_directory import RunDirectory


def train(
    particles: ParticlesFile,
    *,
    model: ModelFile,
    output: OutputFolder,
    resume: Resume = False,
    inputs: Inputs = InputOptions(),
    preprocessing: Preprocessing = PreprocessingConfig(),
    gaussians: Modelling = ModelConfig(),
    training: Training = TrainingConfig(),
) -> None:
    """Train encoder and decoder: what changes from particle to particle.

    Makes the run folder with the working images, the Gaussian model,
    checkpoints and latent vectors.
    """
    config = run_config(particles, model, inputs, preprocessing, gaussians, training)
    run = start_run(config, output, resume=resume)
    with run.logging():
        train_run(run, resume=resume)


def train_run(run: RunDirectory, *, resume: bool) -> None:
    """Train the networks of a run folder and write the latent vectors."""
    config = run.config().training
    set_threads(config.threads)
    with progress_bar("encoder input") as shown:
        setup = prepare_training(run, config, shown)
    with TrainingProgress(config.epochs) as epochs:
        rows = Trainer(run, setup, config).train(epochs, resume=resume)
    best = best_epoch(rows)
    neutral, row = rows[0]["held_out_frc"], rows[best]
    trained, mean = row["held_out_frc"], row.get("held_out_frc_mean", neutral)
    say(
        f"best epoch {best}: held-out FRC {trained:.4f}; {mean:.4f} without the changes from "
        f"particle to particle; neutral model {neutral:.4f}"
    )
    if not trained > max(mean, neutral):
        warn("held-out particles agree no better with the trained model than with one at rest")
    with progress_bar("latent vectors") as shown:
        write_latents(run, setup, shown)
