"""The ChimeraX script names files that exist, selects atoms that exist, and can be moved."""

from __future__ import annotations

import re
import shutil

import gemmi
import pytest

from cryoparts.errors import InputError
from cryoparts.export.chimerax import write_session_script
from cryoparts.palette import CORE_COLOUR, PART_COLOURS


def opened(script):
    return re.findall(r"^open (\S+) id (\d+)$", script.read_text(), flags=re.MULTILINE)


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


def test_each_part_is_coloured_by_the_number_in_its_b_factor(run):
    script = write_session_script(run).read_text()
    model = gemmi.read_structure(str(run / "gaussians.cif"))[0]
    factors = {site.atom.b_iso for site in model.all()}
    coloured = dict(re.findall(r"^color #1@@bfactor=(\d+) (#\w{6})$", script, flags=re.MULTILINE))
    assert {float(part) for part in coloured} == factors - {0.0}
    assert coloured == {"1": PART_COLOURS[0], "2": PART_COLOURS[1]}
    assert f"color #1 {CORE_COLOUR}" in script


def test_maps_are_laid_over_the_model_whatever_their_header_says(run):
    """Coordinates are about voxel D // 2: of 9 voxels of 4 Å the corner lies at -16 Å."""
    script = write_session_script(run).read_text()
    assert script.count("origin -16.0000,-16.0000,-16.0000") == 2
    assert script.count("hide #3 models") == 1
    assert "hide #2" not in script


def test_without_parts_and_maps_the_model_alone_is_opened(run):
    shutil.rmtree(run / "parts")
    shutil.rmtree(run / "reconstruction")
    script = write_session_script(run)
    assert opened(script) == [("gaussians.cif", "1")]
    assert "bfactor" not in script.read_text()


def test_without_a_model_there_is_nothing_to_open(run):
    (run / "gaussians.cif").unlink()
    with pytest.raises(InputError, match="is missing"):
        write_session_script(run)
    assert not (run / "chimerax.cxc").exists()
