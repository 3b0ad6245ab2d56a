"""Do particles, poses, CTF and model belong together, and what model would that be?"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import AberratedCtfParameters
from cryoparts.errors import InputError
from cryoparts.gaussians.from_file import make_model
from cryoparts.image_model.losses import resolution_band
from cryoparts.io.mrc import is_map, read_map
from cryoparts.io.run_directory import require_new_folder
from cryoparts.particle_files.row_identity import in_words
from cryoparts.particles.blank_images import blank_error, blank_rows, named
from cryoparts.particles.preprocessing import prepare
from cryoparts.pipeline.input_checks import agreement, convention_problem, sampled_rows
from cryoparts.pipeline.progress import Progress, Tell, counting, quiet, silent
from cryoparts.pipeline.start import (
    report_fit,
    report_geometry,
    report_map_size,
    save_model,
)
from cryoparts.pipeline.working_box import with_working_box

if TYPE_CHECKING:
    from cryoparts.config import ModelConfig, RunConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.geometry import GeometryCheck
    from cryoparts.particles.particle_set import ParticleSet

LOG = logging.getLogger(__name__)

DEFAULT_RESOLUTION_ANGSTROM = 15.0
"""Resolution aimed at, Å, where no particles say how fine they are compared."""


@dataclass(frozen=True)
class ParticlesDescription:
    """What a particle file holds.

    Parameters
    ----------
    source : str
        The file.
    rows : tuple of (str, str)
        A quantity and its value or range, in words.
    """

    source: str
    rows: tuple[tuple[str, str], ...]


def describe_particles(particles: ParticleSet) -> ParticlesDescription:
    """Format, numbers and ranges of a particle file; what of its CTFs is modelled."""
    table = particles.table
    ctf = table.ctf
    defocus = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)
    halves = [int((table.half_set == half).sum()) for half in (1, 2)]
    return ParticlesDescription(
        str(table.source),
        (
            ("format", str(table.format)),
            ("particles", in_words(len(table), table.image_count)),
            ("stacks", str(len(table.stack_paths))),
            ("optics groups", str(len(np.unique(table.optics_group)))),
            ("box", _span(table.box_size, "px")),
            ("pixel size", _span(table.pixel_size_angstrom, "Å")),
            ("voltage", _span(ctf.voltage_kv, "kV")),
            ("defocus", _span(np.round(defocus), "Å")),
            ("shift, largest", f"{np.abs(table.poses.shift_angstrom).max():.1f} Å"),
            ("half sets", f"{halves[0]} and {halves[1]}" if any(halves) else "not given"),
            (
                "modelled beside the CTF",
                _modelled(particles) or "nothing: the file has nothing more",
            ),
            ("not modelled", "Ewald curvature, MTF of the detector"),
        ),
    )


@dataclass(frozen=True)
class SampleChecked:
    """Agreement of a sample of the particles with a model.

    Parameters
    ----------
    check : GeometryCheck
        Mean FRC under each convention.
    images : int
        Of the whole file.
    """

    check: GeometryCheck
    images: int


def check_sample(
    particles: ParticleSet,
    config: RunConfig,
    model: Path | None = None,
    *,
    tell: Tell = quiet,
    progress: Progress = silent,
) -> SampleChecked | None:
    """Read a sample of the images; with a model, compare them under every convention.

    Parameters
    ----------
    particles : ParticleSet
        See `cryoparts.pipeline.start.open_particles`.
    config : RunConfig
        Its preprocessing, Gaussians and seed count.
    model : Path, optional
        Map or structure.
    tell, progress : callable

    Returns
    -------
    SampleChecked or None
        None without a model.

    Raises
    ------
    InputError
        If an image cannot be read, or all are blank.
    """
    config = with_working_box(config, particles.table, model)
    seed = config.training.seed
    sample = _sample(particles, seed, tell)
    with tempfile.TemporaryDirectory() as scratch:
        shown = counting(progress, "reading a sample")
        prepared = prepare(sample, Path(scratch) / "particles", config.preprocessing, shown)
        if model is None:
            tell("the images sampled are readable; give --model to compare them with a model")
            return None
        band = resolution_band(prepared.box_size, prepared.pixel_size_angstrom, None, None)
        made = make_model(
            model,
            config.gaussians,
            prepared.box_size * prepared.pixel_size_angstrom / band.last,
            prepared.box_size,
            prepared.pixel_size_angstrom,
            seed,
            tell,
        )
        found = agreement(prepared, made, band, config)
        problem = convention_problem(found.check, config)
        report_geometry(found.check, found.prepared, particles.table, problem, tell)
        report_map_size(model, config.gaussians, particles.table)
        report_fit(found, made, band, particles, config)
        return SampleChecked(found.check, particles.table.image_count)


def write_model(
    file: Path,
    output: Path,
    options: ModelConfig,
    *,
    box_size: int | None = None,
    pixel_size_angstrom: float | None = None,
    seed: int = 0,
    tell: Tell = quiet,
) -> GaussianModel:
    """Write the Gaussian model of a map or structure: gaussians.npz and gaussians.cif.

    Parameters
    ----------
    file, output : Path
        Map or structure; folder to make.
    options : ModelConfig
    box_size, pixel_size_angstrom
        Box of the particles, pixels, and pixel size, Å; a map has its own.
    seed : int
        Of the grouping of atoms or voxels.
    tell : callable

    Raises
    ------
    InputError
        If the folder is not empty, or the box of a structure is not given.
    """
    require_new_folder(output)
    box, pixel = _box(file, box_size, pixel_size_angstrom, options.model_pixel_size_angstrom)
    made = make_model(file, options, DEFAULT_RESOLUTION_ANGSTROM, box, pixel, seed, tell)
    output.mkdir(parents=True, exist_ok=True)
    save_model(output, made)
    return made


def _box(
    file: Path, box_size: int | None, pixel_size: float | None, voxel_size: float | None
) -> tuple[int, float]:
    if box_size is not None and pixel_size is not None:
        return box_size, pixel_size
    if is_map(file) and file.is_file():
        density = read_map(file, voxel_size=voxel_size)
        return max(density.density.shape), density.voxel_size
    raise InputError(
        "--box-size, --pixel-size",
        "a structure is placed in the particles' box, whose size is not given",
        "Give both, in pixels and Å.",
    )


def _sample(particles: ParticleSet, seed: int, tell: Tell) -> ParticleSet:
    """A sample without blank images; tells how much it is, and which are blank."""
    rows = sampled_rows(particles, seed)
    blank = blank_rows(particles, rows)
    images = len(np.unique(particles.table.image[rows]))
    tell(f"{images} of {particles.table.image_count:,} particles sampled")
    if len(blank):
        LOG.warning(
            "%d of the %d images sampled are blank: %s. --skip-blank leaves these and all "
            "others out",
            len(blank),
            len(rows),
            named(particles.table, blank),
        )
    if len(blank) == len(rows):
        raise blank_error(particles)
    return particles.take(np.setdiff1d(rows, blank))


def _modelled(particles: ParticleSet) -> str:
    """The aberrations of the file that are in the forward model."""
    aberrated = particles.table.ctf
    found = []
    if isinstance(aberrated, AberratedCtfParameters):
        kinds = {
            "odd aberrations (beam tilt, trefoil)": aberrated.aberrations.odd_zernike,
            "even aberrations (tetrafoil)": aberrated.aberrations.even_zernike,
        }
        found = [word for word, values in kinds.items() if values.any()]
    if particles.is_magnified:
        found.append("anisotropic magnification")
    return ", ".join(found)


def _span(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], unit: str) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"
