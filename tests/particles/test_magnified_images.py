"""Working images of particles with anisotropic magnification are those without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cryoparts.config import PreprocessingConfig
from cryoparts.imaging.fourier import frequency_grid, inverse_transform, shift_phases
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.assembly import ctf_of_ones
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare

MATRIX = np.array([[1.015, 0.01], [0.004, 0.988]])
COUNT, BOX, PIXEL = 6, 48, 2.0


def write(path, rotation, shift, matrix) -> None:
    """Twelve Gaussians by Y(k) = P(M k) exp(-2 pi i k . t)."""
    points = np.random.default_rng(99).normal(size=(12, 3)) * 8
    seen = torch.as_tensor(points @ rotation.transpose(0, 2, 1))[..., :2]
    k = frequency_grid(BOX, PIXEL).double()
    q = k @ torch.as_tensor(matrix.T)
    waves = torch.exp(-2j * torch.pi * torch.einsum("pnx,ijx->pnij", seen, q)).sum(1)
    planes = waves * torch.exp(-2 * torch.pi**2 * 16 * q.square().sum(-1))
    planes = planes * shift_phases(torch.as_tensor(shift), BOX, PIXEL)
    images = inverse_transform(planes).numpy().astype(np.float32)
    write_stack(path, iter([images]), count=COUNT, box_size=BOX, pixel_size_angstrom=PIXEL)


def test_images_and_shifts_are_corrected(tmp_path, table_maker):
    stacks = [tmp_path / "plain.mrcs", tmp_path / "seen.mrcs"]
    plain, seen = (table_maker(stack, COUNT, BOX, PIXEL) for stack in stacks)
    # t in the distorted images where the undistorted ones have M^-T t
    moved = replace(seen.poses, shift_angstrom=plain.poses.shift_angstrom @ MATRIX)
    write(stacks[0], plain.poses.rotation, plain.poses.shift_angstrom, np.eye(2))
    write(stacks[1], seen.poses.rotation, moved.shift_angstrom, MATRIX)
    matrices = np.tile(MATRIX, (COUNT, 1, 1))
    seen = replace(seen, poses=moved, magnification=matrices)
    tables = [replace(table, ctf=ctf_of_ones(COUNT)) for table in (plain, seen)]
    config = PreprocessingConfig(box_size=32, contrast="bright", normalise=False)
    one, other = (
        prepare(ParticleSet(table), tmp_path / str(number), config)
        for number, table in enumerate(tables)
    )
    rows = np.arange(COUNT)
    assert np.allclose(other.poses.shift_angstrom, one.poses.shift_angstrom, atol=1e-9)
    assert torch.allclose(
        other.images(rows), one.images(rows), atol=2e-3 * float(one.images(rows).max())
    )
    ignored = ParticleSet(replace(tables[1], magnification=None)).images(rows)
    assert np.abs(ignored - ParticleSet(tables[0]).images(rows)).max() > 0.05 * ignored.std()


def test_the_file_itself_is_left_as_it_is(tmp_path, table_maker):
    table = table_maker(tmp_path / "s.mrcs", COUNT, BOX, PIXEL)
    write(tmp_path / "s.mrcs", table.poses.rotation, table.poses.shift_angstrom, MATRIX)
    table = replace(table, magnification=np.tile(MATRIX, (COUNT, 1, 1)))
    before = table.poses.shift_angstrom.copy()
    assert ParticleSet(table).table.magnification is None
    assert np.array_equal(table.poses.shift_angstrom, before)
    assert table.magnification is not None
