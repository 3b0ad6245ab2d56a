"""`cryoparts check`: do particles, poses, CTF and model belong together?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bars, say, table
from cryoparts.cli.options import (
    InputOptions,
    Inputs,
    Modelling,
    ParticlesFile,
    Preprocessing,
    run_config,
)
from cryoparts.config import ModelConfig, PreprocessingConfig, TrainingConfig


def check(
    particles: ParticlesFile,
    *,
    model: Annotated[Path | None, Parameter(name="--model", help="Map or structure.")] = None,
    inputs: Inputs = InputOptions(),
    preprocessing: Preprocessing = PreprocessingConfig(),
    gaussians: Modelling = ModelConfig(),
    seed: int = 0,
) -> None:
    """Say what the particle file holds; with --model, whether the conventions agree.

    Units, ranges, half sets and shifts of the whole file are checked; the images of up
    to 200 particles are read. The model is compared with these as given, and as the
    commonest mistakes would have it: mirror hand, transposed rotations, reversed
    shifts and odd aberrations, inverted contrast. What disagrees is named with the
    option that mends it.
    """
    from cryoparts.pipeline.checking import check_sample, describe_particles
    from cryoparts.pipeline.start import open_particles

    config = run_config(
        particles, model or particles, inputs, preprocessing, gaussians, TrainingConfig(seed=seed)
    )
    # what is wrong is said, and all that can be told beside it
    config = replace(config, as_given=True)
    opened = open_particles(config, say)
    described = describe_particles(opened)
    table(described.source, ["", "value"], described.rows)
    with progress_bars() as progress:
        checked = check_sample(opened, config, model, tell=say, progress=progress)
    if checked is None:
        return
    table(
        f"Agreement with the model of {checked.check.n_particles} of {checked.images:,} particles",
        ["convention", "mean FRC", "standard error"],
        [
            [name, f"{frc:.4f}", f"{checked.check.standard_error[name]:.4f}"]
            for name, frc in checked.check.frc.items()
        ],
    )
