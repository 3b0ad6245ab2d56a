"""The map that a user would have of a simulated data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.evaluation.truth import load_truth
from cryoparts.io.mrc import write_map
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from cryoparts.simulation.particles import TABLE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses
    from cryoparts.reconstruction.half_maps import Reconstruction

CONSENSUS_FILE = "consensus.mrc"
HALF_FILES = ("consensus_half1.mrc", "consensus_half2.mrc")


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
