"""Exports of runs from cryoSPARC and EMAN2: what each program needs beside the chosen rows."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from cryosparc.dataset import Dataset

from cryoparts.config import RunConfig
from cryoparts.errors import InputError
from cryoparts.export.classes import Classes
from cryoparts.io.run_directory import RunDirectory
from cryoparts.pipeline.exports.particles import export_particles, own_program
from cryoparts.run.run import Run


def dataset(path, uid, **columns):
    made = Dataset({"uid": np.array(uid, dtype=np.uint64)} | columns)
    made.save(str(path))
    return path


@pytest.fixture
def run(tmp_path) -> Run:
    uid = [11, 12, 13, 14]
    main = dataset(
        tmp_path / "J1_particles.cs", uid, **{"alignments3D/pose": np.zeros((4, 3), np.float32)}
    )
    beside = dataset(
        tmp_path / "J1_passthrough.cs", uid[::-1],
        **{"blob/idx": np.array([3, 2, 1, 0], np.uint32), "ctf/df1_A": np.ones(4, np.float32)},
    )  # fmt: skip
    config = RunConfig(particles=str(main), model="m.mrc", passthrough=(str(beside),))
    return Run(RunDirectory.create(tmp_path / "run", config, []))


CLASSES = Classes("part_1", "state", np.array(["14", "11", "12"]), np.array([2, 1, 1]))


def test_columns_of_passthrough_files_go_along_and_are_found_by_uid(run, tmp_path):
    (made,) = export_particles(run, [CLASSES], ["cryosparc"], tmp_path / "out")
    folder = tmp_path / "out" / "cryosparc"
    assert [path.name for path in made.files] == [
        "part_1.cs", "part_1_state_1.cs", "part_1_state_2.cs",
    ]  # fmt: skip
    assert made.particles == (3, 2, 1)
    whole = Dataset.load(str(folder / "part_1.cs"))
    assert whole["uid"].tolist() == [11, 12, 14]
    assert whole["alignments3D/class"].tolist() == [0, 0, 1]
    beside = Dataset.load(str(folder / "part_1_passthrough_1.cs"))
    assert dict(zip(beside["uid"].tolist(), beside["blob/idx"].tolist(), strict=True)) == {
        14: 3, 12: 1, 11: 0,
    }  # fmt: skip
    group = yaml.safe_load((folder / "part_1_state_2.csg").read_text())["results"]
    assert set(group) == {"alignments3D", "blob", "ctf"}
    assert group["blob"]["metafile"] == ">part_1_state_2_passthrough_1.cs"
    assert {slot["num_items"] for slot in group.values()} == {1}


def test_a_list_of_eman2_cannot_be_made_of_others(run, tmp_path):
    assert own_program(run) == "cryosparc"
    with pytest.raises(InputError, match="e2convertrelion"):
        export_particles(run, [CLASSES], ["eman2"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lines_of_a_list_are_those_of_the_states(tmp_path):
    source = tmp_path / "all.lst"
    rows = [f"{i}\tstack.hdf\t{{}}" for i in range(4)]
    source.write_text("\n".join(["#LSX", "# comment", "# 20", *rows]) + "\n")
    config = RunConfig(particles=str(source), model="m.mrc")
    run = Run(RunDirectory.create(tmp_path / "run", config, []))
    names = np.array([f"{i}@stack.hdf" for i in range(4)])
    classes = Classes("part_1", "state", names, np.array([1, 2, 1, 2]))
    export_particles(run, [classes], ["eman2"], tmp_path / "out")
    second = (tmp_path / "out" / "eman2" / "part_1_state_2.lst").read_text().splitlines()
    assert second == ["#LSX", "# comment", "# 20", rows[1], rows[3]]
