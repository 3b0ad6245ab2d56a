"""Poses and shifts as RELION means them: its own projections of its own volume.

The projections have 64 pixels and were made from the volume of 65 voxels brought
to 64: for the one set by scaling about the corner (its centre is then voxel
32.5), for the shifted set about the centre (voxel 32). That was found by trying
both; the poses are the table's, unchanged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, map_coordinates

from cryoparts.io.mrc import open_stack, read_map
from cryoparts.particle_files.read_particles import read_particles

BOX = 64
CENTRES = {"rln_proj_64": 32.5, "rln_proj_64_shifted": 32.0}


def project(
    volume: np.ndarray, centre: float, rotation: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Sum along z of the volume turned so that the point X lies at rotation X + shift."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    reference = rotation.T @ np.stack([x, y, z]).reshape(3, -1) * (len(volume) / BOX)
    values = map_coordinates(volume, reference[::-1] + centre, order=3)
    image = values.reshape(BOX, BOX, BOX).sum(axis=0)
    return np.fft.ifft2(fourier_shift(np.fft.fft2(image), shift[::-1])).real


def correlations(folder: Path, name: str, *, transpose: bool = False, sign: int = 1) -> np.ndarray:
    table = read_particles(folder / f"{name}.star", pixel_size_angstrom=1.0, without_ctf=True)
    images = open_stack(table.stack_paths[0]).read(table.slice_in_stack)
    volume = read_map(folder / "clean70SRibosome_vol_65p.mrc", voxel_size=1.0).density
    rotations = table.poses.rotation.transpose(0, 2, 1) if transpose else table.poses.rotation
    found = [
        np.corrcoef(project(volume, CENTRES[name], rotation, shift).ravel(), image.ravel())[0, 1]
        for rotation, shift, image in zip(
            rotations, sign * table.poses.shift_angstrom, images, strict=True
        )
    ]
    return np.array(found)


@pytest.mark.parametrize("name", list(CENTRES))
def test_every_relion_projection_is_reproduced(reference_data: Path, name: str) -> None:
    found = correlations(reference_data / "maps" / "relion_projection", name)
    assert found.min() > 0.99, found


def test_the_transposed_rotation_would_be_seen(reference_data: Path) -> None:
    folder = reference_data / "maps" / "relion_projection"
    assert correlations(folder, "rln_proj_64", transpose=True).max() < 0.9


def test_the_opposite_shift_would_be_seen(reference_data: Path) -> None:
    folder = reference_data / "maps" / "relion_projection"
    assert correlations(folder, "rln_proj_64_shifted", sign=-1).max() < 0.7


def test_origins_in_pixels_become_shifts_in_angstrom(reference_data: Path) -> None:
    path = reference_data / "maps" / "relion_projection" / "rln_proj_64_shifted.star"
    table = read_particles(path, pixel_size_angstrom=2.0, without_ctf=True)
    np.testing.assert_allclose(table.poses.shift_angstrom[0], [-12.0, -20.0])
