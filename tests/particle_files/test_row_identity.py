"""Every row has a name of its own and knows its image, whatever repeats in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryosparc.dataset import Dataset
from hypothesis import given
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.export.cryosparc import write_selected_cs
from cryoparts.export.relion import write_selected_star
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particle_files.row_identity import copy_names, image_numbers, row_names
from expanded_files import expanded_columns, expanded_star, save_columns

NAMES = st.lists(st.sampled_from(["a", "b", "c#1", "a#1", "a#2", "a##1", "c", "#1", ""]))


@given(NAMES)
def test_names_are_unique_and_start_with_the_images(images: list[str]) -> None:
    named = row_names(images).tolist()
    assert len(set(named)) == len(images)
    for image, name in zip(images, named, strict=True):
        assert name.startswith(image)
        if images.count(image) == 1:
            assert name == image


@given(NAMES)
def test_names_of_a_longer_file_are_told_from_the_rows_before(images: list[str]) -> None:
    """The k-th row of an image is its k-th, wherever other images' rows stand between."""
    plain = [image.replace("#", "-") for image in images]
    for row, name in enumerate(row_names(plain).tolist()):
        if plain.count(plain[row]) > 1:
            assert name == f"{plain[row]}#{plain[: row + 1].count(plain[row])}"


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.integers(1, 5))
def test_expanded_names_are_those_of_an_expanded_file(images: list[str], copies: int) -> None:
    assert copy_names(images, copies).tolist() == row_names(np.repeat(images, copies)).tolist()
    assert copy_names(images, 1).tolist() == images


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1))
def test_rows_of_one_place_share_their_image(places: list[tuple[int, int]]) -> None:
    # the first and the last are one file under two names
    paths = (Path("/x/a.mrcs"), Path("/x/b.mrcs"), Path("/x/y/../a.mrcs"))
    stack, slices = np.array(places).T
    number = image_numbers(paths, stack, slices)
    true = [(s % 2, n) for s, n in places]
    for i in range(len(true)):
        assert number[i] == list(dict.fromkeys(true)).index(true[i])


def test_an_expanded_star_file_is_read_by_row_and_image(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "s.mrcs", count=5)
    expanded_star(tmp_path / "p.star", "s.mrcs", 5, 3)
    table = read_particles(tmp_path / "p.star")
    assert (len(table), table.image_count) == (15, 5)
    assert table.names[:4].tolist() == [
        "000001@s.mrcs#1", "000001@s.mrcs#2", "000001@s.mrcs#3", "000002@s.mrcs#1",
    ]  # fmt: skip
    assert table.image.tolist() == np.repeat(np.arange(5), 3).tolist()
    assert table.image_names is not None
    assert table.image_names[3] == "000002@s.mrcs"
    some = table.take([14, 4, 12])
    assert some.names.tolist() == ["000005@s.mrcs#3", "000002@s.mrcs#2", "000005@s.mrcs#1"]
    assert some.image.tolist() == [0, 1, 0]
    write_relion(tmp_path / "again.star", table)
    assert read_particles(tmp_path / "again.star").names.tolist() == table.names.tolist()


def test_names_of_usual_files_stay_as_they_are(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "s.mrcs", count=5)
    expanded_star(tmp_path / "p.star", "s.mrcs", 5, 1)
    table = read_particles(tmp_path / "p.star")
    assert table.names.tolist() == [f"{i + 1:06d}@s.mrcs" for i in range(5)]
    assert table.image_names is None
    assert table.image.tolist() == list(range(5))


def test_rows_that_spell_one_image_in_two_ways_show_one_image(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "s.mrcs", count=5)
    lines = expanded_star(tmp_path / "p.star", "s.mrcs", 5, 2)
    text = (tmp_path / "p.star").read_text()
    (tmp_path / "p.star").write_text(text.replace(lines[1], lines[1].replace("000001@", "1@")))
    table = read_particles(tmp_path / "p.star")
    assert table.names[:2].tolist() == ["000001@s.mrcs", "1@s.mrcs"]
    assert table.image[:2].tolist() == [0, 0]


