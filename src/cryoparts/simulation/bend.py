"""A molecule that bends smoothly: no part of it moves as one body.

Along its longest axis the molecule is still up to a plane; beyond, an atom at the height h over
that plane is turned by an angle that grows with h, curvature times h, about an axis through the
point half way down to the plane: the bend of a rod of constant curvature to second order in the
angle. The molecule is cut into thin slabs, which turn one after the other, so that the truth is
that of regions that turn, each about its own axis.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.structure import write_structure
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.data_set import IMAGING, NOISE, Content, Finish, Random, simulate
from cryoparts.simulation.ground_truth import MotionTruth
from cryoparts.simulation.motion import scaled_angles
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.scene import MoleculeScene
from cryoparts.simulation.structures.molecule import load_molecule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray
    from cryoparts.io.structure import Structure
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene_options import BendOptions

ZONES = ("lower", "middle", "upper")
"""Thirds of what bends, by height: the first word of a slab's name."""


def simulate_bend(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    options: BendOptions,
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Simulate a data set of a molecule that bends; curvatures are uniform about 0.

    Writes particles.star, particles.mrcs, model.cif (not bent, about the box centre; the
    B-factor column holds the slab, 0 still) and truth.npz.

    Parameters
    ----------
    structure : Path or Structure
    folder, imaging, progress, nuisances, finish
        See `simulate`, whose errors and result are this one's.
    options : BendOptions
    """

    def content(random: Random) -> Content:
        molecule, _ = load_molecule(
            structure, options.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        slab, names, heights, hinges = cut_into_slabs(
            molecule.positions, options.n_slabs, options.still_fraction, random["shape"]
        )
        curvature = random["state"].uniform(-1.0, 1.0, size=imaging.n_particles)
        shares = curvature[:, None] * heights / heights.max()
        angles = scaled_angles(molecule, slab, hinges, shares, options.rmsd_angstrom, imaging)
        return Content(
            MoleculeScene(
                AtomGroups.of(molecule.positions, molecule.masses, slab, len(names) + 1),
                imaging.box_size,
                imaging.pixel_size_angstrom,
                hinges=hinges,
                angles_degrees=angles,
            ),
            lambda folder: write_structure(folder / "model.cif", molecule, b_factors=slab),
            partial(
                MotionTruth,
                atom_positions=molecule.positions,
                atom_masses=molecule.masses,
                atom_region=slab,
                region_names=np.array(names),
                axes=hinges.axes,
                pivots=hinges.pivots,
                angles_degrees=angles,
            ),
            molecule.positions,
            molecule.masses,
        )

    streams = ("shape", IMAGING, "state", NOISE)
    return simulate(folder, imaging, content, streams, progress, nuisances, finish)


def cut_into_slabs(
    positions: NDArray[np.float32], count: int, still_fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[str], FloatArray, Hinges]:
    """Slabs across the longest axis beyond a plane, and the hinge of each.

    Parameters
    ----------
    positions : array, shape (A, 3)
        Å.
    count : int
        Slabs, all as thick.
    still_fraction : float
        Of the atoms, below the plane.
    rng : numpy Generator
        Draws the direction of the bend.

    Returns
    -------
    slab : int array, shape (A,)
        0 still, 1 ... `count`; empty slabs are left out.
    names : list of str
        "lower_slab_1", ...
    heights : array
        Of the slabs' middles over the plane, Å.
    hinges : Hinges

    Raises
    ------
    InputError
        If nothing lies beyond the plane.
    """
    points = positions.astype(np.float64)
    centred = points - points.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ axis
    plane = float(np.quantile(along, still_fraction))
    height = along - plane
    thickness = float(height.max()) / count
    if not thickness > 0.0:
        raise InputError(
            "--still-fraction", "leaves nothing that could bend", "Try 0.4, or another structure."
        )
    number = np.clip(np.ceil(height / thickness), 0, count).astype(np.int64)
    filled, slab = np.unique(np.concatenate([[0], number]), return_inverse=True)
    heights = (filled[1:] - 0.5) * thickness
    zone = np.minimum((heights / heights.max() * len(ZONES)).astype(int), len(ZONES) - 1)
    names = [f"{ZONES[z]}_slab_{n}" for n, z in enumerate(zone, start=1)]
    drawn = rng.normal(size=3)
    across = np.cross(axis, drawn)
    across /= np.linalg.norm(across)
    foot = points.mean(axis=0) + plane * axis
    pivots = foot + 0.5 * heights[:, None] * axis
    return slab[1:], names, heights, Hinges(np.tile(across, (len(heights), 1)), pivots)
