from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import rotation_from_euler
from cryoparts.errors import InputError
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion import read_relion, write_relion
from cryoparts.particle_files.star import read_blocks

OLD = """
data_{block}

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginX #5
_rlnOriginY #6
_rlnDefocusU #7
_rlnDefocusV #8
_rlnDefocusAngle #9
_rlnVoltage #10
_rlnSphericalAberration #11
_rlnAmplitudeContrast #12
_rlnMagnification #13
_rlnDetectorPixelSize #14
_rlnMicrographName #15
000003@s.mrcs 10 20 30 2 -1 15000 14000 40 300 2.7 0.1 40000 10 data_2020/mic_1.mrc
000001@s.mrcs 40 50 60 0 0 15000 14000 40 300 2.7 0.1 40000 10 data_2020/mic_1.mrc
"""

TWO_GROUPS = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
_rlnImageSize #6
4 300 2.7 0.1 1.5 16
2 200 2.0 0.07 1.25 20

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
_rlnRandomSubset #11
2@b.mrcs 2 0 0 0 3 4 10000 9000 5 2
1@a.mrcs 4 0 0 0 5 6 20000 19000 7 1
"""


@pytest.mark.parametrize("block", ["particles", "images", "", "model_class_1"])
def test_relion_30_takes_pixel_and_shift_from_its_own_columns(
    tmp_path: Path, stack_maker, block: str
) -> None:
    stack_maker(tmp_path / "s.mrcs")
    path = tmp_path / "p.star"
    path.write_text(OLD.format(block=block))
    table = read_relion(path)
    # 10 µm at 40,000 x is 2.5 Å.
    np.testing.assert_allclose(table.pixel_size_angstrom, 2.5)
    np.testing.assert_allclose(table.poses.shift_angstrom, [[-5.0, 2.5], [0, 0]])
    np.testing.assert_allclose(table.poses.rotation[1], rotation_from_euler(40, 50, 60))
    assert table.slice_in_stack.tolist() == [2, 0]
    assert table.names.tolist() == ["000003@s.mrcs", "000001@s.mrcs"]
    assert table.box_size.tolist() == [16, 16]


def test_optics_groups_are_joined_by_number(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "a.mrcs", box=16, pixel=1.5)
    stack_maker(tmp_path / "b.mrcs", box=20, pixel=1.25)
    path = tmp_path / "p.star"
    path.write_text(TWO_GROUPS)
    table = read_particles(path)
    assert table.pixel_size_angstrom.tolist() == [1.25, 1.5]
    assert table.box_size.tolist() == [20, 16]
    assert table.ctf.voltage_kv.tolist() == [200, 300]
    assert table.ctf.spherical_aberration_mm.tolist() == [2.0, 2.7]
    assert table.optics_group.tolist() == [2, 4]
    assert table.half_set.tolist() == [2, 1]
    assert [p.name for p in table.stack_paths] == ["b.mrcs", "a.mrcs"]
    np.testing.assert_allclose(table.poses.shift_angstrom, [[-3, -4], [-5, -6]])


def same(a: ParticleTable, b: ParticleTable) -> None:
    assert a.names.tolist() == b.names.tolist()
    np.testing.assert_allclose(a.poses.rotation, b.poses.rotation, atol=1e-7)
    np.testing.assert_allclose(a.poses.shift_angstrom, b.poses.shift_angstrom, rtol=1e-8)
    for name in a.ctf.__dataclass_fields__:
        np.testing.assert_allclose(getattr(a.ctf, name), getattr(b.ctf, name), rtol=1e-8)
    for name in ("pixel_size_angstrom", "box_size", "half_set", "slice_in_stack"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-8)


def test_written_table_reads_back(tmp_path: Path, stack_maker, table_maker) -> None:
    table = table_maker(stack_maker(tmp_path / "s.mrcs"))
    write_relion(tmp_path / "o.star", table)
    again = read_relion(tmp_path / "o.star")
    same(table, again)
    write_relion(tmp_path / "o2.star", again)
    assert (tmp_path / "o2.star").read_text() == (tmp_path / "o.star").read_text()


def test_groups_that_differ_within_get_numbers_of_their_own(
    tmp_path: Path, stack_maker, table_maker
) -> None:
    from dataclasses import replace

    table = table_maker(stack_maker(tmp_path / "s.mrcs"))
    mixed = replace(table, pixel_size_angstrom=np.array([2.5, 2.51, 2.5, 2.51]))
    write_relion(tmp_path / "o.star", mixed)
    again = read_relion(tmp_path / "o.star")
    same(mixed, again)
    assert len(set(again.optics_group)) == 2


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.floats(-179, 179), st.floats(0.5, 179.5), st.floats(-179, 179)),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    st.floats(1e-7, 5e4),
)
def test_round_trip_keeps_nine_digits(
    tmp_path_factory, table_maker, angles, shift, defocus
) -> None:
    from dataclasses import replace

    from cryoparts.conventions import Poses
    from cryoparts.particle_files.assembly import ReadOptions

    folder = tmp_path_factory.mktemp("star")
    table = table_maker(folder / "s.mrcs", count=1)
    table = replace(
        table,
        poses=Poses(rotation_from_euler(*angles)[None], np.array([shift])),
        ctf=replace(table.ctf, defocus_u_angstrom=np.array([defocus])),
    )
    write_relion(folder / "o.star", table)
    same(table, read_relion(folder / "o.star", ReadOptions(require_stacks=False)))


def test_values_that_look_like_blocks_are_values(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text(
        "data_a\nloop_\n_x #1\n_y #2\ndata_1/m.mrc 1\nloop_/b 2\n\ndata_b\n_z 3 # note\n"
    )
    blocks = read_blocks(path)
    assert list(blocks) == ["a", "b"]
    assert blocks["a"].read(["x"])["x"].tolist() == ["data_1/m.mrc", "loop_/b"]
    assert blocks["b"].values == {"z": "3"}


def test_comments_among_the_rows_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text("data_a\nloop_\n_x #1\n\n1\n# two follows\n2\n\n3\n# end\ndata_b\n_z 3\n")
    assert read_blocks(path)["a"].read(["x"])["x"].tolist() == [1, 2, 3]


def test_names_that_other_programs_take_for_missing_are_names(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text("data_a\nloop_\n_x #1\n_y #2\n1 None\nnan NA\n")
    frame = read_blocks(path)["a"].read(["x", "y"])
    assert frame["y"].tolist() == ["None", "NA"]
    assert np.isnan(frame["x"].astype(float)[1])


def test_a_row_with_too_few_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text(TWO_GROUPS.rstrip()[:-4])
    with pytest.raises(InputError, match="fewer values than the 11 columns") as caught:
        read_particles(path, require_stacks=False)
    assert caught.value.where.endswith("data_particles row 2")


def spoil(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "problem", "cure"),
    [
        ("_rlnDetectorPixelSize #14", "_other #14", "no pixel size", "--pixel-size"),
        ("_rlnAngleRot #2", "_other #2", "no orientations", "--poses"),
        ("_rlnDefocusU #7", "_other #7", "no defocus U", "--ctf"),
        ("000003@", "000009@", "asks for image 9", "--datadir"),
        ("000003@", "000000@", "below the first", "from 1"),
        ("000003@", "x@", "number@stack", "Correct"),
        ("@s.mrcs 10", "@gone/t.mrcs 10", "gone/t.mrcs was not found", "--datadir"),
        (" 10 20 30", " nan 20 30", "orientation is not a number", "Correct"),
        (" 10 20 30", " ten 20 30", "must be a number, it is 'ten'", "Correct"),
        ("15000 14000", "inf 14000", "defocus U is not a number", "Correct"),
        ("40000 10 data", "0 10 data", "pixel size must be positive", "--pixel-size"),
        ("40000 10 data", "40000 11 data", "the header of", "--pixel-size"),
        (" 300 2.7", " 0 2.7", "voltage_kv must be positive", "Correct"),
        ("data_particles", "nothing", "no data_ block", "Give a RELION"),
    ],
)
def test_bad_star_files_say_where_what_and_how_to_cure(
    tmp_path: Path, stack_maker, old: str, new: str, problem: str, cure: str
) -> None:
    stack_maker(tmp_path / "s.mrcs", pixel=2.5 if "11 data" in new else 1.0)
    path = tmp_path / "p.star"
    path.write_text(spoil(OLD.format(block="particles"), old, new))
    with pytest.raises(InputError, match=problem) as caught:
        read_relion(path)
    assert "p.star" in caught.value.where
    assert cure in caught.value.cure


def test_an_undefined_optics_group_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text(spoil(TWO_GROUPS, "1@a.mrcs 4", "1@a.mrcs 5"))
    with pytest.raises(InputError, match="optics group 5 is not in data_optics"):
        read_particles(path)


@pytest.mark.parametrize(
    ("flags", "problem"), [(("1", "0"), "some optics groups"), (("1", "1"), None)]
)
def test_phase_flipping_is_read(
    tmp_path: Path, flags: tuple[str, str], problem: str | None
) -> None:
    path = tmp_path / "p.star"
    text = spoil(TWO_GROUPS, "_rlnImageSize #6", "_rlnImageSize #6\n_rlnCtfDataArePhaseFlipped #7")
    text = spoil(spoil(text, "1.5 16", f"1.5 16 {flags[0]}"), "1.25 20", f"1.25 20 {flags[1]}")
    path.write_text(text)
    if problem is None:
        assert read_particles(path, require_stacks=False).phase_flipped
    else:
        with pytest.raises(InputError, match=problem):
            read_particles(path, require_stacks=False)


def test_premultiplied_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    text = spoil(
        TWO_GROUPS, "_rlnImageSize #6", "_rlnImageSize #6\n_rlnCtfDataAreCtfPremultiplied #7"
    )
    path.write_text(spoil(spoil(text, "1.5 16", "1.5 16 1"), "1.25 20", "1.25 20 1"))
    with pytest.raises(InputError, match="already multiplied"):
        read_particles(path, require_stacks=False)


@pytest.mark.parametrize("number", ["inf", "nan", "2.5", "-1"])
@pytest.mark.parametrize("row", ["opticsGroup1 ", "000002@s.mrcs "])
def test_a_number_of_no_optics_group_is_refused(tmp_path, stack_maker, table_maker, number, row):
    star = tmp_path / "p.star"
    write_relion(star, table_maker(stack_maker(tmp_path / "s.mrcs")))
    text = star.read_text()
    assert text.count(f"{row}1 ") == 1
    star.write_text(text.replace(f"{row}1 ", f"{row}{number} "))
    with pytest.raises(InputError, match=r"[Oo]ptics"):
        read_particles(star)
