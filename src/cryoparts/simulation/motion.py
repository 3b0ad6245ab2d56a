"""A molecule whose regions turn rigidly and independently."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.structure import write_structure
from cryoparts.simulation.acquisition import draw_acquisition
from cryoparts.simulation.atom_projection import AtomGroups, project_groups
from cryoparts.simulation.coupling import coupled_shares, read_couplings
from cryoparts.simulation.ground_truth import TRUTH_FILE, MotionTruth
from cryoparts.simulation.molecule import Centre, load_molecule, require_room
from cryoparts.simulation.moving_regions import choose_regions, find_hinges
from cryoparts.simulation.options import ImagingOptions, Progress, require
from cryoparts.simulation.particles import in_order, new_folder, write_particles
from cryoparts.simulation.rigid_motion import Hinges, largest_angle, move_atoms, placements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, Poses
    from cryoparts.io.structure import Structure


@dataclass(frozen=True)
class MotionOptions:
    """Which regions move and how far."""

    regions_file: Path | None = None
    """Table (.csv) of the moving regions: chain,region or
    chain,first_residue,last_residue,region; what it leaves out stays still. The
    first row of a region may give axis_x, axis_y, axis_z and pivot_x, pivot_y,
    pivot_z (Å, in the structure's own frame). Default: the structure is cut
    automatically, and the largest piece stays still."""

    n_regions: int = 3
    """Number of moving regions where no table is given."""

    rmsd_angstrom: float = 2.23
    """Displacement, Å: root mean square over all atoms, mean over the particles.
    The largest angle, the same for all regions, follows from it."""

    couple: tuple[str, ...] = ()
    """Regions whose angles correlate, "region_1,region_2=0.8" for example.
    Default: all independent."""

    centre: Centre = "mass"
    """Point of the structure at the box centre: "mass" or (x, y, z) in Å."""

    def __post_init__(self) -> None:
        require(
            self.n_regions >= 1,
            "--n-regions",
            "at least 1",
            self.n_regions,
            "The published benchmark has 3 that move and 1 that does not.",
        )
        require(
            np.isfinite(self.rmsd_angstrom) and self.rmsd_angstrom > 0.0,
            "--rmsd",
            "positive",
            self.rmsd_angstrom,
            "The published benchmark has 2.23 Å.",
        )


@dataclass(frozen=True)
class MotionScene:
    """Particles whose regions are turned by `angles_degrees` (P, R)."""

    atoms: AtomGroups
    hinges: Hinges
    angles_degrees: FloatArray
    box_size: int
    pixel_size_angstrom: float

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """All particles in order."""
        return in_order(n_particles, batch)

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections (n, D, D // 2 + 1) of the particles `rows` in their poses."""
        turns, moves = placements(self.hinges, self.angles_degrees[rows])
        view = poses.rotation[:, None, :2, :]
        offsets = (view @ moves[..., None])[..., 0] + poses.shift_angstrom[:, None, :]
        weights = np.ones(offsets.shape[:2])
        return project_groups(
            self.atoms, view @ turns, offsets, weights, self.box_size, self.pixel_size_angstrom
        )


def simulate_motion(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    motion: MotionOptions,
    progress: Progress | None = None,
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
    folder : Path
        Must not exist; appears only when everything is written.
    imaging : ImagingOptions
    motion : MotionOptions
    progress : callable, optional
        See `write_particles`.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    InputError
        If a file or an option is unusable, the displacement cannot be reached,
        or the folder exists.
    """
    region_rng, imaging_rng, angle_rng, noise_rng = (
        np.random.default_rng(child) for child in np.random.SeedSequence(imaging.seed).spawn(4)
    )
    with new_folder(folder) as partial:
        molecule, origin = load_molecule(
            structure, motion.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        chosen = choose_regions(molecule, motion.regions_file, motion.n_regions, region_rng)
        hinges = find_hinges(molecule, chosen, origin, region_rng)
        shape = (imaging.n_particles, len(chosen.names))
        couplings = read_couplings(motion.couple, chosen.names, may_require=False)
        shares = coupled_shares(angle_rng.uniform(-1.0, 1.0, size=shape), couplings)
        limit = largest_angle(
            molecule.positions, chosen.label, hinges, shares, motion.rmsd_angstrom
        )
        angles = limit * shares
        for extreme in (-limit, limit):
            turned = move_atoms(molecule.positions, chosen.label, hinges, extreme)
            require_room(
                turned,
                molecule.masses,
                imaging.box_size,
                imaging.pixel_size_angstrom,
                "the moved structure",
            )
        acquisition = draw_acquisition(imaging, imaging_rng)
        scene = MotionScene(
            AtomGroups.of(molecule.positions, molecule.masses, chosen.label, len(chosen.names) + 1),
            hinges,
            angles,
            imaging.box_size,
            imaging.pixel_size_angstrom,
        )
        written = write_particles(partial, scene, acquisition, imaging, noise_rng, progress)
        write_structure(partial / "model.cif", molecule, b_factors=chosen.label)
        MotionTruth(
            names=written.names,
            seed=imaging.seed,
            image_scale=written.image_scale,
            contrast=imaging.contrast,
            atom_positions=molecule.positions,
            atom_masses=molecule.masses,
            atom_region=chosen.label,
            region_names=np.array(chosen.names),
            axes=hinges.axes,
            pivots=hinges.pivots,
            angles_degrees=angles,
            couplings=np.array(motion.couple, dtype=np.str_),
        ).save(partial / TRUTH_FILE)
    return folder
