"""A molecule whose regions turn rigidly and independently."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.structure import write_structure
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.coupling import coupled_shares, read_couplings
from cryoparts.simulation.data_set import IMAGING, NOISE, Content, Finish, Random, simulate
from cryoparts.simulation.ground_truth import MotionTruth
from cryoparts.simulation.rigid_motion import Hinges, largest_angle, move_atoms
from cryoparts.simulation.scene import MoleculeScene
from cryoparts.simulation.structures.molecule import load_molecule, require_room
from cryoparts.simulation.structures.moving_regions import choose_regions, find_hinges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray
    from cryoparts.io.structure import Structure
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene_options import MotionOptions


def simulate_motion(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    motion: MotionOptions,
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Simulate a data set of conformational heterogeneity.

    Each particle is projected from its own atomic model: every region is turned
    about its own axis through its own pivot by an angle uniform between minus
    and plus the largest. Axes that the table does not give are random, pivots
    are the middle of the region's contact with the rest.

    Writes particles.star, particles.mrcs, model.cif (before any motion, about
    the box centre; the B-factor column holds the region, 0 still) and truth.npz.

    Parameters
    ----------
    structure : Path or Structure
    folder, imaging, progress, nuisances, finish
        See `simulate`, whose errors and result are this one's.
    motion : MotionOptions
    """

    def content(random: Random) -> Content:
        molecule, origin = load_molecule(
            structure, motion.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        chosen = choose_regions(molecule, motion.regions_file, motion.n_regions, random["shape"])
        hinges = find_hinges(molecule, chosen, origin, random["shape"])
        shape = (imaging.n_particles, len(chosen.names))
        couplings = read_couplings(motion.couple, chosen.names, may_require=False)
        shares = coupled_shares(random["state"].uniform(-1.0, 1.0, size=shape), couplings)
        angles = scaled_angles(
            molecule, chosen.label, hinges, shares, motion.rmsd_angstrom, imaging
        )
        return Content(
            MoleculeScene(
                AtomGroups.of(
                    molecule.positions, molecule.masses, chosen.label, len(chosen.names) + 1
                ),
                imaging.box_size,
                imaging.pixel_size_angstrom,
                hinges=hinges,
                angles_degrees=angles,
            ),
            lambda folder: write_structure(folder / "model.cif", molecule, b_factors=chosen.label),
            partial(
                MotionTruth,
                atom_positions=molecule.positions,
                atom_masses=molecule.masses,
                atom_region=chosen.label,
                region_names=np.array(chosen.names),
                axes=hinges.axes,
                pivots=hinges.pivots,
                angles_degrees=angles,
                couplings=np.array(motion.couple, dtype=np.str_),
            ),
            molecule.positions,
            molecule.masses,
        )

    streams = ("shape", IMAGING, "state", NOISE)
    return simulate(folder, imaging, content, streams, progress, nuisances, finish)


def scaled_angles(
    molecule: Structure,
    region: NDArray[np.int64],
    hinges: Hinges,
    shares: FloatArray,
    rmsd_angstrom: float,
    imaging: ImagingOptions,
) -> FloatArray:
    """Angles (P, R), degrees, that are `shares` of the largest and move atoms by the RMSD asked.

    Raises
    ------
    InputError
        If that takes too large a turn, or the molecule then leaves the box.
    """
    limit = largest_angle(molecule.positions, region, hinges, shares, rmsd_angstrom)
    for extreme in (-limit, limit):
        turned = move_atoms(molecule.positions, region, hinges, extreme)
        require_room(
            turned,
            molecule.masses,
            imaging.box_size,
            imaging.pixel_size_angstrom,
            "the moved structure",
        )
    angles: FloatArray = limit * shares
    return angles
