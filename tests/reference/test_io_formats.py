"""Real metadata files of other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.conventions import euler_from_rotation
from cryoparts.errors import InputError
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.read_particles import read_particles


def read(folder: Path, name: str, **options) -> ParticleTable:
    return read_particles(folder / "formats" / name, require_stacks=False, **options)


def test_relion_30_without_optics_table(reference_data: Path) -> None:
    table = read(reference_data, "FinalRefinement-OriginalParticles-PfCRT.star")
    assert len(table) == 5
    # 1.035 µm detector pixel at 10,000 x; offsets in pixels.
    np.testing.assert_allclose(table.pixel_size_angstrom, 1.035)
    np.testing.assert_allclose(
        table.poses.shift_angstrom[0], [0.14063 * 1.035, 0.04688 * 1.035], rtol=1e-9
    )
    rot, tilt, psi = euler_from_rotation(table.poses.rotation[:1])
    np.testing.assert_allclose([rot[0], tilt[0], psi[0]], [16.09353, 86.352776, 98.22569])
    assert table.half_set.tolist() == [2, 1, 2, 2, 2]
    assert any("amplitude contrast" in note for note in table.notes)


def test_relion_31_with_six_optics_groups(reference_data: Path) -> None:
    table = read(reference_data, "relion31.6opticsgroups.star")
    assert len(table) == 139
    sizes = {g: set(table.pixel_size_angstrom[table.optics_group == g]) for g in range(1, 7)}
    assert sizes[1] == {1.25}
    assert sizes[2] == {1.24}
    aberration = table.ctf.spherical_aberration_mm
    assert set(aberration[table.optics_group == 4]) == {2.6}
    assert set(aberration[table.optics_group == 1]) == {2.7}
    assert not any("not modelled" in note for note in table.notes)
    # the first row belongs to group 6, the last line of the optics table
    aberrations = table.ctf.aberrations
    first = int(aberrations.group[0])
    assert aberrations.odd_zernike[first, [2, 5]].tolist() == [9.94459348609, -8.42736370259]
    assert aberrations.even_zernike[first, [0, 8]].tolist() == [0.917037189491, -1.61338028088]
    assert table.magnification[0, 0, 0] == 1.006131
    assert len(aberrations.odd_zernike) == 6


@pytest.mark.parametrize(
    ("name", "count", "pixel", "box", "halves"),
    [
        ("run_it016_data.star", 4748, 1.244835, 256, {1, 2}),
        ("relion5.star", 17, 0.89, 448, {1, 2}),
        ("cryojax_test_starfile.star", 3, 12.0, 16, {0}),
    ],
)
def test_relion_4_and_5_and_starfile(
    reference_data: Path, name: str, count: int, pixel: float, box: int, halves: set[int]
) -> None:
    table = read(reference_data, name)
    assert len(table) == count
    assert set(table.pixel_size_angstrom) == {pixel}
    assert set(table.box_size) == {box}
    assert set(table.half_set) == halves


def test_relion_sample_in_both_versions_is_the_same_particles(reference_data: Path) -> None:
    folder = reference_data / "particles" / "relion30_31_sample"
    old = read_particles(folder / "sample_particles_relion30.star")
    new = read_particles(folder / "sample_particles_relion31.star")
    assert old.names.tolist() == new.names.tolist()
    same = np.arange(17) != 14  # the files give other angles for this one
    np.testing.assert_allclose(old.poses.rotation[same], new.poses.rotation[same], atol=1e-9)
    np.testing.assert_allclose(old.pixel_size_angstrom, 1.338, atol=1e-6)
    assert set(new.ctf.voltage_kv) == {200.0, 300.0}
    assert set(old.box_size) == {200}
    assert set(old.half_set) == {1, 2}


def test_optics_table_after_the_particles_reads_the_same(reference_data: Path) -> None:
    folder = reference_data / "particles" / "relion31"
    first, second = (read_particles(folder / n) for n in ("relion31.star", "relion31.v2.star"))
    np.testing.assert_array_equal(first.pixel_size_angstrom, second.pixel_size_angstrom)
    np.testing.assert_array_equal(first.poses.shift_angstrom, second.poses.shift_angstrom)
    # The stack's header says 1.0, which programs write that do not know better.
    assert set(first.pixel_size_angstrom) == {2.806}


def test_cryosparc_particles(reference_data: Path) -> None:
    table = read(reference_data, "cryosparc_P12_J24_001_particles.cs")
    assert len(table) == 2019
    assert table.names[0] == "15494748553812943456"
    np.testing.assert_allclose(
        table.poses.shift_angstrom[0], -2.95 * np.array([11.334375, -1.828125]), rtol=1e-6
    )
    np.testing.assert_allclose(table.ctf.astigmatism_angle_degrees[0], np.rad2deg(-1.36364484))
    assert set(table.half_set) == {1, 2}
    assert set(read(reference_data, "cryosparc_P9_J209_000_particles.cs").optics_group) == {0}


def test_eman2_list(reference_data: Path) -> None:
    table = read(
        reference_data, "aliptcls2d_example.lst", pixel_size_angstrom=2.0, without_ctf=True
    )
    assert table.names.tolist() == [f"{i}@particles/ts_25__tomobox.hdf" for i in range(2)]
    np.testing.assert_allclose(table.poses.rotation[0, 0], [0.994593, -0.0657139, -0.0804149])
    np.testing.assert_allclose(table.poses.shift_angstrom[0], [2.02196, -6.3849])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ribosome_4ug0_particles.star", "no orientations"),
        ("run_it016_half1_model.star", "rlnImageName"),
        ("run_it016_optimiser.star", "rlnImageName"),
        ("cryosparc_J2_particles_exported.cs", "no orientations"),
        ("4k_dataset.cs", "no particles"),
        ("aliptcls3d_example.lst", "3D particles"),
        ("wiki_sets_example.lst", "no orientations"),
    ],
)
def test_files_that_cannot_be_used_say_why(reference_data: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(reference_data, name)
    assert name in caught.value.where
    assert caught.value.cure


def test_relions_own_aberrations_are_those_of_its_source(reference_data: Path) -> None:
    """obs_model.cpp and tilt_helper.cpp, written down again for one optics group."""
    table = read(reference_data, "run_it016_data.star")
    aberrations = table.ctf.aberrations
    assert aberrations.odd_zernike.shape == (1, 6)
    assert aberrations.even_zernike.shape[1] >= 9
    wavelength = 12.2643247 / np.sqrt(200e3 * (1 + 200e3 * 0.978466e-6))
    scale = 1.4 * 20000 * wavelength**2 * np.pi
    third = [-scale * tilt / 3 for tilt in (0.017075, -0.14782)]
    expected = [
        -0.140006609061 + 2 * third[1], 0.0834170214934 + 2 * third[0], 1.15559317212,
        third[1], third[0], -1.3038997201,
    ]  # fmt: skip
    np.testing.assert_allclose(aberrations.odd_zernike[0], expected, rtol=2e-5)
    assert table.notes == ()


def test_cryosparc_files_whose_aberrations_are_0_have_none(reference_data: Path) -> None:
    table = read(reference_data, "cryosparc_P9_J209_000_particles.cs")
    assert type(table.ctf).__name__ == "CtfParameters"
    assert table.magnification is None
    assert not any("modelled" in note for note in table.notes)
