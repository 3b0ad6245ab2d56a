"""`cryoparts check`: do particles, poses, CTF and model belong together?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say, table
from cryoparts.cli.options import (
    InputOptions,
    Inputs,
    Modelling,
    ParticlesFile,
    Preprocessing,
    run_config,
)
from cryoparts.config import ModelConfig, PreprocessingConfig, TrainingConfig
from cryoparts.image_model.geometry import SAMPLE, check_geometry
from cryoparts.image_model.losses import resolution_band
from cryoparts.particle_files.row_identity import in_words
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare
from cryoparts.pipeline.start import (
    make_model,
    open_particles,
    report_copies,
    report_geometry,
    with_working_box,
)
from cryoparts.statistics.by_image import with_all_rows

if TYPE_CHECKING:
    from cryoparts.particle_files.particle_table import ParticleTable


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

    The model is compared with up to 200 particles as given, and as the commonest
    mistakes would have it: mirror hand, transposed rotations, reversed shifts,
    inverted contrast.
    """
    config = run_config(
        particles, model or particles, inputs, preprocessing, gaussians, TrainingConfig(seed=seed)
    )
    opened = open_particles(config)
    _describe(opened.table)
    config = with_working_box(config, opened)
    chosen = np.random.default_rng(seed).permutation(opened.table.image_count)[:SAMPLE]
    sample = ParticleSet(opened.table.take(with_all_rows(opened.table.image, chosen)))
    with tempfile.TemporaryDirectory() as scratch:
        with progress_bar("reading a sample") as shown:
            prepared = prepare(sample, Path(scratch) / "particles", config.preprocessing, shown)
        if model is None:
            say("images are readable; give --model to compare them with a model")
            return
        band = resolution_band(prepared.box_size, prepared.pixel_size_angstrom, None, None)
        made = make_model(
            model,
            gaussians,
            prepared.box_size * prepared.pixel_size_angstrom / band.last,
            prepared.box_size,
            prepared.pixel_size_angstrom,
            seed,
        )
        result = check_geometry(prepared, made, band, seed)
        if preprocessing.contrast == "auto" and result.contrast_is_inverted:
            prepared = prepared.with_contrast_sign(-prepared.contrast_sign)
            result = check_geometry(prepared, made, band, seed)
        table(
            f"Agreement of {result.n_particles} particles with the model",
            ["convention", "mean FRC", "standard error"],
            [
                [name, f"{frc:.4f}", f"{result.standard_error[name]:.4f}"]
                for name, frc in result.frc.items()
            ],
        )
        report_geometry(result, prepared)
        report_copies(prepared, made, band, config)


def _describe(particles: ParticleTable) -> None:
    ctf = particles.ctf
    defocus = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)

    def span(values: np.ndarray, unit: str) -> str:
        low, high = float(values.min()), float(values.max())
        return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"

    halves = [int((particles.half_set == half).sum()) for half in (1, 2)]
    table(
        str(particles.source),
        ["", "value"],
        [
            ["format", particles.format],
            ["particles", in_words(len(particles), particles.image_count)],
            ["stacks", len(particles.stack_paths)],
            ["optics groups", len(np.unique(particles.optics_group))],
            ["box", span(particles.box_size, "px")],
            ["pixel size", span(particles.pixel_size_angstrom, "Å")],
            ["voltage", span(ctf.voltage_kv, "kV")],
            ["defocus", span(np.round(defocus), "Å")],
            ["shift, largest", f"{np.abs(particles.poses.shift_angstrom).max():.1f} Å"],
            ["half sets", f"{halves[0]} and {halves[1]}" if any(halves) else "not given"],
        ],
    )
