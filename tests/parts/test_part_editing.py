from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.config import RunConfig
from cryoparts.errors import InputError
from cryoparts.io.mrc import write_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.edit_history import apply_edit, read_edits, undo_edits
from cryoparts.parts.part_editing import add, members_in_mask, merge, remove, rename, split
from cryoparts.parts.part_labels import PartLabels


def made(labels, names=()):
    rng = np.random.default_rng(0)
    count = len(labels)
    positions = rng.normal(size=(count, 3)) + 20 * np.asarray(labels)[:, None]
    return PartLabels(
        np.asarray(labels), rng.normal(size=(count, 2)), positions,
        rng.random(count), rng.random(count), "pca", names,
    )  # fmt: skip


@pytest.fixture
def parts():
    return made(
        np.repeat([0, 1, 2, 3, -1], [20, 12, 10, 8, 5]), ("core", "part_1", "arm", "part_3")
    )


def test_merged_parts_take_the_first_ones_place_and_the_rest_move_up(parts):
    edit = merge(parts, [1, 2])
    assert edit.labels.names == ("core", "part_1", "part_2")
    np.testing.assert_array_equal(edit.labels.members(1), parts.members(1) | parts.members(2))
    np.testing.assert_array_equal(edit.labels.members(2), parts.members(3))
    assert edit.kept == {3: 2}
    assert merge(parts, [2, 3]).labels.names == ("core", "part_1", "arm")
    assert merge(parts, [3, 2], "both").labels.names == ("core", "part_1", "both")
    into_core = merge(parts, [2, 0])
    np.testing.assert_array_equal(into_core.labels.members(0), parts.members(0) | parts.members(2))
    with pytest.raises(InputError, match="two parts"):
        merge(parts, [2, 2])


def test_the_largest_piece_of_a_split_keeps_number_and_name(parts):
    positions = parts.positions.copy()
    positions[32:36] += 100
    apart = PartLabels(
        parts.labels, parts.embedding, positions, parts.amplitude_change,
        parts.displacement_rms_angstrom, "pca", parts.names,
    )  # fmt: skip
    edit = split(apart, 2, into=2, by="place")
    assert edit.labels.names == ("core", "part_1", "arm", "part_3", "part_4")
    np.testing.assert_array_equal(np.flatnonzero(edit.labels.members(4)), np.arange(32, 36))
    assert edit.labels.members(2).sum() == 6
    assert edit.kept == {1: 1, 3: 3}
    by_change = split(apart, 2, into=3, by="change").labels
    assert by_change.n_parts == 5
    with pytest.raises(InputError, match="from 2 to the part's 10"):
        split(parts, 2, into=11)


def test_an_added_part_takes_gaussians_from_others(parts):
    members = np.zeros(55, dtype=bool)
    members[30:42] = True  # two of part_1, all of arm
    edit = add(parts, members, "leg", "A:1-12")
    assert edit.labels.names == ("core", "part_1", "part_2", "leg")
    np.testing.assert_array_equal(edit.labels.members(3), members)
    assert edit.kept == {3: 2}
    assert add(parts, members, None, "A:1-12").labels.names[3] == "part_3"
    with pytest.raises(InputError, match="no Gaussian"):
        add(parts, np.zeros(55, dtype=bool), None, "mask.mrc")


def test_removed_parts_go_to_the_core_or_nowhere(parts):
    core = remove(parts, 1).labels
    assert core.members(0).sum() == 32
    assert core.names == ("core", "arm", "part_2")
    nowhere = remove(parts, 1, to_core=False).labels
    assert (nowhere.members(0).sum(), nowhere.members(-1).sum()) == (20, 17)
    assert remove(made([0, 0, 1]), 1).labels.n_parts == 0


def test_names(parts):
    edit = rename(parts, 3, "NBD1")
    assert edit.labels.names == ("core", "part_1", "arm", "NBD1")
    assert edit.kept == {1: 1, 2: 2, 3: 3}
    assert [edit.labels.part_number(n) for n in ("NBD1", "part_3", "part3", "3")] == [3] * 4
    assert (parts.name(0), parts.name(-1), parts.name(2)) == ("core", "unassigned", "arm")
    for wrong in ("core", "part_7", "Part3", "7", "L1 stalk", "a,b", "", "x" * 41):
        with pytest.raises(InputError, match="cannot be called"):
            rename(parts, 3, wrong)
    with pytest.raises(InputError, match="another part"):
        rename(parts, 3, "arm")
    assert rename(parts, 2, "arm").labels.names == parts.names


def test_names_are_saved_and_older_runs_have_none(parts, tmp_path):
    parts.save(tmp_path)
    assert PartLabels.load(tmp_path).names == parts.names
    table = (tmp_path / "parts.csv").read_text().splitlines()
    assert table[0].startswith("part,name,gaussians")
    rows = [line.split(",") for line in table]
    (tmp_path / "parts.csv").write_text("\n".join(",".join(r[:1] + r[2:]) for r in rows))
    assert PartLabels.load(tmp_path).names == ("core", "part_1", "part_2", "part_3")


