"""Each wrong unit gives its line; right files give none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble, ctf_of_ones
from cryoparts.particle_files.plausibility import implausible
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.pipeline.input_checks import require_plausible

COUNT = 40


@pytest.fixture
def table(tmp_path, table_maker):
    return table_maker(tmp_path / "s.mrcs", COUNT, 64, 2.5)


def with_ctf(table, **columns):
    values = {k: np.broadcast_to(np.asarray(v, float), (COUNT,)) for k, v in columns.items()}
    return replace(table, ctf=replace(table.ctf, **values))


def test_a_right_file_gives_no_line(table):
    assert implausible(table) == ()
    assert implausible(replace(table, ctf=ctf_of_ones(COUNT))) == ()
    plate = with_ctf(
        table, phase_shift_degrees=70.0, defocus_u_angstrom=5e3, defocus_v_angstrom=4e3
    )
    assert implausible(plate) == ()
    assert implausible(with_ctf(table, spherical_aberration_mm=0.01)) == ()
    none = replace(table, half_set=np.zeros(COUNT, dtype=np.int8))
    assert implausible(none) == ()


@pytest.mark.parametrize(
    ("columns", "certain", "value", "cure"),
    [
        ({"voltage_kv": 3e5}, True, "voltage 300,000 kV", "these are V"),
        ({"voltage_kv": 0.3}, True, "voltage 0.3 kV", "Correct"),
        ({"voltage_kv": 45.0}, False, "voltage 45 kV", "Correct"),
        ({"defocus_u_angstrom": 1.5, "defocus_v_angstrom": 1.4}, True, "1.45 Å", "these are µm"),
        ({"defocus_u_angstrom": 1500, "defocus_v_angstrom": 1400}, True, "1,450 Å", "these are nm"),
        ({"defocus_u_angstrom": 3000, "defocus_v_angstrom": 2900}, False, "2,950 Å", "are nm"),
        ({"defocus_u_angstrom": 1.5e7, "defocus_v_angstrom": 1.5e7}, True, "defocus", "unit to Å"),
        ({"defocus_u_angstrom": -15000, "defocus_v_angstrom": -14000}, False, "40 of 40 negative",
         "Change its sign"),
        ({"defocus_u_angstrom": 0, "defocus_v_angstrom": 0}, False, "median 0 Å", "--without-ctf"),
        ({"phase_shift_degrees": 1.57}, True, "at most 1.57 degrees", "these are radians"),
        ({"phase_shift_degrees": 5156.0}, True, "phase shift 5,156 degrees", "holds degrees"),
        ({"spherical_aberration_mm": 2700.0}, True, "2,700 mm", "these are µm"),
        ({"spherical_aberration_mm": 0.0027}, True, "0.0027 mm", "these are m"),
        ({"spherical_aberration_mm": 0.0}, False, "spherical aberration 0 mm", "Cs corrector"),
        ({"amplitude_contrast": 0.7}, False, "amplitude contrast 0.7", "per cent"),
    ],
)  # fmt: skip
def test_each_wrong_unit_gives_its_line(table, columns, certain, value, cure):
    findings = implausible(with_ctf(table, **columns))
    assert len(findings) == 1
    assert findings[0].certain == certain
    line = findings[0].line
    assert value in line
    assert cure in line
    assert "\n" not in line


def test_rows_with_a_broken_magnification_are_named(table):
    pixel = table.pixel_size_angstrom.copy()
    pixel[[3, 17]] = [250.0, 12.5]
    (finding,) = implausible(replace(table, pixel_size_angstrom=pixel))
    assert finding.certain
    assert "2 of 40 particles (000004@s.mrcs, 000018@s.mrcs)" in finding.line
    assert "2.5 Å" in finding.line
    # two data sets in one file, of RELION 3.0 for one
    pixel = np.where(np.arange(COUNT) < 25, 2.5, 1.5)
    (finding,) = implausible(replace(table, pixel_size_angstrom=pixel))
    assert not finding.certain
    # optics groups may differ
    group = np.where(np.arange(COUNT) < 20, 1, 2)
    two = replace(table, optics_group=group, pixel_size_angstrom=np.where(group == 1, 2.5, 1.0))
    assert implausible(two) == ()


def test_pixel_sizes_that_are_absurd_or_unusual(table):
    (finding,) = implausible(replace(table, pixel_size_angstrom=np.full(COUNT, 1e5)))
    assert finding.certain
    assert "pixel size 100,000 Å in all 40 particles" in finding.line
    still = replace(table, poses=replace(table.poses, shift_angstrom=np.zeros((COUNT, 2))))
    (finding,) = implausible(replace(still, pixel_size_angstrom=np.full(COUNT, 0.15)))
    assert not finding.certain


def test_shifts_beyond_the_image_and_one_defocus_that_is_off(table):
    shift = table.poses.shift_angstrom.copy()
    shift[5] = [100.0, 0.0]
    (finding,) = implausible(replace(table, poses=replace(table.poses, shift_angstrom=shift)))
    assert finding.certain
    assert "shift 100 Å in 1 of 40 particles (000006@s.mrcs)" in finding.line
    assert "80.0 Å" in finding.line
    defocus = table.ctf.defocus_u_angstrom.copy()
    defocus[7] = 3e6
    odd = with_ctf(table, defocus_u_angstrom=defocus, defocus_v_angstrom=defocus)
    (finding,) = implausible(odd)
    assert "1 of 40 particles (000008@s.mrcs)" in finding.line


def test_one_half_and_one_orientation(table):
    (finding,) = implausible(replace(table, half_set=np.ones(COUNT, dtype=np.int8)))
    assert "half set, 1 for all 40 particles" in finding.line
    same = np.tile(np.eye(3), (COUNT, 1, 1))
    (finding,) = implausible(replace(table, poses=replace(table.poses, rotation=same)))
    assert "the same for all 40 particles" in finding.line


def test_a_run_stops_at_what_is_certain_unless_told(table):
    wrong = with_ctf(table, voltage_kv=3e5, spherical_aberration_mm=2700.0)
    with pytest.raises(InputError, match="voltage 300,000 kV") as caught:
        require_plausible(wrong, as_given=False)
    assert "2,700 mm" in str(caught.value)  # both are named at once
    assert "--as-given" in caught.value.cure
    assert len(require_plausible(wrong, as_given=True)) == 2
    unusual = with_ctf(table, spherical_aberration_mm=0.0)
    assert len(require_plausible(unusual, as_given=False)) == 1


RIGHT = (
    "particles/relion30_31_sample/sample_particles_relion30.star",
    "particles/relion30_31_sample/sample_particles_relion31.star",
    "formats/relion31.6opticsgroups.star",
    "formats/relion5.star",
    "formats/run_it016_data.star",
    "formats/cryosparc_P12_J24_001_particles.cs",
    "problem_files/a00_standard.star",
)


@pytest.mark.parametrize("name", RIGHT)
def test_right_files_of_other_programs_give_no_line(reference_data: Path, name):
    table = read_particles(reference_data / name, require_stacks=False)
    assert [finding.line for finding in implausible(table)] == []


def test_five_particles_of_one_half_are_told_as_such(reference_data: Path):
    table = read_particles(
        reference_data / "particles/relion31/relion31.star", require_stacks=False
    )
    assert [f.line[:31] for f in implausible(table)] == ["half set, 1 for all 5 particles"]


def rows_with(rotation: np.ndarray) -> ParticleRows:
    count = len(rotation)
    return ParticleRows(
        names=np.array([f"{i}@s.mrcs" for i in range(count)]),
        recorded_stacks=("s.mrcs",),
        stack_of_particle=np.zeros(count, dtype=np.int64),
        slice_in_stack=np.arange(count),
        rotation=rotation,
        pixel_size=np.full(count, 2.0),
        box_size=np.full(count, 32),
    )


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (1.1 * np.eye(3), "is no rotation"),
        (np.diag([1.0, 1.0, -1.0]), "determinant 1"),
        (np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]]), "orthonormal"),
        (np.full((3, 3), np.nan), "is not a number"),
    ],
)
def test_orientations_that_are_no_rotations_are_errors_in_every_format(tmp_path, broken, said):
    rotation = np.tile(np.eye(3), (4, 1, 1))
    rotation[2:] = broken
    options = ReadOptions(without_ctf=True, require_stacks=False)
    with pytest.raises(InputError, match="particle 3") as caught:
        assemble(rows_with(rotation), tmp_path / "p.lst", "eman2", options)
    assert said in str(caught.value)
    assert "2 such rows: 3, 4" in str(caught.value)


def test_rows_without_a_magnification_are_named(tmp_path, stack_maker):
    stack_maker(tmp_path / "s.mrcs")
    columns = ("ImageName", "AngleRot", "AngleTilt", "AnglePsi", "DefocusU", "DefocusV",
               "Voltage", "SphericalAberration", "Magnification", "DetectorPixelSize")  # fmt: skip
    text = "data_\n\nloop_\n" + "".join(f"_rln{c}\n" for c in columns)
    for row, magnification in enumerate((40000, 0, 40000, 0), start=1):
        text += f"{row}@s.mrcs 1 2 {row} 12000 12000 300 2.7 {magnification} 10\n"
    (tmp_path / "p.star").write_text(text)
    with pytest.raises(InputError, match="row 2") as caught:
        read_particles(tmp_path / "p.star")
    assert "2 such rows: 2, 4" in str(caught.value)
