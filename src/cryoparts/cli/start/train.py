"""`cryoparts train`: from particles and a model to trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import TrainingProgress, progress_bars, say
from cryoparts.cli.options import (
    Halves,
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
    from cryoparts.pipeline.training import Trained


def train(
    particles: ParticlesFile,
    *,
    model: ModelFile,
    output: OutputFolder,
    resume: Resume = False,
    halves: Halves = False,
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
    from cryoparts.pipeline.trust import repeats_of, train_again

    config = run_config(particles, model, inputs, preprocessing, gaussians, training)
    with progress_bars() as progress:
        run = start_run(config, output, resume=resume, tell=say, progress=progress)
    with run.directory.logging():
        with progress_bars() as progress:
            epochs = TrainingProgress(run.training.epochs)
            trained = train_run(run, resume=resume, epochs=epochs, progress=progress)
        show_training(trained)
        if halves:
            for repeat in repeats_of(run, seeds=0, halves=True, null_training=False):
                with progress_bars() as progress:
                    train_again(run, repeat, TrainingProgress(repeat.config.epochs), progress)


def show_training(trained: Trained) -> None:
    """Say which epoch was kept and what it gained."""
    say(
        f"best epoch {trained.best_epoch}: held-out FRC {trained.held_out_frc:.4f}; "
        f"{trained.held_out_frc_at_rest:.4f} without the changes from particle to particle; "
        f"neutral model {trained.held_out_frc_neutral:.4f}"
    )
    junk = trained.particles - trained.trusted
    if junk:
        say(
            f"{junk} of {trained.particles} particles ({100 * junk / trained.particles:.1f}%) are "
            "probably not what the model describes, or not in their given poses: no level, part "
            'or statistic is of them (column "probability"); the others are in selections/good'
        )
    for sentence in trained.limits.sentences():
        say(sentence)
