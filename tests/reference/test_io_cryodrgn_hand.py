"""Poses as cryoDRGN means them: a volume made from 80 of its projections predicts the others.

(hand-vol.mrc is not the volume that these projections show in any orientation
or hand, so the volume is made here from the projections themselves.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.read_particles import read_particles

RAW, BOX, PADDED = 64, 32, 64
USED = np.arange(80)
PREDICTED = np.arange(80, 100, 2)
# The poses with translations were refined by cryoDRGN, those without are exact.
ENOUGH = {"hand_rot.pkl": 0.98, "hand_rot_trans.pkl": 0.9}


def half_axes() -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(PADDED) - PADDED // 2
    return np.meshgrid(axis, axis, indexing="xy")


def halved(images: np.ndarray) -> np.ndarray:
    """Images of half as many pixels, by cropping their transforms about the centre."""
    half = slice(RAW // 2 - BOX // 2, RAW // 2 + BOX // 2)
    planes = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2))), axes=(1, 2))
    cropped = np.fft.ifftshift(planes[:, half, half], axes=(1, 2))
    return np.fft.fftshift(np.fft.ifft2(cropped).real, axes=(1, 2))


def reconstruct(images: np.ndarray, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Nearest-voxel insertion of the transforms, shifts (pixels) undone."""
    kx, ky = half_axes()
    inside = np.hypot(kx, ky) < PADDED // 2 - 2
    plane = np.stack([kx[inside], ky[inside], np.zeros(inside.sum())])
    total = np.zeros(PADDED**3, dtype=complex)
    weight = np.zeros(PADDED**3)
    edge = (PADDED - BOX) // 2
    for image, rotation, shift in zip(images, rotations, shifts, strict=True):
        padded = np.fft.ifftshift(np.pad(image, edge))
        ramp = np.exp(2j * np.pi * (kx * shift[0] + ky * shift[1]) / PADDED)
        values = (np.fft.fftshift(np.fft.fft2(padded)) * ramp)[inside]
        voxel = np.rint(rotation.T @ plane).astype(int) + PADDED // 2
        flat = np.ravel_multi_index(tuple(voxel[::-1]), (PADDED,) * 3, mode="clip")
        total += np.bincount(flat, values.real, PADDED**3)
        total += 1j * np.bincount(flat, values.imag, PADDED**3)
        weight += np.bincount(flat, minlength=PADDED**3)
    density = np.fft.ifftn(np.fft.ifftshift((total / (weight + 0.1)).reshape((PADDED,) * 3)))
    middle = slice(edge, edge + BOX)
    return np.fft.fftshift(density.real)[middle, middle, middle]


def project(volume: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis - shift[1], axis - shift[0], indexing="ij")
    reference = rotation.T @ np.stack([x, y, z]).reshape(3, -1)
    values = map_coordinates(volume, reference[::-1] + BOX // 2, order=1)
    return values.reshape(BOX, BOX, BOX).sum(axis=0)


def prediction(table: ParticleTable, *, transpose: bool = False, sign: int = 1) -> np.ndarray:
    images = halved(open_stack(table.stack_paths[0]).read(table.slice_in_stack))
    rotation = table.poses.rotation.transpose(0, 2, 1) if transpose else table.poses.rotation
    pixel = table.pixel_size_angstrom[:, None] * (RAW / BOX)
    shift = sign * table.poses.shift_angstrom / pixel
    volume = reconstruct(images[USED], rotation[USED], shift[USED])
    return np.array(
        [
            np.corrcoef(project(volume, rotation[i], shift[i]).ravel(), images[i].ravel())[0, 1]
            for i in PREDICTED
        ]
    )


@pytest.mark.parametrize("name", list(ENOUGH))
def test_projections_that_were_not_used_are_predicted(reference_data: Path, name: str) -> None:
    folder = reference_data / "particles" / "cryodrgn_hand"
    table = read_particles(
        folder / "hand.mrcs", poses=folder / name, pixel_size_angstrom=1.5, without_ctf=True
    )
    assert table.names[0] == "000001@hand.mrcs"
    found = prediction(table)
    assert found.min() > ENOUGH[name], found
    assert prediction(table, transpose=True).mean() < found.mean() - 0.05
    if "trans" in name:
        assert prediction(table, sign=-1).mean() < found.mean() - 0.2
