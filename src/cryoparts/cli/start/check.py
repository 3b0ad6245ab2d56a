"""`cryoparts check`: do particles, poses, CTF and model belong together?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say, table, warn
from cryoparts.cli.options import (
    InputOptions,
    Inputs,
    Modelling,
    ParticlesFile,
    Preprocessing,
    run_config,
)
from cryoparts.config import ModelConfig, PreprocessingConfig, TrainingConfig

if TYPE_CHECKING:
    from cryoparts.particles.particle_set import ParticleSet


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
    from cryoparts.image_model.losses import resolution_band
    from cryoparts.particles.preprocessing import prepare
    from cryoparts.pipeline.input_checks import agreement, convention_problem
    from cryoparts.pipeline.start import (
        make_model,
        open_particles,
        report_copies,
        report_geometry,
        report_map_size,
        report_scale,
        with_working_box,
    )

    config = run_config(
        particles, model or particles, inputs, preprocessing, gaussians, TrainingConfig(seed=seed)
    )
    # what is wrong is said, and all that can be told beside it
    config = replace(config, as_given=True)
    opened = open_particles(config, say)
    _describe(opened)
    config = with_working_box(config, opened)
    sample = _sample(opened, seed)
    with tempfile.TemporaryDirectory() as scratch:
        with progress_bar("reading a sample") as shown:
            prepared = prepare(sample, Path(scratch) / "particles", config.preprocessing, shown)
        if model is None:
            say("the images sampled are readable; give --model to compare them with a model")
            return
        band = resolution_band(prepared.box_size, prepared.pixel_size_angstrom, None, None)
        made = make_model(
            model,
            gaussians,
            prepared.box_size * prepared.pixel_size_angstrom / band.last,
            prepared.box_size,
            prepared.pixel_size_angstrom,
            seed,
            say,
        )
        found = agreement(prepared, made, band, config)
        result = found.check
        table(
            f"Agreement with the model of {result.n_particles} of "
            f"{opened.table.image_count:,} particles",
            ["convention", "mean FRC", "standard error"],
            [
                [name, f"{frc:.4f}", f"{result.standard_error[name]:.4f}"]
                for name, frc in result.frc.items()
            ],
        )
        problem = convention_problem(result, config)
        report_geometry(result, found.prepared, opened.table, problem, say)
        report_map_size(model, gaussians, opened.table)
        report_copies(found.prepared, made, band, config)
        report_scale(found, made, band, opened, config)


def _sample(opened: ParticleSet, seed: int) -> ParticleSet:
    """A sample without blank images; says how much it is, and which are blank."""
    import numpy as np

    from cryoparts.particles.blank_images import blank_error, blank_rows, named
    from cryoparts.pipeline.input_checks import sampled_rows

    rows = sampled_rows(opened, seed)
    blank = blank_rows(opened, rows)
    images = len(np.unique(opened.table.image[rows]))
    say(f"{images} of {opened.table.image_count:,} particles sampled")
    if len(blank):
        warn(
            f"{len(blank)} of the {len(rows)} images sampled are blank: "
            f"{named(opened.table, blank)}. --skip-blank leaves these and all others out"
        )
    if len(blank) == len(rows):
        raise blank_error(opened)
    return opened.take(np.setdiff1d(rows, blank))


def _modelled(opened: ParticleSet) -> str:
    """The aberrations of the file that are in the forward model."""
    from cryoparts.conventions import AberratedCtfParameters

    aberrated = opened.table.ctf
    found = []
    if isinstance(aberrated, AberratedCtfParameters):
        kinds = {
            "odd aberrations (beam tilt, trefoil)": aberrated.aberrations.odd_zernike,
            "even aberrations (tetrafoil)": aberrated.aberrations.even_zernike,
        }
        found = [word for word, values in kinds.items() if values.any()]
    if opened.is_magnified:
        found.append("anisotropic magnification")
    return ", ".join(found)


def _describe(opened: ParticleSet) -> None:
    import numpy as np

    from cryoparts.particle_files.row_identity import in_words

    particles = opened.table
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
            [
                "modelled beside the CTF",
                _modelled(opened) or "nothing: the file has nothing more",
            ],
            ["not modelled", "Ewald curvature, MTF of the detector"],
        ],
    )
