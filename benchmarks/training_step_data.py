"""Data of the training benchmarks: a toy complex, simulated once and repeated as needed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.config import ModelConfig, PreprocessingConfig, RunConfig, TrainingConfig
from cryoparts.gaussians.from_structure import gaussians_from_atoms
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic import make_folder_atomically
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.prepared import IMAGES, PARTICLES, PREPROCESSING
from cryoparts.particles.preprocessing import prepare
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

if TYPE_CHECKING:
    from pathlib import Path

BOX_ANGSTROM = 320.0
"""The box of every size shows the same molecule."""

FINEST_IN_PIXELS = 3.0
ATOMS_A_RESIDUE = 4
"""The toy has fewer pseudo-residues than the largest model Gaussians; each is spread
over this many atoms."""

SPREAD_ANGSTROM = 1.5
COPIED_AT_ONCE = 1024


def particles_of(work: Path, box: int, count: int) -> Path:
    """Working images of ``count`` simulated particles; made once."""
    folder = work / f"particles_{box}_{count}"
    if folder.exists():
        return folder
    raw = work / f"raw_{box}_{count}"
    shutil.rmtree(raw, ignore_errors=True)
    segments = work / "segments.csv"
    write_toy_segments(segments)
    imaging = ImagingOptions(
        n_particles=count, box_size=box, pixel_size_angstrom=BOX_ANGSTROM / box
    )
    simulate_composition(toy_complex(), raw, imaging, CompositionOptions(segments_file=segments))
    table = read_particles(raw / "particles.star")
    prepare(ParticleSet(table), folder, PreprocessingConfig(box_size=box))
    shutil.rmtree(raw)
    return folder


def model_of(work: Path, gaussians: int, box: int) -> Path:
    """A neutral model of so many Gaussians, as wide as the box's resolution asks; made once."""
    path = work / f"gaussians_{gaussians}_{box}.npz"
    if not path.exists():
        structure = toy_complex()
        random = np.random.default_rng(0)
        positions = np.repeat(structure.positions, ATOMS_A_RESIDUE, axis=0)
        positions = positions + random.normal(scale=SPREAD_ANGSTROM, size=positions.shape)
        masses = np.repeat(structure.masses, ATOMS_A_RESIDUE)
        resolution = FINEST_IN_PIXELS * BOX_ANGSTROM / box
        model = gaussians_from_atoms(positions, masses, gaussians, resolution)
        if len(model) != gaussians:
            raise ValueError(f"the toy's atoms give {len(model)} Gaussians, not {gaussians}")
        model.save(path)
    return path


def make_run(
    root: Path, particles: Path, model: Path, count: int, training: TrainingConfig
) -> None:
    """A run folder as `cryoparts train` leaves it before the training, of repeated particles."""
    config = RunConfig(
        particles=str(particles),
        model=str(model),
        gaussians=ModelConfig(n_gaussians=len(GaussianModel.load(model))),
        training=training,
    )
    run = RunDirectory.create(root, config, [])
    shutil.copy(model, run.gaussians_path)
    repeat_particles(particles, run.particles_path, count)


def repeat_particles(source: Path, target: Path, count: int) -> None:
    """Working images of ``count`` particles: those of ``source``, over and over, newly named."""
    with make_folder_atomically(target) as folder:
        images = np.load(source / IMAGES, mmap_mode="r")
        chosen = np.arange(count) % len(images)
        repeated = np.lib.format.open_memmap(
            folder / IMAGES, mode="w+", dtype=images.dtype, shape=(count, *images.shape[1:])
        )
        for start in range(0, count, COPIED_AT_ONCE):
            rows = chosen[start : start + COPIED_AT_ONCE]
            repeated[start : start + len(rows)] = images[rows]
        del repeated
        with np.load(source / PARTICLES) as stored:
            columns = {name: stored[name][chosen] for name in stored.files}
        columns["names"] = np.array([f"{i + 1:06d}@repeated.mrcs".encode() for i in range(count)])
        # As many of one half as of the other, whatever number is repeated.
        columns["half_set"] = (1 + np.arange(count) % 2).astype(np.int8)
        np.savez(folder / PARTICLES, **columns)
        details = json.loads((source / PREPROCESSING).read_text(encoding="utf-8"))
        (folder / PREPROCESSING).write_text(json.dumps(details), encoding="utf-8")
