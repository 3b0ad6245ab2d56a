"""A small three-chain molecule that all simulation tests share."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.io.structure import Structure
from cryoparts.simulation.options import ImagingOptions


@pytest.fixture(scope="session")
def blob() -> Structure:
    """360 atoms in 3 chains of 30 residues of 4 atoms: three touching balls."""
    rng = np.random.default_rng(5)
    centres = np.array([[-18.0, 0.0, 4.0], [14.0, 12.0, 0.0], [10.0, -16.0, -9.0]])
    positions = np.concatenate([centre + 7.0 * rng.normal(size=(120, 3)) for centre in centres])
    elements = np.tile(np.array(["C", "N", "O", "S"]), 90)
    return Structure(
        positions=positions.astype(np.float32),
        masses=np.tile(np.array([6, 7, 8, 16], dtype=np.float32), 90),
        chain_ids=np.repeat(np.array(["A", "B", "C"]), 120),
        residue_numbers=np.tile(np.repeat(np.arange(1, 31), 4), 3),
        residue_names=np.full(360, "ALA"),
        atom_names=np.tile(np.array(["C", "N", "O", "S"]), 90),
        elements=elements,
    )


@pytest.fixture
def imaging() -> ImagingOptions:
    return ImagingOptions(n_particles=12, box_size=32, pixel_size_angstrom=4.0, seed=3)