@settings(max_examples=15, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 3), min_size=8, max_size=40),
    edits=st.lists(st.sampled_from(["merge", "split", "add", "remove"]), min_size=1, max_size=4),
)
def test_edits_lose_no_gaussian_and_leave_no_gap(labels, edits):
    parts = made(np.unique([*labels, 0, 1, 2], return_inverse=True)[1] - (-1 in labels))
    rng = np.random.default_rng(1)
    for edit in edits:
        before = parts
        if edit == "add":
            result = add(parts, rng.random(len(parts)) < 0.3, None, "mask") if len(parts) else None
        elif parts.n_parts < 2:
            continue
        elif edit == "merge":
            result = merge(parts, [1, 2])
        elif edit == "split" and parts.members(1).sum() >= 2:
            result = split(parts, 1)
        else:
            result = remove(parts, 1)
        if result is None or not (result.labels.labels != before.labels).any():
            continue
        parts = result.labels
        assert len(parts) == len(before)
        present = np.unique(parts.labels[parts.labels > 0])
        np.testing.assert_array_equal(present, np.arange(1, parts.n_parts + 1))
        for old, new in result.kept.items():
            np.testing.assert_array_equal(before.members(old), parts.members(new))


def test_gaussians_in_a_mask_whatever_its_sampling_and_header(tmp_path):
    """The middle voxel D // 2 is the origin, as in RELION."""
    positions = np.array([[0.0, 0, 0], [20, 0, 0], [0, 0, -20]])
    for size, voxel in ((32, 4.0), (64, 2.0)):
        density = np.zeros((size, size, size))
        middle, reach = size // 2, round(8 / voxel)
        x = middle + round(20 / voxel)
        density[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1,
                x - reach : x + reach + 1] = 1  # fmt: skip
        write_map(tmp_path / "mask.mrc", density, voxel, (7, 7, 7))
        inside = members_in_mask(positions, tmp_path / "mask.mrc", 128.0)
        np.testing.assert_array_equal(inside, [False, True, False])
    with pytest.raises(InputError, match=r"128\.0 x 128\.0 x 128\.0 Å, the particles' 256\.0"):
        members_in_mask(positions, tmp_path / "mask.mrc", 256.0)


@pytest.fixture
def run(tmp_path, parts):
    run = RunDirectory.create(tmp_path / "run", RunConfig("p.star", "m.mrc"), [])
    parts.save(run.parts_path)
    run.motion_path.mkdir()
    for part in (1, 2, 3):
        for path in (run.focus_path(part), run.reconstruction_path(part)):
            path.mkdir(parents=True)
            (path / "who").write_text(f"{part}")
        (run.motion_path / f"part_{part}.csv").write_text(f"{part}")
    (run.root / "focus" / "part_1+part_2").mkdir()
    (run.motion_path / "motions.json").write_text("{}")
    (run.root / "composition").mkdir()
    return run


def test_results_of_changed_parts_go_and_others_follow_their_number(run, parts):
    told = apply_edit(run, parts, merge(parts, [1, 2]), "cryoparts edit-parts run merge 1 2")
    assert {"focus/part_1", "reconstruction/part_2", "motion/part_1.csv", "composition",
            "motion/motions.json", "focus/part_1+part_2"} <= set(told.removed)  # fmt: skip
    assert "focus/part_3 -> focus/part_2" in told.moved
    assert sorted(p.name for p in (run.root / "focus").iterdir()) == ["part_2"]
    assert (run.focus_path(2) / "who").read_text() == "3"
    assert (run.motion_path / "part_2.csv").read_text() == "3"
    assert not list(run.root.rglob(".moving*"))


def test_a_new_name_makes_nothing_out_of_date(run, parts):
    told = apply_edit(run, parts, rename(parts, 2, "leg"), "...")
    assert (told.removed, told.moved) == ((), ())
    assert (run.focus_path(2) / "who").exists()
    assert PartLabels.load(run.parts_path).name(2) == "leg"


def test_edits_are_recorded_and_taken_back(run, parts):
    labels = parts
    for edit in (rename(labels, 1, "head"),):
        apply_edit(run, labels, edit, "first")
    labels = PartLabels.load(run.parts_path)
    apply_edit(run, labels, remove(labels, 2), "second")
    labels = PartLabels.load(run.parts_path)
    apply_edit(run, labels, split(labels, 1), "third")
    assert [e["command"] for e in read_edits(run.parts_path)] == ["first", "second", "third"]
    undo_edits(run, every=False)
    assert PartLabels.load(run.parts_path).names == ("core", "head", "part_2")
    np.testing.assert_array_equal(PartLabels.load(run.parts_path).labels, labels.labels)
    undo_edits(run, every=True)
    back = PartLabels.load(run.parts_path)
    np.testing.assert_array_equal(back.labels, parts.labels)
    assert back.names == parts.names
    assert not read_edits(run.parts_path)
    with pytest.raises(InputError, match="no edit"):
        undo_edits(run, every=False)
