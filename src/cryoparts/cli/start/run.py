"""`cryoparts run`: everything, from particles and a model to the report."""

from __future__ import annotations

import time

from cryoparts.cli.analyse.composition import judge_composition
from cryoparts.cli.analyse.coordination import find_run_coordination
from cryoparts.cli.analyse.focus import chosen_parts, focus_parts
from cryoparts.cli.analyse.masks import write_masks
from cryoparts.cli.analyse.motion import measure_run_motion
from cryoparts.cli.analyse.parts import find_parts
from cryoparts.cli.analyse.trust import trust_run
from cryoparts.cli.console import say
from cryoparts.cli.options import (
    Focusing,
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
from cryoparts.cli.results.reconstruct import reconstruct_parts
from cryoparts.cli.results.report import report_run
from cryoparts.cli.start.train import train_run
from cryoparts.config import (
    FocusConfig,
    ModelConfig,
    PartsConfig,
    PreprocessingConfig,
    ReconstructionConfig,
    RunConfig,
    TrainingConfig,
)
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.part_masks import MaskOptions
from cryoparts.pipeline.start import start_run
from cryoparts.report.wording import duration


def run(
    particles: ParticlesFile,
    *,
    model: ModelFile,
    output: OutputFolder,
    resume: Resume = False,
    inputs: Inputs = InputOptions(),
    preprocessing: Preprocessing = PreprocessingConfig(),
    gaussians: Modelling = ModelConfig(),
    training: Training = TrainingConfig(),
    parts: Parting = PartsConfig(),
    focus: Focusing = FocusConfig(),
    reconstruction: Reconstructing = ReconstructionConfig(),
) -> None:
    """Train, find the parts, group the particles by each, reconstruct and report."""
    config = run_config(
        particles, model, inputs, preprocessing, gaussians, training, parts, focus, reconstruction
    )
    started = time.perf_counter()
    folder = start_run(config, output, resume=resume)
    with folder.logging():
        run_steps(folder, config, resume=resume)
        report_run(folder)
        say(f"done in {duration(time.perf_counter() - started)}")


def run_steps(folder: RunDirectory, config: RunConfig, *, resume: bool) -> None:
    """All steps between the start of a run and its report."""
    train_run(folder, resume=resume)
    find_parts(folder, config.parts)
    write_masks(folder, MaskOptions())
    measure_run_motion(folder)
    found = chosen_parts(folder, None)
    focus_parts(folder, found, config.focus)
    judge_composition(folder)
    trust_run(folder)
    find_run_coordination(folder)
    reconstruct_parts(folder, found, config.reconstruction)
