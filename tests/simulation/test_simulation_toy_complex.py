from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryoparts.simulation.structures.region_table import read_region_table
from cryoparts.simulation.structures.toy_complex import (
    SEGMENT_NAMES,
    toy_complex,
    write_toy_segments,
)


@pytest.mark.parametrize("seed", [0, 7])
def test_it_is_a_round_complex_of_nine_lobes_as_dense_as_protein(seed):
    made = toy_complex(seed)
    positions = made.positions.astype(float)
    assert 10_000 <= len(made) <= 20_000
    assert 180.0 < 2.0 * np.linalg.norm(positions, axis=1).max() < 260.0
    _, sizes = np.unique(made.chain_ids, return_counts=True)
    assert len(sizes) == 9
    assert 3.0 < sizes.max() / sizes.min() < 10.0
    assert sizes.argmax() == 0
    # 0.81 Da/Å³ at 110 Da a residue, counted in balls around residues of the core's middle.
    tree = cKDTree(positions)
    inner = positions[np.linalg.norm(positions, axis=1) < 15.0]
    held = np.array([len(near) for near in tree.query_ball_point(inner, 20.0)])
    assert held.mean() / (4 / 3 * np.pi * 20.0**3) * 110.0 == pytest.approx(0.81, rel=0.25)


def test_its_chains_are_connected_and_do_not_clash():
    made = toy_complex(0)
    steps = np.linalg.norm(np.diff(made.positions, axis=0), axis=1)
    within = made.chain_ids[1:] == made.chain_ids[:-1]
    assert np.median(steps[within]) == pytest.approx(3.8, abs=0.3)
    # Holes in the texture are stepped over; a strand's end leads to the next strand's start.
    assert np.mean(steps[within] < 6.0) > 0.8
    assert np.mean(steps[within] > 20.0) < 0.03
    nearest, _ = cKDTree(made.positions).query(made.positions, k=2)
    assert nearest[:, 1].min() > 1.5


def test_the_seed_decides():
    np.testing.assert_array_equal(toy_complex(2).positions, toy_complex(2).positions)
    assert not np.array_equal(toy_complex(2).positions[:50], toy_complex(3).positions[:50])


def test_its_table_names_every_residue(tmp_path):
    write_toy_segments(tmp_path / "segments.csv")
    table = read_region_table(tmp_path / "segments.csv", toy_complex(0), "segment")
    assert table.names == SEGMENT_NAMES
    assert (table.label >= 0).all()
