from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from toy_particles import random_blobs, toy_particles

from cryoparts.io.mrc import read_map
from cryoparts.reconstruction.difference_map import difference_map
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from cryoparts.reconstruction.map_files import write_reconstruction

BOX, PIXEL = 16, 8.0


@pytest.fixture(scope="module")
def states():
    particles = toy_particles(random_blobs(0, width=10.0), 60, BOX, PIXEL)
    return {
        1: reconstruct_half_maps(particles, np.arange(57)),
        2: reconstruct_half_maps(particles, np.arange(57, 60)),
    }


def test_files_of_states(states, tmp_path):
    folder = tmp_path / "part_1"
    differences = {
        (1, 2): difference_map(states[1], states[2]),
        (1, 1): difference_map(states[1], states[1]),
    }
    write_reconstruction(folder, states, differences, empty_states=[3])
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(f"state_{k}{half}.mrc" for k in (1, 2) for half in ("", "_half1", "_half2")),
        "difference_1_minus_2.mrc",
        "difference_1_minus_1.mrc",
        "difference_1_minus_1_z.mrc",
        "fsc.csv",
        "summary.json",
    }
    density, voxel, origin = read_map(folder / "state_1.mrc")
    np.testing.assert_array_equal(density, states[1].map)
    assert voxel == pytest.approx(PIXEL)
    # the box centre, voxel 8, at (0, 0, 0)
    np.testing.assert_allclose(origin, -8 * PIXEL)
    half, _, _ = read_map(folder / "state_2_half1.mrc")
    np.testing.assert_array_equal(half, states[2].half1)


def test_table_and_summary(states, tmp_path):
    write_reconstruction(tmp_path, states, {}, empty_states=[3])
    with (tmp_path / "fsc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == BOX // 2 + 1
    assert float(rows[2]["state_1"]) == pytest.approx(states[1].fsc[2], abs=1e-5)
    assert rows[2]["state_2"] == ""
    assert float(rows[4]["resolution_angstrom"]) == pytest.approx(BOX * PIXEL / 4)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["states"]["state_1"]["particles"] == 57
    assert summary["states"]["state_2"]["resolution_angstrom"] is None
    assert "too few" in summary["states"]["state_2"]["note"]
    assert summary["states"]["state_3"]["particles"] == 0
