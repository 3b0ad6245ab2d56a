"""A trajectory as a structure of several models, to be played in ChimeraX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gemmi
import numpy as np

from cryoparts.io.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.states.trajectory import Trajectory

FULL_OCCUPANCY = 1.0
"""Occupancy of an atom that is there, as viewers expect it."""


def write_trajectory_cif(
    path: Path, model: GaussianModel, trajectory: Trajectory, labels: NDArray[np.integer]
) -> None:
    """Write the molecule at each point of a trajectory as one model of an mmCIF file.

    ``open trajectory.cif coordsets true`` in ChimeraX makes a movie of it. Atoms
    are the Gaussians, chains the parts (``core``, ``part_1`` ...), the B-factor is
    the part's number and the occupancy the amplitude over the largest neutral one.

    Parameters
    ----------
    path : Path
    model : GaussianModel
        The neutral model, N Gaussians.
    trajectory : Trajectory
        T points.
    labels : int array, shape (N,)
        -1 unassigned, 0 core, 1 ... parts.
    """
    neutral = model.positions.astype(np.float64)
    occupancy = model.amplitudes.astype(np.float64) / max(float(model.amplitudes.max()), 1e-30)
    structure = gemmi.Structure()
    structure.name = "cryoparts_trajectory"
    for point in range(len(trajectory)):
        positions, occupancies = neutral, occupancy
        if trajectory.displacements is not None:
            positions = neutral + trajectory.displacements[point]
        if trajectory.relative_amplitudes is not None:
            relative = np.maximum(trajectory.relative_amplitudes[point], 0.0)
            occupancies = np.minimum(occupancy * relative, FULL_OCCUPANCY)
        structure.add_model(_model(point + 1, positions, occupancies, labels))
    structure.setup_entities()
    document = structure.make_mmcif_document()
    with write_atomically(path) as temporary:
        document.write_file(str(temporary))


def _model(
    number: int,
    positions: NDArray[np.float64],
    occupancies: NDArray[np.float64],
    labels: NDArray[np.integer],
) -> gemmi.Model:
    model = gemmi.Model(number)
    for label in np.unique(labels).tolist():
        name = {-1: "unassigned", 0: "core"}.get(label, f"part_{label}")
        chain = gemmi.Chain(name)
        for index in np.flatnonzero(labels == label).tolist():
            atom = gemmi.Atom()
            atom.name, atom.element = "C", gemmi.Element("C")
            atom.pos = gemmi.Position(*positions[index].tolist())
            atom.occ, atom.b_iso = float(occupancies[index]), float(label)
            residue = gemmi.Residue()
            residue.name, residue.seqid = "GAU", gemmi.SeqId(str(index + 1))
            residue.het_flag = "H"
            residue.add_atom(atom)
            chain.add_residue(residue)
        model.add_chain(chain)
    return model
