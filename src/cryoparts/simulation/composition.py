"""A molecule whose segments are there in some particles and absent in others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.structure import write_structure
from cryoparts.simulation.acquisition import draw_acquisition
from cryoparts.simulation.atom_projection import AtomGroups, project_groups
from cryoparts.simulation.coupling import coupled_presence, read_couplings
from cryoparts.simulation.cutting import cut_structure
from cryoparts.simulation.ground_truth import TRUTH_FILE, CompositionTruth
from cryoparts.simulation.molecule import Centre, load_molecule
from cryoparts.simulation.options import ImagingOptions, Progress, require
from cryoparts.simulation.particles import in_order, new_folder, write_particles
from cryoparts.simulation.region_table import read_region_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.io.structure import Structure


@dataclass(frozen=True)
class CompositionOptions:
    """Which segments the molecule has and how often each is there."""

    segments_file: Path | None = None
    """Table (.csv) of the segments: chain,segment or
    chain,first_residue,last_residue,segment. Default: the structure is cut
    automatically."""

    n_segments: int = 9
    """Number of pieces to cut into where no table is given."""

    keep_chains: bool = False
    """Keep whole chains together when cutting automatically, rather than residues."""

    core: str | None = None
    """Name of the segment that is always present. Default: the heaviest."""

    probability: float = 0.5
    """Probability that each other segment is present in a particle."""

    couple: tuple[str, ...] = ()
    """What depends on what: "segment_3 requires segment_2" (then it is there only
    where the other is), or "segment_2,segment_4=0.6" (their presences correlate).
    Default: all independent."""

    centre: Centre = "mass"
    """Point of the structure at the box centre: "mass" or (x, y, z) in Å."""

    def __post_init__(self) -> None:
        require(
            self.n_segments >= 2,
            "--n-segments",
            "at least 2",
            self.n_segments,
            "One stays, the others come and go; the published benchmark has 9.",
        )
        require(
            0.0 <= self.probability <= 1.0,
            "--probability",
            "from 0 to 1",
            self.probability,
            "0.5 is usual.",
        )


@dataclass(frozen=True)
class CompositionScene:
    """Particles that have only the segments `presence` (P, S) says."""

    atoms: AtomGroups
    presence: NDArray[np.bool_]
    box_size: int
    pixel_size_angstrom: float

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """All particles in order."""
        return in_order(n_particles, batch)

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections (n, D, D // 2 + 1) of the particles `rows` in their poses."""
        groups = (len(rows), self.atoms.n_groups)
        return project_groups(
            self.atoms,
            np.broadcast_to(poses.rotation[:, None, :2, :], (*groups, 2, 3)),
            np.broadcast_to(poses.shift_angstrom[:, None, :], (*groups, 2)),
            self.presence[rows],
            self.box_size,
            self.pixel_size_angstrom,
        )


def simulate_composition(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    composition: CompositionOptions,
    progress: Progress | None = None,
) -> Path:
    """Simulate a data set of compositional heterogeneity.

    Writes particles.star, particles.mrcs, model.cif (all segments, about the
    box centre; the B-factor column holds the segment) and truth.npz.

    Parameters
    ----------
    structure : Path or Structure
        The whole molecule.
    folder : Path
        Must not exist; appears only when everything is written.
    imaging : ImagingOptions
    composition : CompositionOptions
    progress : callable, optional
        See `write_particles`.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    InputError
        If a file or an option is unusable or the folder exists.
    """
    cut_rng, imaging_rng, presence_rng, noise_rng = (
        np.random.default_rng(child) for child in np.random.SeedSequence(imaging.seed).spawn(4)
    )
    with new_folder(folder) as partial:
        molecule, _ = load_molecule(
            structure, composition.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        segment, names = assign_segments(molecule, composition, cut_rng)
        core = _core(molecule, segment, names, composition.core)
        shape = (imaging.n_particles, len(names))
        couplings = read_couplings(composition.couple, names)
        presence = coupled_presence(presence_rng.random(shape), composition.probability, couplings)
        presence[:, core] = True
        acquisition = draw_acquisition(imaging, imaging_rng)
        scene = CompositionScene(
            AtomGroups.of(molecule.positions, molecule.masses, segment, len(names)),
            presence,
            imaging.box_size,
            imaging.pixel_size_angstrom,
        )
        written = write_particles(partial, scene, acquisition, imaging, noise_rng, progress)
        write_structure(partial / "model.cif", molecule, b_factors=segment)
        CompositionTruth(
            names=written.names,
            seed=imaging.seed,
            image_scale=written.image_scale,
            contrast=imaging.contrast,
            atom_positions=molecule.positions,
            atom_masses=molecule.masses,
            atom_segment=segment,
            segment_names=np.array(names),
            presence=presence,
            core=core,
            couplings=np.array(composition.couple, dtype=np.str_),
        ).save(partial / TRUTH_FILE)
    return folder


def assign_segments(
    molecule: Structure, options: CompositionOptions, rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[str]]:
    """Segment of each atom (A,) and the segments' names, from the table or by cutting.

    Raises
    ------
    InputError
        If the table is malformed, leaves atoms out or names fewer than 2 segments.
    """
    if options.segments_file is None:
        label = cut_structure(molecule, options.n_segments, rng, keep_chains=options.keep_chains)
        return label, [f"segment_{number + 1}" for number in range(options.n_segments)]
    table = read_region_table(options.segments_file, molecule, "segment")
    where = str(options.segments_file)
    if len(table.names) < 2:
        raise InputError(where, "names one segment only, two are needed", "Add a segment.")
    left_out = np.flatnonzero(table.label < 0)
    if left_out.size:
        first = left_out[0]
        raise InputError(
            where,
            f"leaves out {left_out.size} atoms, the first in chain {molecule.chain_ids[first]} "
            f"residue {molecule.residue_numbers[first]}",
            "Assign every residue to a segment.",
        )
    return table.label, list(table.names)


def _core(
    molecule: Structure, segment: NDArray[np.int64], names: list[str], wanted: str | None
) -> int:
    if wanted is None:
        return int(np.argmax(np.bincount(segment, weights=molecule.masses)))
    if wanted not in names:
        raise InputError(
            "--core", f"must be a segment, got {wanted!r}", f"The segments are {', '.join(names)}."
        )
    return names.index(wanted)
