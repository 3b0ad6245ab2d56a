"""How every run starts: read, check, model and preprocess, then make the run folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.gaussians.from_file import frame_of, make_model, read_model_map
from cryoparts.image_model.copies_check import check_copies
from cryoparts.image_model.geometry import AS_GIVEN, GeometryCheck
from cryoparts.image_model.losses import resolution_band
from cryoparts.image_model.scale_check import check_scale
from cryoparts.image_model.shift_check import check_shift
from cryoparts.io.atomic import make_folder_atomically, write_atomically
from cryoparts.io.lock import locked
from cryoparts.io.mrc import is_map
from cryoparts.io.run_directory import RunDirectory, require_new_folder
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parallel.current import team
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.row_identity import in_words
from cryoparts.particle_files.symmetry import expanded
from cryoparts.particles.blank_images import named
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare
from cryoparts.pipeline.input_checks import (
    agreement,
    map_problems,
    map_size_problem,
    mending_of,
    require_conventions,
    require_plausible,
    require_sampled_conventions,
    scale_problem,
    shift_problem,
    without_blank,
)
from cryoparts.pipeline.progress import Progress, Tell, counting, quiet, silent
from cryoparts.pipeline.working_box import LARGEST_BOX, box_of, with_working_box
from cryoparts.reconstruction.map_check import check_map
from cryoparts.report.verdict import FEW_PARTICLES
from cryoparts.run.run import Run
from cryoparts.selection.selection import named_rows, read_names
from cryoparts.statistics.by_image import first_rows
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    from cryoparts.config import ModelConfig, RunConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.particle_files.particle_table import ParticleTable
    from cryoparts.particle_files.plausibility import Finding
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.pipeline.input_checks import Agreement

LOG = logging.getLogger(__name__)

RESUMED_WITH_THE_SAME = (
    "particles",
    "model",
    "pixel_size_angstrom",
    "selection",
    "symmetry",
    "transpose_poses",
    "mirror_hand",
    "invert_shifts",
    "invert_aberrations",
    "model_axes",
    "model_shift_angstrom",
    "skip_blank",
    "preprocessing",
    "gaussians",
    "training",
)


def open_particles(config: RunConfig, tell: Tell = quiet) -> ParticleSet:
    """The particles of a run, checked but not yet read."""

    def path(text: str | None) -> Path | None:
        return None if text is None else Path(text)

    table = read_particles(
        Path(config.particles),
        datadir=path(config.datadir),
        passthrough=[Path(text) for text in config.passthrough],
        poses=path(config.poses),
        ctf=path(config.ctf),
        pixel_size_angstrom=config.pixel_size_angstrom,
        without_ctf=config.without_ctf,
    )
    for note in table.notes:
        LOG.warning(note)
    table = mending_of(config).table(table)
    for finding in require_plausible(table, as_given=config.as_given):
        LOG.warning(finding.line)
    if config.symmetry is not None:
        table = expanded(table, config.symmetry)
    if config.selection is not None:
        table = _selected(table, Path(config.selection), tell)
    return ParticleSet(table)


def _selected(table: ParticleTable, path: Path, tell: Tell) -> ParticleTable:
    """The particles of a selection, in the order of the particle file."""
    chosen = named_rows(
        read_names(path), table.names, str(path), str(table.source), table.image_names
    )
    tell(f"{int(chosen.sum())} of {len(table)} particles are kept: those of {path}")
    return table.take(np.flatnonzero(chosen))


def save_model(folder: Path, model: GaussianModel) -> None:
    """Write gaussians.npz and, for ChimeraX, gaussians.cif."""
    with write_atomically(folder / "gaussians.npz") as temporary:
        model.save(temporary)
    write_gaussians_cif(
        folder / "gaussians.cif", model.positions, model.amplitudes, model.widths, None
    )


def start_run(
    config: RunConfig,
    output: Path,
    *,
    resume: bool = False,
    tell: Tell = quiet,
    progress: Progress = silent,
) -> Run:
    """Make the run folder, with options, model and working images in it.

    Parameters
    ----------
    config : RunConfig
    output : Path
        The folder; it must be absent or empty. A failure leaves nothing behind.
    resume : bool
        Go on with a folder that is there. What decides the training must be the same;
        other options of later steps are used from now on, and recorded.
    tell, progress : callable

    Raises
    ------
    InputError
        If particles, model and options do not fit together.
    """
    if resume and output.exists():
        return _resumed(config, output)
    require_new_folder(output)
    particles = open_particles(config, tell)
    if config.skip_blank:
        particles = skip_blank(particles, tell, progress)
    set_threads(config.training.threads)
    team().foresee(config.training.epochs * len(particles))
    chosen = config.preprocessing.box_size is not None
    config = with_working_box(config, particles.table, Path(config.model))
    assert config.preprocessing.box_size is not None
    table = particles.table
    extent = float(np.median(table.box_size * table.pixel_size_angstrom))
    pixel = extent / config.preprocessing.box_size
    band = resolution_band(
        config.preprocessing.box_size,
        pixel,
        config.training.min_resolution_angstrom,
        config.training.max_resolution_angstrom,
    )
    resolution = extent / band.last
    progress("making the Gaussian model", 0, 0)
    model = make_model(
        Path(config.model),
        config.gaussians,
        resolution,
        *box_of(table),
        config.training.seed,
        tell,
    )
    tell(
        f"{in_words(len(table), table.image_count)}; {len(model)} Gaussians; working images "
        f"{config.preprocessing.box_size} px at {pixel:.3f} Å; compared from "
        f"{extent / band.first:.0f} to {resolution:.1f} Å"
    )
    finer = min(LARGEST_BOX, int(table.box_size.min()))
    moves = "position" in config.training.vary
    if not chosen and moves and finer > config.preprocessing.box_size:
        tell(f"--box-size {finer} would see smaller motions and take longer")
    advised = config.training.advised_epochs(table.image_count)
    if moves and advised > config.training.epochs:
        tell(
            f"--epochs {advised} would learn smaller motions from so few particles, and take longer"
        )
    report_map_size(Path(config.model), config.gaussians, table)
    progress("comparing particles and model", 0, 0)
    require_sampled_conventions(particles, model, band, config)
    inputs = [Path(config.particles), Path(config.model)]
    if config.selection is not None:
        inputs.append(Path(config.selection))
    with make_folder_atomically(output) as staging:
        run = RunDirectory.create(staging, config, inputs)
        save_model(staging, model)
        frame_of(Path(config.model), config.gaussians, *box_of(table)).save(staging)
        shown = counting(progress, "reading particles")
        prepared = prepare(
            particles, run.particles_path, config.preprocessing, shown, seed=config.training.seed
        )
        progress("comparing particles and model", 0, 0)
        found = agreement(prepared, model, band, config)
        problem = require_conventions(found.check, config)
        report_geometry(found.check, found.prepared, table, problem, tell)
        report_fit(found, model, band, particles, config)
    return Run.open(output)


def skip_blank(particles: ParticleSet, tell: Tell, progress: Progress) -> ParticleSet:
    """The particles without blank images; tells which these are."""
    kept, blank = without_blank(particles, counting(progress, "looking for blank images"))
    if len(blank):
        told = named(particles.table, blank)
        tell(f"{len(blank):,} of {len(particles):,} particles are blank and left out: {told}")
    return kept


def report_geometry(
    check: GeometryCheck,
    prepared: PreparedParticles,
    table: ParticleTable,
    problem: Finding | None,
    tell: Tell,
) -> None:
    """Say how the particles, some of those of the table, agree with the model."""
    frc, error = check.frc[AS_GIVEN], check.standard_error[AS_GIVEN]
    raw = "bright" if prepared.contrast_sign > 0 else "dark"
    tell(f"protein is {raw} in the raw images; FRC with the model {frc:.4f} ± {error:.4f}")
    if problem is not None:
        LOG.warning(problem.line)
    elif not check.significant:
        LOG.warning(
            f"the particles do not agree with the model beyond chance (FRC {frc:.4f} ± "
            f"{error:.4f} over {check.n_particles} particles): wrong model, pixel size or poses, "
            f"or too few particles."
        )
    if table.image_count < FEW_PARTICLES:
        told = in_words(len(table), table.image_count)
        LOG.warning(f"only {told}: too few to conclude much about heterogeneity.")


def report_map_size(path: Path, options: ModelConfig, table: ParticleTable) -> None:
    """Warn where a model map and the particles have boxes of different sides."""
    if is_map(path):
        box, pixel = box_of(table)
        density, placed = read_model_map(path, options, box, pixel)
        problem = map_size_problem(density.density.shape, placed.voxel_size, table)
        if problem is not None:
            LOG.warning(problem.line)


def report_fit(
    found: Agreement,
    model: GaussianModel,
    band: Band,
    particles: ParticleSet,
    config: RunConfig,
) -> None:
    """Warn of copies that do not fit, and where the particles show another model than this:
    in size, in place, or in what it lacks.
    """
    report_copies(found.prepared, model, band, config)
    if not found.check.significant or found.check.clearly_wrong:
        return
    prepared, seed = found.prepared, config.training.seed
    own_map = check_map(prepared, model, first_rows(prepared.image), seed)
    problems = [
        scale_problem(check_scale(prepared, model, band, seed), particles.table),
        shift_problem(check_shift(prepared, model, band, seed), config),
        *([] if own_map is None else map_problems(own_map)),
    ]
    for problem in problems:
        if problem is not None:
            LOG.warning(problem.line)


def report_copies(
    prepared: PreparedParticles, model: GaussianModel, band: Band, config: RunConfig
) -> None:
    """Warn where the other rows of an image fit the model worse than its first."""
    copies = check_copies(prepared, model, band, config.training.seed)
    if copies is None or not copies.others_fit_worse:
        return
    told = f"FRC {copies.others:.4f}, as first given {copies.first:.4f}"
    if config.symmetry is None:
        LOG.warning(
            f"the further rows of an image fit the model worse ({told}): the file was expanded by "
            "a symmetry that the model does not have about these axes, or its rows are not copies."
        )
    else:
        LOG.warning(
            f"turned by {config.symmetry}, the model fits the images worse ({told}): its axes are "
            "not where the group's are, or it has another symmetry. docs/symmetry.md has the axes."
        )


def _resumed(config: RunConfig, output: Path) -> Run:
    run = RunDirectory.open(output)
    stored, asked = run.config().as_dict(), config.as_dict()
    if asked["preprocessing"]["box_size"] is None:
        asked["preprocessing"]["box_size"] = stored["preprocessing"]["box_size"]
    if asked["training"]["choose_channels"] and stored["training"]["choose_channels"]:
        asked["training"]["vary"] = stored["training"]["vary"]  # those that were chosen
    for section in RESUMED_WITH_THE_SAME:
        if stored[section] != asked[section]:
            raise InputError(
                "--resume",
                f"the options differ from those in {run.config_path}: {section} was "
                f"{stored[section]!r}, now {asked[section]!r}",
                "Give the same options, or start another run with -o.",
            )
    later = {name: getattr(config, name) for name in ("parts", "focus", "reconstruction")}
    with locked(output):
        run.record_options(replace(run.config(), **later))
    return Run(run)
