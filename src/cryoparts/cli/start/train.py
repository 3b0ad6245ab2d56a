"""`cryoparts train`: from particles and a model to trained networks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cryoparts.cli.console import TrainingProgress, progress_bars, say
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

if TYPE_CHECKING:
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.pipeline.training import Trained


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
    from cryoparts.pipeline.start import start_run
    from cryoparts.pipeline.training import train_run

    config = run_config(particles, model, inputs, preprocessing, gaussians, training)
    with progress_bars() as progress:
        run = start_run(config, output, resume=resume, tell=say, progress=progress)
    with run.directory.logging():
        with progress_bars() as progress:
            epochs = TrainingProgress(run.training.epochs)
            trained = train_run(run, resume=resume, epochs=epochs, progress=progress)
        show_training(trained)


def show_training(trained: Trained) -> None:
    """Say which epoch was kept and what it gained."""
    say(
        f"best epoch {trained.best_epoch}: held-out FRC {trained.held_out_frc:.4f}; "
        f"{trained.held_out_frc_at_rest:.4f} without the changes from particle to particle; "
        f"neutral model {trained.held_out_frc_neutral:.4f}"
    )
    if trained.pose_change is not None:
        say(pose_sentence(trained.pose_change))
    junk = trained.particles - trained.trusted
    if junk:
        say(
            f"{junk} of {trained.particles} particles ({100 * junk / trained.particles:.1f}%) are "
            "probably not what the model describes, or not in their given poses: no level, part "
            'or statistic is of them (column "probability"); the others are in selections/good'
        )


def pose_sentence(change: PoseChange) -> str:
    """How far the given poses were off, and what was done about it."""
    degrees = math.degrees(change.spread.turn) * 3**0.5
    angstrom = change.spread.shift_angstrom * 2**0.5
    return (
        f"the given poses are off by about {degrees:.1f}° and {angstrom:.1f} Å (root mean square, "
        "as the images tell it); all that follows is in refined poses (--no-refine-poses keeps "
        "the given ones)"
    )
