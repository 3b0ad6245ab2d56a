"""The ChimeraX script names files that exist, selects atoms that exist, and can be moved."""

from __future__ import annotations

import re
import shutil

import gemmi
import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.export.chimerax import write_session_script
from cryoparts.io.mrc import write_map
from cryoparts.palette import CORE_COLOUR, GAINED_COLOUR, LOST_COLOUR, PART_COLOURS

OPEN = re.compile(r"^open (\S+) id (\d+)\.(\d+)(?: coordsets true)?$", re.MULTILINE)


def opened(script):
    """(file, number within the run) of every model; all lie below one number."""
    found = OPEN.findall(script.read_text())
    assert len({run for _, run, _ in found}) == 1
    return [(name, number) for name, _, number in found]


def test_files_are_named_relative_to_the_script_and_exist(run, tmp_path):
    write_session_script(run)
    moved = tmp_path / "elsewhere"
    shutil.move(run, moved)
    files = opened(moved / "chimerax.cxc")
    assert [name for name, _ in files] == [
        "gaussians.cif",
        "reconstruction/part_1/state_1.mrc",
        "reconstruction/part_1/state_2.mrc",
    ]
    assert [number for _, number in files] == ["1", "2", "3"]
    assert all((moved / name).is_file() for name, _ in files)
    assert str(tmp_path) not in (moved / "chimerax.cxc").read_text()


def test_each_part_is_a_chain_in_its_colour(run):
    script = write_session_script(run).read_text()
    model = gemmi.read_structure(str(run / "gaussians.cif"))[0]
    coloured = dict(re.findall(r"^color #\d+\.1/(\S+) (#\w{6})$", script, flags=re.MULTILINE))
    assert set(coloured) == {chain.name for chain in model} - {"core"}
    assert coloured == {"part_1": PART_COLOURS[0], "part_2": PART_COLOURS[1]}
    assert re.search(rf"^color #\d+\.1 {CORE_COLOUR}$", script, flags=re.MULTILINE)
    assert "bfactor" not in script


def test_maps_are_laid_over_the_model_whatever_their_header_says(run):
    """Coordinates are about voxel D // 2: of 9 voxels of 4 Å the corner lies at -16 Å."""
    script = write_session_script(run).read_text()
    assert script.count("origin -16.0000,-16.0000,-16.0000") == 2
    assert len(re.findall(r"^hide #\d+\.3 models$", script, flags=re.MULTILINE)) == 1
    assert not re.search(r"^hide #\d+\.2", script, flags=re.MULTILINE)


def test_without_parts_and_maps_the_model_alone_is_opened(run):
    shutil.rmtree(run / "parts")
    shutil.rmtree(run / "reconstruction")
    script = write_session_script(run)
    assert opened(script) == [("gaussians.cif", "1")]
    assert "part_" not in script.read_text()


def test_without_a_model_there_is_nothing_to_open(run):
    (run / "gaussians.cif").unlink()
    with pytest.raises(InputError, match="is missing"):
        write_session_script(run)
    assert not (run / "chimerax.cxc").exists()


def test_what_is_open_stays_and_the_run_is_replaced_by_itself_alone(run, tmp_path):
    script = write_session_script(run).read_text()
    closed = re.findall(r"^close(.*)$", script, flags=re.MULTILINE)
    number = OPEN.search(script)[2]
    assert closed == [f" #{number}"]
    assert int(number) >= 1000
    for command in ("set bgColor", "close session", "view\n"):
        assert command not in script
    other = tmp_path / "another"
    shutil.copytree(run, other)
    assert OPEN.search(write_session_script(other).read_text())[2] != number
    assert OPEN.search(write_session_script(run).read_text())[2] == number


def test_differences_are_opened_in_two_colours_where_there_are_any(run):
    folder = run / "reconstruction" / "part_1"
    values = np.zeros((9, 9, 9))
    write_map(folder / "difference_1_minus_2_significant.mrc", values, 4.0)
    assert "minus" not in write_session_script(run).read_text()
    values[2:4, 3, 3], values[6, 5, 5] = 2.0, -2.0
    write_map(folder / "difference_1_minus_2_significant.mrc", values, 4.0)
    script = write_session_script(run).read_text()
    line = next(line for line in script.splitlines() if "level -" in line)
    assert line.startswith("volume #")
    assert f"level 1 color {GAINED_COLOUR} level -1 color {LOST_COLOUR}" in line


def test_the_movie_shows_every_state_and_motion_and_is_encoded(run):
    write_session_script(run)
    movie = (run / "chimerax_movie.cxc").read_text().splitlines()
    assert movie[0] == "open chimerax.cxc"
    assert movie[1] == "movie record"
    assert movie[-1] == "movie encode run.mp4 framerate 25"
    for number in (2, 3):
        assert any(re.fullmatch(rf"show #\d+\.{number} models", line) for line in movie)
