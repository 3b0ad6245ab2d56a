"""`cryoparts run`: everything, from particles and a model to the report."""

from __future__ import annotations

import time

from cryoparts.cli.console import progress_bars, say
from cryoparts.cli.options import (
    Focusing,
    Halves,
    InputOptions,
    Inputs,
    ModelFile,
    Modelling,
    OutputFolder,
    ParticlesFile,
    Parting,
    Preprocessing,
    Reconstructing,
    Resume,
    Training,
    run_config,
)
from cryoparts.cli.steps import show_steps
from cryoparts.config import (
    FocusConfig,
    ModelConfig,
    PartsConfig,
    PreprocessingConfig,
    ReconstructionConfig,
    TrainingConfig,
)
from cryoparts.report.wording import duration


def run(
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
    parts: Parting = PartsConfig(),
    focus: Focusing = FocusConfig(),
    reconstruction: Reconstructing = ReconstructionConfig(),
) -> None:
    """Train, find the parts, group the particles by each, reconstruct and report."""
    from cryoparts.pipeline.start import start_run

    config = run_config(
        particles, model, inputs, preprocessing, gaussians, training, parts, focus, reconstruction
    )
    started = time.perf_counter()
    with progress_bars() as progress:
        opened = start_run(config, output, resume=resume, tell=say, progress=progress)
    with opened.directory.logging():
        show_steps(opened, config, resume=resume, halves=halves)
        say(f"done in {duration(time.perf_counter() - started)}")
