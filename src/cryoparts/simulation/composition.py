"""A molecule whose segments are there in some particles and absent in others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.structure import write_structure
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.coupling import coupled_presence, read_couplings
from cryoparts.simulation.data_set import IMAGING, NOISE, Content, Finish, Random, simulate
from cryoparts.simulation.ground_truth import CompositionTruth
from cryoparts.simulation.scene import MoleculeScene
from cryoparts.simulation.structures.cutting import cut_structure
from cryoparts.simulation.structures.molecule import load_molecule
from cryoparts.simulation.structures.region_table import read_region_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.io.structure import Structure
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene_options import CompositionOptions


def simulate_composition(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    composition: CompositionOptions,
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Simulate a data set of compositional heterogeneity.

    Writes particles.star, particles.mrcs, model.cif (all segments, about the
    box centre; the B-factor column holds the segment) and truth.npz.

    Parameters
    ----------
    structure : Path or Structure
        The whole molecule.
    folder, imaging, progress, nuisances, finish
        See `simulate`, whose errors and result are this one's.
    composition : CompositionOptions
    """

    def content(random: Random) -> Content:
        molecule, _ = load_molecule(
            structure, composition.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        pieces = cut_into_segments(molecule, composition, random["shape"])
        presence = draw_presence(pieces, composition, imaging.n_particles, random["state"])
        return Content(
            MoleculeScene(
                AtomGroups.of(molecule.positions, molecule.masses, pieces.label, len(pieces.names)),
                imaging.box_size,
                imaging.pixel_size_angstrom,
                presence,
            ),
            lambda folder: write_structure(folder / "model.cif", molecule, b_factors=pieces.label),
            partial(
                CompositionTruth,
                atom_positions=molecule.positions,
                atom_masses=molecule.masses,
                atom_segment=pieces.label,
                segment_names=np.array(pieces.names),
                presence=presence,
                core=pieces.core,
                couplings=np.array(composition.couple, dtype=np.str_),
            ),
            molecule.positions,
            molecule.masses,
        )

    streams = ("shape", IMAGING, "state", NOISE)
    return simulate(folder, imaging, content, streams, progress, nuisances, finish)


@dataclass(frozen=True)
class Segments:
    """The pieces of a molecule: segment of each atom (A,), their names, and which always stays."""

    label: NDArray[np.int64]
    names: tuple[str, ...]
    core: int


def cut_into_segments(
    molecule: Structure, options: CompositionOptions, rng: np.random.Generator
) -> Segments:
    """The segments of the table, or automatic ones.

    Raises
    ------
    InputError
        If the table or the core's name is unusable.
    """
    label, names = assign_segments(molecule, options, rng)
    return Segments(label, tuple(names), _core(molecule, label, names, options.core))


def draw_presence(
    segments: Segments, options: CompositionOptions, count: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which segments each particle has, shape (count, S).

    Raises
    ------
    InputError
        If the couplings are unusable.
    """
    couplings = read_couplings(options.couple, segments.names)
    uniform = rng.random((count, len(segments.names)))
    presence = coupled_presence(uniform, options.probability, couplings)
    presence[:, segments.core] = True
    return presence


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
