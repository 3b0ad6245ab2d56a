"""A molecule some of whose segments turn, some come and go, and some do both."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.structure import write_structure
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.composition import cut_into_segments, draw_presence
from cryoparts.simulation.data_set import IMAGING, NOISE, Content, Finish, Random, simulate
from cryoparts.simulation.ground_truth import BothTruth
from cryoparts.simulation.molecule import load_molecule
from cryoparts.simulation.motion import scaled_angles
from cryoparts.simulation.moving_regions import MovingRegions, find_hinges
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.scene import MoleculeScene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.conventions import FloatArray, IntArray
    from cryoparts.io.structure import Structure
    from cryoparts.simulation.composition import Segments
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene_options import BothOptions


def simulate_both(
    structure: Path | Structure,
    folder: Path,
    imaging: ImagingOptions,
    options: BothOptions,
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Simulate a data set of compositional and conformational heterogeneity at once.

    Each particle has its own segments, and each segment that turns has its own angle,
    uniform between minus and plus the largest, whether it is there or not.

    Writes particles.star, particles.mrcs, model.cif (all segments, before any motion,
    about the box centre; the B-factor column holds the segment) and truth.npz.

    Parameters
    ----------
    structure : Path or Structure
    folder, imaging, progress, nuisances, finish
        See `simulate`, whose errors and result are this one's.
    options : BothOptions
    """

    def content(random: Random) -> Content:
        molecule, origin = load_molecule(
            structure, options.centre, imaging.box_size, imaging.pixel_size_angstrom
        )
        pieces = cut_into_segments(molecule, options, random["shape"])
        moving = _named(options.move, pieces, "--move")
        vanishing = _named(options.vanish, pieces, "--vanish")
        presence = draw_presence(pieces, options, imaging.n_particles, random["state"])
        presence[:, np.setdiff1d(np.arange(len(pieces.names)), vanishing)] = True
        hinges, angles = _motion(molecule, pieces, moving, origin, options, imaging, random)
        # the scene's group 0 never turns: it is the core
        order = np.array([pieces.core, *_others(pieces)])
        return Content(
            MoleculeScene(
                AtomGroups.of(
                    molecule.positions,
                    molecule.masses,
                    np.argsort(order)[pieces.label],
                    len(pieces.names),
                ),
                imaging.box_size,
                imaging.pixel_size_angstrom,
                presence[:, order],
                Hinges(hinges.axes[order[1:]], hinges.pivots[order[1:]]),
                angles[:, order[1:]],
            ),
            lambda folder: write_structure(folder / "model.cif", molecule, b_factors=pieces.label),
            partial(
                BothTruth,
                atom_positions=molecule.positions,
                atom_masses=molecule.masses,
                atom_segment=pieces.label,
                segment_names=np.array(pieces.names),
                presence=presence,
                core=pieces.core,
                couplings=np.array(options.couple, dtype=np.str_),
                moving=moving,
                vanishing=vanishing,
                axes=hinges.axes,
                pivots=hinges.pivots,
                angles_degrees=angles,
            ),
            molecule.positions,
            molecule.masses,
        )

    streams = ("shape", IMAGING, "state", NOISE, "angles")
    return simulate(folder, imaging, content, streams, progress, nuisances, finish)


def _others(pieces: Segments) -> list[int]:
    return [number for number in range(len(pieces.names)) if number != pieces.core]


def _named(names: Sequence[str], pieces: Segments, option: str) -> IntArray:
    """Numbers of the segments named; all but the core where none is."""
    others = {pieces.names[number]: number for number in _others(pieces)}
    unknown = [name for name in names if name not in others]
    if unknown:
        raise InputError(
            option,
            f"must name segments other than the core, got {unknown[0]!r}",
            f"They are {', '.join(others)}.",
        )
    return np.array(sorted(others[name] for name in names or others), dtype=np.int64)


def _motion(
    molecule: Structure,
    pieces: Segments,
    moving: IntArray,
    origin: FloatArray,
    options: BothOptions,
    imaging: ImagingOptions,
    random: Random,
) -> tuple[Hinges, FloatArray]:
    """Hinges (S) and angles (P, S), degrees; those of segments that stay are 0 about z."""
    region = np.zeros(len(pieces.names), dtype=np.int64)
    region[moving] = np.arange(1, len(moving) + 1)
    names = tuple(pieces.names[number] for number in moving)
    regions = MovingRegions(region[pieces.label], names, ({},) * len(names), "the segments")
    own = find_hinges(molecule, regions, origin, random["shape"])
    shares = random["angles"].uniform(-1.0, 1.0, size=(imaging.n_particles, len(names)))
    turned = scaled_angles(molecule, regions.label, own, shares, options.rmsd_angstrom, imaging)
    axes = np.tile([0.0, 0.0, 1.0], (len(pieces.names), 1))
    pivots = np.zeros((len(pieces.names), 3))
    angles = np.zeros((imaging.n_particles, len(pieces.names)))
    axes[moving], pivots[moving], angles[:, moving] = own.axes, own.pivots, turned
    return Hinges(axes, pivots), angles
