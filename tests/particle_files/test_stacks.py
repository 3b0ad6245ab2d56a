"""Rules that hold for the stacks of every format."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cryoparts.errors import InputError
from cryoparts.io.files import locate_stacks
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion import write_relion


@pytest.fixture
def star(tmp_path: Path, stack_maker, table_maker) -> Path:
    """A star file in job/ that names its stack s.mrcs."""
    stack = stack_maker(tmp_path / "job" / "s.mrcs")
    write_relion(tmp_path / "job" / "p.star", table_maker(stack))
    return tmp_path / "job" / "p.star"


def test_a_stack_is_found_wherever_a_project_keeps_it(tmp_path: Path, stack_maker) -> None:
    source = tmp_path / "Refine3D" / "job7" / "p.star"
    source.parent.mkdir(parents=True)
    name = "Extract/job1/m.mrcs"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for place in (moved / "m.mrcs", moved / name, source.parent / "m.mrcs", tmp_path / name):
        made = stack_maker(place)
        assert locate_stacks([name], source, moved if moved in place.parents else None) == (made,)
        made.unlink()
    made = stack_maker(tmp_path / "abs.mrcs")
    assert locate_stacks([str(made)], source, None) == (made,)


def test_a_missing_stack_says_where_it_was_looked_for(star: Path) -> None:
    (star.parent / "s.mrcs").unlink()
    with pytest.raises(InputError, match=r"s\.mrcs was not found; looked for") as caught:
        read_particles(star)
    assert str(star.parent / "s.mrcs") in caught.value.problem
    assert "--datadir" in caught.value.cure
    assert len(read_particles(star, require_stacks=False)) == 4


def test_datadir_must_be_a_folder(star: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        read_particles(star, datadir=star.parent / "nowhere")


def test_a_stack_shorter_than_the_table_is_refused(star: Path, stack_maker) -> None:
    stack_maker(star.parent / "s.mrcs", count=2)
    with pytest.raises(InputError, match=r"asks for image 3 .* which has 2 \(2 such rows\)"):
        read_particles(star)


def test_a_box_that_contradicts_the_table_is_refused(star: Path, stack_maker) -> None:
    stack_maker(star.parent / "s.mrcs", box=20)
    with pytest.raises(InputError, match="a box of 16 pixels"):
        read_particles(star)


def test_an_odd_box_is_refused(tmp_path: Path, stack_maker, table_maker) -> None:
    stack = stack_maker(tmp_path / "s.mrcs", box=15)
    write_relion(tmp_path / "p.star", table_maker(stack, box=15))
    with pytest.raises(InputError, match="must be even, it is 15") as caught:
        read_particles(tmp_path / "p.star")
    assert "even box" in caught.value.cure


@pytest.mark.parametrize("header", [2.5, 2.51, 0.0, 1.0])
def test_pixel_sizes_that_agree_or_are_unset_pass(star: Path, stack_maker, header: float) -> None:
    stack_maker(star.parent / "s.mrcs", pixel=header)
    assert set(read_particles(star).pixel_size_angstrom) == {2.5}


def test_a_contradicting_pixel_size_is_refused_and_can_be_overridden(
    star: Path, stack_maker
) -> None:
    stack_maker(star.parent / "s.mrcs", pixel=2.6)
    with pytest.raises(InputError, match=r"2\.5 Å.*2\.6 Å") as caught:
        read_particles(star)
    assert "--pixel-size" in caught.value.cure
    assert set(read_particles(star, pixel_size_angstrom=2.6).pixel_size_angstrom) == {2.6}


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_pixel_size_given_must_be_positive(star: Path, value: float) -> None:
    with pytest.raises(InputError, match="must be positive"):
        read_particles(star, pixel_size_angstrom=value)


@pytest.mark.parametrize(
    ("name", "problem"), [("p.xyz", "no particle format"), ("p", "without suffix")]
)
def test_unknown_formats_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=problem):
        read_particles(tmp_path / name)


@pytest.mark.parametrize("suffix", [".star", ".cs", ".lst", ".mrcs", ".txt"])
def test_empty_absent_and_foreign_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    with pytest.raises(InputError, match="no such file"):
        read_particles(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_particles(path)
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError, match=r"[Nn]ot "):
        read_particles(path)


def test_passthrough_belongs_to_cryosparc(star: Path) -> None:
    with pytest.raises(InputError, match="belongs to a cryoSPARC"):
        read_particles(star, passthrough=star)


def test_a_projection_set_needs_no_ctf_when_told_so(star: Path) -> None:
    ctf = read_particles(star, without_ctf=True).ctf
    assert set(ctf.amplitude_contrast) == {1.0}
    assert set(ctf.defocus_u_angstrom) == {0.0}


def renamed(star: Path, old: str, new: str) -> Path:
    star.write_text(star.read_text().replace(old, new))
    return star


def test_two_stacks_that_fall_back_to_one_file_are_both_named(star: Path, stack_maker) -> None:
    renamed(star, "000001@s.mrcs", "000001@a/s.mrcs")
    renamed(star, "000002@s.mrcs", "000002@b/s.mrcs")
    with pytest.raises(InputError, match=r"a/s\.mrcs and b/s\.mrcs are two stacks") as caught:
        read_particles(star)
    assert "--datadir" in caught.value.cure
    for folder in "ab":
        stack_maker(star.parent / folder / "s.mrcs")
    assert len({p.parent.name for p in read_particles(star).stack_paths}) == 3


def test_two_names_of_one_file_in_its_place_are_one_stack(star: Path) -> None:
    table = read_particles(renamed(star, "000001@s.mrcs", "000001@../job/s.mrcs"))
    assert table.image_count == 4


@pytest.mark.parametrize(("recorded", "there"), [("s.mrcs", "s.mrc"), ("s.mrc", "s.mrcs")])
def test_the_other_suffix_of_stacks_is_understood_and_said(
    star: Path, stack_maker, recorded: str, there: str
) -> None:
    (star.parent / "s.mrcs").unlink()
    stack_maker(star.parent / there)
    table = read_particles(renamed(star, "@s.mrcs", f"@{recorded}"))
    assert [p.name for p in table.stack_paths] == [there]
    assert any("another suffix" in note and there in note for note in table.notes)


def test_relions_way_to_say_that_a_file_is_a_stack(star: Path, stack_maker) -> None:
    (star.parent / "s.mrcs").unlink()
    stack_maker(star.parent / "s.mrc")
    table = read_particles(renamed(star, "@s.mrcs", "@s.mrc:mrcs"))
    assert [p.name for p in table.stack_paths] == ["s.mrc"]
    assert not table.notes


@pytest.mark.parametrize("named", ["s.mrcs", "s.mrcs.gz"])
def test_compressed_stacks_are_told_as_such(star: Path, named: str) -> None:
    stack = star.parent / "s.mrcs"
    (star.parent / "s.mrcs.gz").write_bytes(gzip.compress(stack.read_bytes()))
    stack.unlink()
    with pytest.raises(InputError, match="compressed") as caught:
        read_particles(renamed(star, "@s.mrcs", f"@{named}"))
    assert "gunzip" in caught.value.cure
