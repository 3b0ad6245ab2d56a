"""Particles whose truth is known, and the map that a user would have of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.mrc import write_map
from cryoparts.io.structure import Structure
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from cryoparts.simulation.bend import simulate_bend
from cryoparts.simulation.both import simulate_both
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.maps import simulate_maps
from cryoparts.simulation.motion import simulate_motion
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.particles import TABLE_FILE
from cryoparts.simulation.scene_options import (
    BendOptions,
    BothOptions,
    CompositionOptions,
    MapsOptions,
    MotionOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses
    from cryoparts.reconstruction.half_maps import Reconstruction

CONSENSUS_FILE = "consensus.mrc"
HALF_FILES = ("consensus_half1.mrc", "consensus_half2.mrc")


def simulate(
    source: Path | Structure | Sequence[Path],
    output: Path,
    options: CompositionOptions | MotionOptions | BendOptions | BothOptions | MapsOptions,
    *,
    imaging: ImagingOptions | None = None,
    nuisances: Nuisances | None = None,
    consensus: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write particles.star, particles.mrcs, the neutral model and truth.npz.

    Parameters
    ----------
    source : Path, Structure or sequence of Path
        A structure or, with `MapsOptions`, two or more maps.
    output : Path
        Folder to make; it must not exist.
    options : CompositionOptions, MotionOptions, BendOptions, BothOptions or MapsOptions
        What differs from particle to particle: segments that come and go, regions that
        turn, a bend, segments that do both, or maps.
    imaging : ImagingOptions, optional
        Number of particles, box, pixel size, noise, CTF, seed.
    nuisances : Nuisances, optional
        What real data have beside noise: junk, wrong poses and so on. Default: nothing.
    consensus : bool
        Also the map that a user would have (`write_consensus`).
    progress : callable, optional
        Called with the number of images done and of all.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the folder exists, a file cannot be read, or an option is out of its limits.
    """
    finish = write_consensus if consensus else None
    rest = (output, imaging or ImagingOptions())
    wrong = nuisances or Nuisances()
    if isinstance(options, MapsOptions):
        if isinstance(source, Structure):
            raise InputError("source", "maps are needed, not a structure", "Give maps.")
        maps = [source] if isinstance(source, Path) else list(source)
        return simulate_maps(maps, *rest, options, progress, wrong, finish)
    if not isinstance(source, Path | Structure):
        raise InputError(
            "source", f"one structure is needed, not {len(source)} files", "Give one structure."
        )
    if isinstance(options, BothOptions):  # options of a composition, and more
        return simulate_both(source, *rest, options, progress, wrong, finish)
    if isinstance(options, BendOptions):
        return simulate_bend(source, *rest, options, progress, wrong, finish)
    if isinstance(options, MotionOptions):
        return simulate_motion(source, *rest, options, progress, wrong, finish)
    return simulate_composition(source, *rest, options, progress, wrong, finish)


@dataclass(frozen=True)
class _GivenParticles:
    """The particles of a table as it gives them, protein bright."""

    poses: Poses
    ctf: CtfParameters
    half_set: NDArray[np.int8]
    pixel_size_angstrom: float
    box_size: int
    stored: ParticleSet
    sign: float

    def images(self, indices: ArrayLike) -> torch.Tensor:
        return torch.from_numpy(np.float32(self.sign) * self.stored.images(indices))


def write_consensus(folder: Path, progress: Callable[[int], None] | None = None) -> Reconstruction:
    """Back-project all particles of a simulated data set, junk too, with their given poses.

    Writes consensus.mrc (weighted by the half maps' FSC) and consensus_half1.mrc and
    consensus_half2.mrc (unfiltered) beside the particles.

    Parameters
    ----------
    folder : Path
        Of the data set.
    progress : callable, optional
        Called with the number of images of each batch done.
    """
    table, truth = read_particles(folder / TABLE_FILE), load_truth(folder)
    source = _GivenParticles(
        table.poses,
        table.ctf,
        table.half_set,
        float(table.pixel_size_angstrom[0]),
        int(table.box_size[0]),
        ParticleSet(table),
        1.0 if truth.contrast == "bright" else -1.0,
    )
    made = reconstruct_half_maps(source, np.arange(len(table)), progress=progress)
    write_map(folder / CONSENSUS_FILE, made.map, source.pixel_size_angstrom)
    for name, half in zip(HALF_FILES, (made.half1, made.half2), strict=True):
        write_map(folder / name, half, source.pixel_size_angstrom)
    return made
