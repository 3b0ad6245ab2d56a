"""Particles of states as RELION, cryoSPARC, EMAN2 and cryoDRGN read them: read back equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from cryosparc.dataset import Dataset

from cryoparts.errors import InputError
from cryoparts.export.classes import Classes, selection_as_class, states_as_classes
from cryoparts.export.cryodrgn import (
    require_one_row_an_image,
    write_ctf,
    write_indices,
    write_latent,
    write_poses,
)
from cryoparts.export.cryosparc import write_result_group, write_selected_cs
from cryoparts.export.eman2 import write_selected_lst
from cryoparts.export.relion import write_selected_star
from cryoparts.io.pickles import read_arrays
from cryoparts.particle_files.assembly import ReadOptions
from cryoparts.particle_files.cryodrgn import read_cryodrgn
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particle_files.row_identity import row_names
from cryoparts.states.focus import FocusedParticles

RELION_FILES = [
    "formats/relion31.6opticsgroups.star",
    "formats/relion5.star",
    "formats/run_it016_data.star",
    "particles/relion30_31_sample/sample_particles_relion30.star",
]
CS_FILES = ["cryosparc_P9_J209_000_particles.cs", "cryosparc_P12_J24_001_particles.cs"]


def starfile():
    """Another program's reader; the test is skipped, visibly, without it."""
    return pytest.importorskip("starfile")


def particles_of(blocks):
    if not isinstance(blocks, dict):
        return blocks, {}
    name = next(n for n, b in blocks.items() if "rlnImageName" in getattr(b, "columns", ()))
    return blocks[name], {n: b for n, b in blocks.items() if n != name}


@pytest.mark.parametrize("file", RELION_FILES)
def test_starfile_reads_a_star_of_classes_as_the_source_but_for_the_class(
    reference_data, tmp_path, file
):
    source = reference_data / file
    before, others = particles_of(starfile().read(source, always_dict=True))
    names = row_names(before["rlnImageName"].to_numpy(dtype=str))
    chosen = names[::3]
    classes = {name: 1 + i % 4 for i, name in enumerate(chosen.tolist())}
    write_selected_star(source, chosen.tolist(), tmp_path / "out.star", classes=classes)
    after, others_after = particles_of(starfile().read(tmp_path / "out.star", always_dict=True))
    assert after["rlnClassNumber"].tolist() == [classes[name] for name in chosen.tolist()]
    kept = before[np.isin(names, chosen)].reset_index(drop=True)
    same = [column for column in before.columns if column != "rlnClassNumber"]
    assert after[same].equals(kept[same])
    assert list(after.columns)[: len(before.columns)] == list(before.columns)
    assert sorted(others) == sorted(others_after)
    for name, block in others.items():
        assert block.equals(others_after[name]) if hasattr(block, "equals") else True


def test_nothing_but_the_class_changes_in_a_row(run, tmp_path):
    source = run.parent / "job" / "particles.star"
    chosen = ["000003@a.mrcs", "000005@my stacks/a.mrcs"]
    write_selected_star(source, chosen, tmp_path / "a.star")
    write_selected_star(source, chosen, tmp_path / "b.star", classes={chosen[0]: 7, chosen[1]: 8})
    plain = (tmp_path / "a.star").read_text().splitlines()
    classed = (tmp_path / "b.star").read_text().splitlines()
    tag = next(line for line in classed if line.startswith("_rlnClassNumber"))
    assert tag == "_rlnClassNumber #5"
    assert classed[classed.index(tag) - 1].startswith("_rlnAngleRot")
    classed.remove(tag)
    changed = [(a, b) for a, b in zip(plain, classed, strict=True) if a != b]
    assert [b.split()[-1] for _, b in changed] == ["7", "8"]
    assert all(b.rstrip().startswith(a.rstrip()) for a, b in changed)


@pytest.mark.parametrize("file", CS_FILES)
def test_cryosparc_tools_read_the_class_and_all_else_unchanged(reference_data, tmp_path, file):
    source = reference_data / "formats" / file
    whole = Dataset.load(str(source))
    names = whole["uid"].astype(str)
    chosen = names[5::7]
    classes = {name: 1 + i % 3 for i, name in enumerate(chosen.tolist())}
    target = tmp_path / "out.cs"
    write_selected_cs(source, chosen.tolist(), target, classes=classes)
    after, kept = Dataset.load(str(target)), whole.mask(np.isin(names, chosen))
    uid = after["uid"].astype(str).tolist()
    assert after["alignments3D/class"].tolist() == [classes[u] - 1 for u in uid]
    assert after["alignments3D/class"].dtype == np.uint32
    assert set(after["alignments3D/class_posterior"]) == {1.0}
    changed = ("alignments3D/class", "alignments3D/class_posterior", "alignments3D/class_ess")
    for column in whole:
        if column not in changed:
            np.testing.assert_array_equal(after[column], kept[column])
    write_result_group(tmp_path / "out.csg", [target], "states of part 1")
    group = yaml.safe_load((tmp_path / "out.csg").read_text())
    assert {"blob", "ctf", "alignments3D"} <= set(group["results"])
    blob = group["results"]["blob"]
    assert blob == {"metafile": ">out.cs", "num_items": len(chosen), "type": "particle.blob"}


