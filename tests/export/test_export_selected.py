"""Chosen particles as files for other programs, and trajectories for ChimeraX."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest
from cryosparc.dataset import Dataset

from cryoparts.errors import InputError
from cryoparts.export.cryosparc import write_selected_cs
from cryoparts.export.selected import write_selected
from cryoparts.export.trajectory import write_trajectory_cif
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particle_files.star import read_blocks
from cryoparts.states.trajectory import Trajectory


@pytest.fixture
def cs(tmp_path) -> Path:
    whole = Dataset.allocate(6, [("blob/path", "O"), ("alignments3D/pose", "f4", (3,))])
    whole["uid"] = np.array([2**63 + 5, 11, 12, 13, 14, 15], dtype=np.uint64)
    whole["blob/path"] = [f"stack{i}.mrc" for i in range(6)]
    whole["alignments3D/pose"] = np.arange(18, dtype=np.float32).reshape(6, 3)
    whole.save(str(tmp_path / "particles.cs"))
    return tmp_path / "particles.cs"


def test_rows_of_a_cs_file_are_found_by_uid_and_kept_whole(cs, tmp_path):
    names = ["13", str(2**63 + 5)]
    write_selected_cs(cs, names, tmp_path / "some.cs")
    some = Dataset.load(str(tmp_path / "some.cs"))
    assert some["uid"].tolist() == [2**63 + 5, 13], "the file's order is kept"
    assert list(some["blob/path"]) == ["stack0.mrc", "stack3.mrc"]
    np.testing.assert_array_equal(some["alignments3D/pose"], [[0, 1, 2], [9, 10, 11]])


def test_a_uid_that_the_cs_file_lacks_is_an_error_and_nothing_is_written(cs, tmp_path):
    with pytest.raises(InputError, match="lacks 1 of the 2 particles, 99 for one"):
        write_selected_cs(cs, ["11", "99"], tmp_path / "some.cs")
    with pytest.raises(InputError, match="not a cryoSPARC file"):
        write_selected_cs(tmp_path / "no.cs", ["11"], tmp_path / "some.cs")
    assert not list(tmp_path.glob("*some*"))


def test_a_selection_takes_the_format_of_the_run(run, tmp_path):
    folder = RunDirectory.open(run)
    names = ["000003@a.mrcs", "000005@my stacks/a.mrcs"]
    written = write_selected(folder, names, tmp_path / "chosen")
    assert written == tmp_path / "chosen.star"
    block = read_blocks(written)["particles"].read(["rlnImageName"])["rlnImageName"]
    assert block.tolist() == names


def test_a_trajectory_is_one_model_a_point(tmp_path):
    model = GaussianModel.of(np.arange(12).reshape(4, 3), [1, 2, 4, 4], np.full(4, 5.0))
    moved = np.zeros((3, 4, 3))
    moved[:, 3, 0] = [0.0, 2.5, 5.0]
    relative = np.ones((3, 4))
    relative[2, 2] = 0.25
    path = tmp_path / "trajectory.cif"
    trajectory = Trajectory(np.linspace(0, 1, 3), np.full(3, 7), relative, moved)
    write_trajectory_cif(path, model, trajectory, np.array([0, 0, -1, 1]))
    structure = gemmi.read_structure(str(path))
    assert len(structure) == 3
    assert [chain.name for chain in structure[0]] == ["unassigned", "core", "part_1"]
    arm = [next(iter(m["part_1"][0])) for m in structure]
    assert [atom.pos.x for atom in arm] == pytest.approx([9.0, 11.5, 14.0])
    assert [atom.b_iso for atom in arm] == [1, 1, 1]
    fading = [next(iter(m["unassigned"][0])) for m in structure]
    assert [atom.occ for atom in fading] == pytest.approx([1, 1, 0.25])
    assert not list(tmp_path.glob("*.partial*"))
