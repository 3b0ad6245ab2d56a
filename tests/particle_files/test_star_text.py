"""How text is cut into rows and values: nothing is shifted, cut or taken for a row in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.export.relion import write_selected_star
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particle_files.star import read_blocks, values_of

OPTICS = """\
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
1 {group} 300 2.7 0.1 2.5
"""
COLUMNS = (
    "rlnImageName", "rlnMicrographName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi",
    "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnOpticsGroup",
)  # fmt: skip
PARTICLES = "\ndata_particles\n\nloop_\n" + "".join(
    f"_{c} #{i + 1}\n" for i, c in enumerate(COLUMNS)
)


def row(number: int, name: str = "s.mrcs", micrograph: str = "m.mrc", quote: str = "") -> str:
    image = f"{quote}{number:06d}@{name}{quote}"
    return f"{image} {micrograph} {number} 20 30 {10000 + number} 9000 5 1\n"


def write(path: Path, rows: str, *, optics: str = OPTICS.format(group="g"), head: str = "") -> Path:
    path.write_text(head + optics + PARTICLES + rows, encoding="utf-8")
    return path


def read(path: Path):
    return read_particles(path, require_stacks=False)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_blanks_within_quotes_belong_to_the_value(tmp_path: Path, quote: str) -> None:
    rows = "".join(
        row(k, "my data/p q.mrcs", f"{quote}Foil Hole's.mrc{quote}" if quote == '"' else "m", quote)
        for k in (1, 2)
    )
    path = write(tmp_path / "p.star", rows, optics=OPTICS.format(group=f"{quote}my g{quote}"))
    table = read(path)
    assert table.names.tolist() == ["000001@my data/p q.mrcs", "000002@my data/p q.mrcs"]
    assert table.ctf.defocus_u_angstrom.tolist() == [10001, 10002]
    assert set(table.pixel_size_angstrom) == {2.5}


def test_a_line_is_cut_as_star_says() -> None:
    assert values_of("'a b' \"c 'd\" 5'-x.mrc e#f # g 1\n") == ["a b", "c 'd", "5'-x.mrc", "e#f"]
    assert values_of("\"\" 1 '' x\xa0y\n") == ["", "1", "", "x\xa0y"]


@pytest.mark.parametrize("bad", [[0], [2], [0, 1, 2, 3]])
def test_a_blank_without_quotes_is_an_error_that_names_row_and_value(
    tmp_path: Path, bad: list[int]
) -> None:
    rows = [row(k + 1, micrograph="Foil 1.mrc" if k in bad else "m.mrc") for k in range(4)]
    path = write(tmp_path / "p.star", "".join(rows))
    with pytest.raises(InputError, match=r"10 values, more than the 9 columns") as caught:
        read(path)
    line = next(i for i, t in enumerate(path.read_text().split("\n")) if "Foil 1" in t) + 1
    assert caught.value.where == f"{path}, line {line}, data_particles row {bad[0] + 1}"
    assert '"Foil 1.mrc", the rlnMicrographName' in caught.value.cure
    assert f"({len(bad)} such row" in caught.value.problem


def test_a_value_without_a_column_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "p.star", "".join(row(k)[:-1] + " 7\n" for k in (1, 2)))
    with pytest.raises(InputError, match=r"10 values, more than the 9 columns \(2 such") as caught:
        read(path)
    assert "name the column in the header" in caught.value.cure
    assert "(here" not in caught.value.cure


def test_too_few_values_in_a_row_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "p.star", row(1) + "000002@s.mrcs m.mrc 1\n" + row(3))
    with pytest.raises(InputError, match=r"3 values, fewer values than the 9 columns \(1 such row"):
        read(path)


def test_a_bad_row_in_a_block_that_is_not_read_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "p.star", row(1) + "\ndata_note\nloop_\n_a\n_b\n1 2 3\n")
    assert len(read(path)) == 1


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_rows_as_comments_are_no_rows_in_reading_and_in_writing(tmp_path: Path, quote: str) -> None:
    name = "my data/p q.mrcs" if quote else "s.mrcs"
    rows = ""
    for k in range(1, 41):
        rows += ("# " if k in (4, 5, 17) else "") + row(k, name, quote=quote)
        rows += "\n" if k == 1 else "# a note\n" if k == 8 else ""
    path = write(tmp_path / "p.star", rows)
    table = read(path)
    assert len(table) == 37
    assert 10004 not in table.ctf.defocus_u_angstrom
    chosen = table.names[::-1][:20]
    write_selected_star(path, chosen.tolist(), tmp_path / "o.star")
    again = read(tmp_path / "o.star")
    assert sorted(again.names) == sorted(chosen)
    kept = table.take(np.flatnonzero(np.isin(table.names, chosen)))
    np.testing.assert_array_equal(again.ctf.defocus_u_angstrom, kept.ctf.defocus_u_angstrom)


def test_a_comment_behind_a_row_is_not_part_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "p.star", row(1)[:-1] + " # bad ice\n" + row(2))
    assert read(path).ctf.defocus_u_angstrom.tolist() == [10001, 10002]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_either_line_end(tmp_path: Path, newline: str) -> None:
    text = "\ufeff" + OPTICS.format(group="g") + PARTICLES + row(1) + row(2)
    (tmp_path / "p.star").write_bytes(text.replace("\n", newline).encode())
    table = read(tmp_path / "p.star")
    assert set(table.ctf.voltage_kv) == {300}
    write_selected_star(tmp_path / "p.star", [table.names[1]], tmp_path / "o.star")
    assert read(tmp_path / "o.star").ctf.defocus_u_angstrom.tolist() == [10002]


def test_two_loops_in_one_block_are_refused_as_such(tmp_path: Path) -> None:
    text = (OPTICS.format(group="g") + PARTICLES + row(1)).replace("data_particles", "")
    (tmp_path / "p.star").write_text(text.replace("data_optics", "data_"))
    with pytest.raises(InputError, match="it has two loops, the second in line 14"):
        read(tmp_path / "p.star")


def test_two_blocks_of_one_name_are_refused_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "p.star", row(1) + PARTICLES + row(2))
    with pytest.raises(InputError, match=r"another block data_particles, in line \d+") as caught:
        read(path)
    assert "block data_particles (line 12)" in caught.value.where
    path = write(tmp_path / "q.star", row(1), optics=2 * OPTICS.format(group="g"))
    with pytest.raises(InputError, match="another block data_optics, in line 11"):
        read(path)


def test_a_column_that_stands_twice_is_named_where_it_matters(tmp_path: Path) -> None:
    optics = OPTICS.format(group="g").replace("OpticsGroupName", "OpticsGroup")
    path = write(tmp_path / "p.star", row(1), optics=optics)
    with pytest.raises(InputError, match="rlnOpticsGroup stands 2 times, as columns 1, 2"):
        read(path)
    text = (OPTICS.format(group="g") + PARTICLES + row(1)).replace(
        "#2\n_rlnV", "#2\n_o #3\n_o\n_rlnV"
    )
    (tmp_path / "q.star").write_text(text.replace(" g ", " g 8 9 "))
    assert set(read(tmp_path / "q.star").pixel_size_angstrom) == {2.5}


def test_an_optics_group_defined_twice_is_named_with_its_lines(tmp_path: Path) -> None:
    optics = OPTICS.format(group="g") + "1 h 200 2.7 0.1 2.5\n"
    with pytest.raises(InputError, match=r"group 1 is defined 2 times, in lines 10, 11"):
        read(write(tmp_path / "p.star", row(1), optics=optics))


def test_an_optics_table_without_a_loop_and_a_unit_magnification(tmp_path: Path) -> None:
    optics = (
        "data_optics\n\n_rlnOpticsGroup 1\n_rlnOpticsGroupName 'my group' # no 2\n_rlnVoltage 300\n"
        "_rlnSphericalAberration 2.7\n_rlnAmplitudeContrast 0.1\n_rlnImagePixelSize 2.5\n"
        "_rlnMagMat00 1.000000\n_rlnMagMat01 0.0\n_rlnMagMat10 0.0\n_rlnMagMat11 1.000000\n"
    )
    path = write(tmp_path / "p.star", row(1), optics=optics)
    table = read(path)
    assert set(table.ctf.voltage_kv) == {300}
    assert table.magnification is None
    assert read_blocks(path)["optics"].values["rlnOpticsGroupName"] == "my group"


def test_names_with_blanks_are_written_in_quotes(tmp_path: Path, stack_maker, table_maker) -> None:
    table = table_maker(stack_maker(tmp_path / "p q.mrcs"))
    write_relion(tmp_path / "o.star", table)
    assert read(tmp_path / "o.star").names.tolist() == table.names.tolist()
