"""A part's particles, written for RELION and cryoSPARC and read back, give the part's map again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.export.part_poses import centred_on, write_posed_cs, write_posed_star
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.io.mrc import read_map
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.star import read_blocks
from cryoparts.particles.original_images import OriginalImages
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.pipeline.maps.at_rest import reconstruct_at_rest
from cryoparts.reconstruction.backprojection import Chosen
from cryoparts.reconstruction.half_maps import gather_half_sums
from cryoparts.run.run import Run
from resting_run import BOX, PARTICLES, make_resting_run


def given(path: Path, run: Run) -> OriginalImages:
    """Images, poses, CTFs and halves of a file; masked about the whole particle, as the run's."""
    table = read_particles(path, datadir=Path(run.config.particles).parent)
    about_the_whole = replace(table, poses=run.particles.poses)
    source = OriginalImages.of(
        ParticleSet(about_the_whole),
        replace(run.particles, names=table.names, ctf=table.ctf, half_set=table.half_set),
        run.config.preprocessing,
    )
    return replace(source, poses=table.poses)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    made = make_resting_run(tmp_path_factory.mktemp("posed") / "made", snr=0.1)
    reconstruct_at_rest(made)
    return made


def reconstructed(source: OriginalImages) -> np.ndarray:
    everyone = Chosen(np.arange(PARTICLES))
    return next(gather_half_sums(source, [[everyone]])).maps().unfiltered


def same_map(density: np.ndarray, folder: Path) -> np.ndarray:
    """FSC with the part's map about the part, within the part's mask."""
    mask = read_map(folder / "mask_part_1_centred.mrc").density
    written = read_map(folder / "part_1_centred.mrc").density
    return np.asarray(fourier_shell_correlation(density * mask, written * mask))


def test_the_star_file_reconstructs_the_parts_map(run):
    folder = run.directory.at_rest_path
    source = given(folder / "part_1.star", run)
    assert len(source.poses) == PARTICLES
    again = reconstructed(source)
    assert same_map(again, folder)[1 : BOX // 2].min() > 0.99
    # and not in the poses of the particle file
    consensus = given(Path(run.config.particles), run)
    other = reconstructed(consensus)
    assert same_map(other, folder)[1 : BOX // 2].min() < 0.9


def test_the_star_file_keeps_optics_names_and_halves(run):
    written = run.directory.at_rest_path / "part_1.star"
    source = Path(run.config.particles)
    before, after = (read_blocks(path) for path in (source, written))
    assert after["optics"].columns == before["optics"].columns
    assert after["particles"].columns == before["particles"].columns
    same = [c for c in before["particles"].columns if "Angle" not in c and "Origin" not in c]
    for one, other in zip(
        before["particles"].read(same).items(), after["particles"].read(same).items(), strict=True
    ):
        assert one[1].tolist() == other[1].tolist()


def test_a_table_of_another_format_is_written_as_relion(run, tmp_path):
    table = read_particles(Path(run.config.particles))
    rows = np.array([0, 3, 9])
    poses = Poses(Rotation.random(3, random_state=0).as_matrix(), np.arange(6.0).reshape(3, 2))
    write_posed_star(tmp_path / "some.star", table, rows, poses, None)
    again = read_particles(tmp_path / "some.star", datadir=table.stack_paths[0].parent)
    np.testing.assert_allclose(again.poses.rotation, poses.rotation, atol=1e-7)
    np.testing.assert_allclose(again.poses.shift_angstrom, poses.shift_angstrom, atol=1e-6)
    assert again.names.tolist() == table.names[rows].tolist()


def test_magnification_stays_the_files(run, tmp_path):
    """Shifts of the corrected images become those of the images as they are."""
    table = read_particles(Path(run.config.particles))
    matrix = np.tile(np.array([[1.01, 0.004], [0.002, 0.99]]), (PARTICLES, 1, 1))
    magnified = replace(table, magnification=matrix)
    rows = np.arange(PARTICLES)
    poses = Poses(table.poses.rotation, table.poses.shift_angstrom + 3.0)
    write_posed_star(tmp_path / "some.star", magnified, rows, poses, None)
    read = read_particles(tmp_path / "some.star", datadir=table.stack_paths[0].parent)
    np.testing.assert_allclose(read.magnification, matrix, atol=1e-6)
    again = ParticleSet(read).table.poses
    np.testing.assert_allclose(again.shift_angstrom, poses.shift_angstrom, atol=1e-5)


@pytest.fixture
def cryosparc_file(run, tmp_path) -> tuple[Path, Path]:
    """The run's particles as a .cs file, in the fields that cryoSPARC writes."""
    table = read_particles(Path(run.config.particles))
    count, stack = len(table), table.stack_paths[0]
    one = np.ones(count, dtype=np.float32)
    content = {
        "uid": np.arange(count, dtype=np.uint64) + 1000,
        "blob/path": np.full(count, stack.name),
        "blob/idx": table.slice_in_stack.astype(np.uint32),
        "blob/shape": np.tile(np.array([BOX, BOX], dtype=np.uint32), (count, 1)),
        "blob/psize_A": table.pixel_size_angstrom.astype(np.float32),
        "alignments3D/pose": np.zeros((count, 3), dtype=np.float32),
        "alignments3D/shift": np.zeros((count, 2), dtype=np.float32),
        "alignments3D/psize_A": table.pixel_size_angstrom.astype(np.float32),
        "alignments3D/split": (np.arange(count) % 2).astype(np.uint32),
        "ctf/accel_kv": 300 * one,
        "ctf/cs_mm": 2.7 * one,
        "ctf/amp_contrast": 0.1 * one,
        "ctf/df1_A": table.ctf.defocus_u_angstrom.astype(np.float32),
        "ctf/df2_A": table.ctf.defocus_v_angstrom.astype(np.float32),
        "ctf/df_angle_rad": np.deg2rad(table.ctf.astigmatism_angle_degrees).astype(np.float32),
        "ctf/phase_shift_rad": 0 * one,
    }
    path = tmp_path / "particles.cs"
    Dataset(content).save(str(path))
    return path, stack.parent


def test_the_cs_file_reconstructs_the_parts_map(run, cryosparc_file, tmp_path):
    source, data = cryosparc_file
    folder = run.directory.at_rest_path
    poses = read_particles(folder / "part_1.star", datadir=data).poses
    rows = np.arange(PARTICLES)
    write_posed_cs(tmp_path / "part_1.cs", source, rows, poses)
    read = given(tmp_path / "part_1.cs", run)
    np.testing.assert_allclose(read.poses.rotation, poses.rotation, atol=1e-5)
    again = reconstructed(read)
    assert same_map(again, folder)[1 : BOX // 2].min() > 0.99
    written, whole = Dataset.load(str(tmp_path / "part_1.cs")), Dataset.load(str(source))
    for name in set(whole) - {"alignments3D/pose", "alignments3D/shift"}:
        np.testing.assert_array_equal(written[name], whole[name])
    with pytest.raises(InputError, match="not a cryoSPARC file"):
        write_posed_cs(tmp_path / "x.cs", folder / "part_1.star", rows, poses)


def test_a_map_about_a_voxel():
    density = np.zeros((8, 8, 8), np.float32)
    density[6, 2, 5] = 1.0
    moved = centred_on(density, np.array([1, -2, 2]) * 3.0, 3.0)
    assert moved[4, 4, 4] == 1.0
    assert moved.sum() == 1.0
    density[:] = 1.0
    assert centred_on(density, np.array([3.0, 0, 0]), 3.0).sum() == 8 * 8 * 7