def test_a_cs_file_without_alignments_gets_a_class_column(reference_data, tmp_path):
    source = reference_data / "particles" / "empiar_10076" / "empiar_10076_7.cs"
    names = Dataset.load(str(source))["uid"].astype(str).tolist()
    write_selected_cs(source, names, tmp_path / "a.cs", classes=dict.fromkeys(names, 2))
    assert set(Dataset.load(str(tmp_path / "a.cs"))["alignments3D/class"]) == {1}


def test_lines_of_a_list_of_eman2_keep_their_length(reference_data, tmp_path):
    source = reference_data / "formats" / "aliptcls2d_example.lst"
    lines = source.read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    names = [f"{int(line.split()[0])}@{line.split(chr(9))[1]}" for line in rows]
    unique = list(dict.fromkeys(names))
    assert len(unique) == len(names)
    write_selected_lst(source, unique[1::2], tmp_path / "out.lst")
    written = (tmp_path / "out.lst").read_text().splitlines()
    assert written == [*lines[: len(lines) - len(rows)], *rows[1::2]]
    with pytest.raises(InputError, match="lacks 1 of the 1"):
        write_selected_lst(source, ["9@nothing.hdf"], tmp_path / "no.lst")
    assert not (tmp_path / "no.lst").exists()


def test_cryodrgn_s_files_give_the_particles_back(reference_data, tmp_path):
    folder = reference_data / "particles" / "relion30_31_sample"
    table = read_particles(folder / "sample_particles_relion31.star", datadir=folder)
    stack = table.stack_paths[0]
    table = table.take(np.argsort(table.slice_in_stack))
    write_poses(tmp_path / "poses.pkl", table)
    write_ctf(tmp_path / "ctf.pkl", table)
    again = read_cryodrgn(stack, tmp_path / "poses.pkl", tmp_path / "ctf.pkl")
    assert len(again) == len(table)
    np.testing.assert_allclose(again.poses.rotation, table.poses.rotation, atol=1e-6)
    np.testing.assert_allclose(again.poses.shift_angstrom, table.poses.shift_angstrom, atol=1e-3)
    for name in ("defocus_u_angstrom", "voltage_kv", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(again.ctf, name), getattr(table.ctf, name), rtol=1e-5)
    np.testing.assert_allclose(again.pixel_size_angstrom, table.pixel_size_angstrom, rtol=1e-6)


def test_poses_of_cryodrgn_s_own_projections_come_back(reference_data, tmp_path):
    folder = reference_data / "particles" / "cryodrgn_hand"
    given = read_arrays(folder / "hand_rot_trans.pkl", "")
    table = read_cryodrgn(
        folder / "hand.mrcs",
        folder / "hand_rot_trans.pkl",
        options=ReadOptions(without_ctf=True, pixel_size_angstrom=2.0),
    )
    write_poses(tmp_path / "poses.pkl", table)
    for ours, theirs in zip(read_arrays(tmp_path / "poses.pkl", ""), given, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_latent_vectors_and_indices_are_plain_arrays(tmp_path):
    write_latent(tmp_path / "z.pkl", np.arange(6.0).reshape(3, 2))
    write_indices(tmp_path / "ind.pkl", np.array([4, 0, 7]))
    (z,), (rows,) = (read_arrays(tmp_path / name, "") for name in ("z.pkl", "ind.pkl"))
    assert z.dtype == np.float32
    assert z.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert rows.tolist() == [4, 0, 7]


def test_rows_that_share_images_are_refused_for_cryodrgn(reference_data):
    folder = reference_data / "particles" / "relion30_31_sample"
    table = read_particles(folder / "sample_particles_relion31.star", datadir=folder)
    require_one_row_an_image(table)
    twice = replace(
        table.take([0, 0]),
        names=np.array(["a#1", "a#2"]),
        image_names=np.array(["a", "a"]),
    )
    with pytest.raises(InputError, match="share images"):
        require_one_row_an_image(twice)


def test_particles_of_other_programs_become_a_star_file_with_classes(reference_data, tmp_path):
    folder = reference_data / "particles" / "relion30_31_sample"
    table = read_particles(folder / "sample_particles_relion31.star", datadir=folder)
    write_relion(tmp_path / "out.star", table.take([1, 4]), np.array([2, 1]))
    blocks = starfile().read(tmp_path / "out.star", always_dict=True)
    assert blocks["particles"]["rlnClassNumber"].tolist() == [2, 1]
    again = read_particles(tmp_path / "out.star", datadir=folder)
    np.testing.assert_allclose(again.poses.rotation, table.poses.rotation[[1, 4]], atol=1e-6)


def test_a_file_of_all_states_and_one_of_each(run):
    focused = FocusedParticles.load(run / "focus" / "part_1")
    classes = states_as_classes("part_1", focused)
    files = classes.files()
    assert list(files) == ["part_1", "part_1_state_1", "part_1_state_2"]
    assert sorted(files["part_1"]) == sorted(focused.names)
    assert set(files["part_1_state_2"]) == set(focused.names[focused.states == 2])
    assert classes.by_name[focused.names[0]] == focused.states[0]
    one = selection_as_class("good", focused.names[:3])
    assert list(one.files()) == ["good"]


def test_particles_in_no_state_are_left_out():
    names = np.array(["a", "b", "c"])
    focused = FocusedParticles(
        names, np.zeros((3, 2)), np.array([1, 0, 2]), np.zeros(3), np.ones(3), np.zeros(3),
        "clusters", "found",
    )  # fmt: skip
    assert isinstance(states_as_classes("p", focused), Classes)
    assert states_as_classes("p", focused).names.tolist() == ["a", "c"]