def test_cryosparc_rows_keep_their_uid_and_share_their_image(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs", count=5)
    columns = expanded_columns(5, 4)
    table = read_particles(save_columns(tmp_path / "p.cs", columns))
    assert table.names.tolist() == columns["uid"].astype(str).tolist()
    assert (len(table), table.image_count) == (20, 5)
    assert table.image_names is not None
    assert table.image_names[4] == "000002@J1/s.mrcs"
    # expanded by hand: uids repeat with their image
    repeated = columns | {"uid": columns["sym_expand/src_uid"]}
    table = read_particles(save_columns(tmp_path / "q.cs", repeated))
    assert table.names[:2].tolist() == [f"{10**15}#1", f"{10**15}#2"]


@pytest.mark.parametrize("copies", [1, 3])
def test_exports_write_the_chosen_rows_and_no_others(tmp_path: Path, copies: int) -> None:
    lines = expanded_star(tmp_path / "p.star", "s.mrcs", 6, copies)
    named = read_particles(tmp_path / "p.star", require_stacks=False).names
    chosen = [5, 0, 3, 4]
    write_selected_star(tmp_path / "p.star", named[chosen].tolist(), tmp_path / "out.star")
    written = (tmp_path / "out.star").read_text()
    assert [line for line in lines if line in written] == [lines[row] for row in sorted(chosen)]
    assert written.count("@s.mrcs") == 4
    with pytest.raises(InputError, match=r"lacks 1 of the 1 particles, 000001@s.mrcs#9 for one"):
        write_selected_star(tmp_path / "p.star", ["000001@s.mrcs#9"], tmp_path / "no.star")
    assert not (tmp_path / "no.star").exists()


@pytest.mark.parametrize("repeated", [False, True])
def test_cryosparc_exports_write_the_chosen_rows(
    tmp_path: Path, stack_maker, repeated: bool
) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs", count=5)
    columns = expanded_columns(5, 4)
    if repeated:
        columns["uid"] = columns["sym_expand/src_uid"]
    source = save_columns(tmp_path / "p.cs", columns)
    named = read_particles(source).names
    write_selected_cs(source, named[[7, 2, 9]].tolist(), tmp_path / "out.cs")
    written = Dataset.load(str(tmp_path / "out.cs"))
    np.testing.assert_array_equal(
        written["alignments3D/pose"], columns["alignments3D/pose"][[2, 7, 9]]
    )


def test_other_programs_expanded_files_are_told(reference_data: Path) -> None:
    folder = reference_data / "problem_files"
    star = read_particles(folder / "b08_symmetry_expanded.star")
    sparc = read_particles(folder / "c09_sym_expanded.cs", datadir=folder)
    for table in (star, sparc):
        assert (len(table), table.image_count) == (80, 40)
        assert len(set(table.names.tolist())) == 80
        assert table.image.tolist() == np.repeat(np.arange(40), 2).tolist()
    assert star.names[2] == "000002@p.mrcs#1"
    np.testing.assert_allclose(star.poses.rotation, sparc.poses.rotation, atol=1e-5)


def test_notes_tell_what_the_rows_share(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "s.mrcs", count=5)
    star = tmp_path / "p.star"
    lines = expanded_star(star, "s.mrcs", 5, 3)
    assert read_particles(star).notes == (
        "15 rows of 5 images: symmetry expanded? Halves, held-out particles and errors go by image",
    )
    expanded_star(star, "s.mrcs", 5, 3, halves=[1, 2, 2] + [1] * 6 + [2] * 6)
    assert read_particles(star).notes[1:] == (
        "1 images have rows in both half sets of the file: all rows of such an image are put into "
        "the half of its first, so that the halves share no image",
    )
    expanded_star(star, "s.mrcs", 5, 3)
    text = star.read_text()
    star.write_text(text.replace(lines[-1], lines[-1] + lines[-1]))
    assert read_particles(star).notes[1:] == (
        "1 rows have image and orientation of another row: the same particle twice",
    )
