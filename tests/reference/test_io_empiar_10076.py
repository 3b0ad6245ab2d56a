"""Seven real particles: geometry, CTF and contrast together, from .star and from .cs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from cryoparts.io.atomic_models import read_structure
from cryoparts.io.mrc import open_stack
from cryoparts.io.structure import Structure
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.read_particles import read_particles

MAP_CENTRE = 209.6
BAND = (1 / 150, 1 / 14)


@pytest.fixture(scope="module")
def atoms(reference_data: Path) -> Structure:
    return read_structure(reference_data / "structures" / "ribosome_50s.cif")


@pytest.fixture(params=["star", "cs"])
def table(request: pytest.FixtureRequest, reference_data: Path, tmp_path: Path) -> ParticleTable:
    folder = reference_data / "particles" / "empiar_10076"
    stored = np.load(folder / "poses_first7.npz")
    poses = tmp_path / "poses.pkl"
    with poses.open("wb") as stream:
        pickle.dump((stored["rotation"], stored["translation_fraction_of_box"]), stream)
    return read_particles(folder / f"empiar_10076_7.{request.param}", poses=poses)


def ctf(table: ParticleTable, row: int, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """The textbook formula, 300 kV, without `cryoparts.imaging`."""
    p = table.ctf
    volts = 1e3 * p.voltage_kv[row]
    wavelength = 12.2643 / np.sqrt(volts + 0.978466e-6 * volts**2)
    angle = np.arctan2(ky, kx) - np.deg2rad(p.astigmatism_angle_degrees[row])
    u, v = p.defocus_u_angstrom[row], p.defocus_v_angstrom[row]
    defocus = 0.5 * (u + v) + 0.5 * (u - v) * np.cos(2 * angle)
    k2 = kx**2 + ky**2
    aberration = 1e7 * p.spherical_aberration_mm[row]
    chi = np.pi * wavelength * defocus * k2 - 0.5 * np.pi * aberration * wavelength**3 * k2**2
    return np.sin(chi + np.arcsin(p.amplitude_contrast[row]))


def correlation(
    table: ParticleTable, atoms: Structure, row: int, hand: int = -1, sign: int = 1
) -> float:
    """Of the model's projection times CTF with the raw image, in the band."""
    box, pixel = int(table.box_size[row]), table.pixel_size_angstrom[row]
    reference = (atoms.positions - MAP_CENTRE) * [1, 1, hand]
    seen = reference @ table.poses.rotation[row].T
    edges = (np.arange(box + 1) - box // 2 - 0.5) * pixel
    image = np.histogram2d(seen[:, 1], seen[:, 0], bins=[edges, edges], weights=atoms.masses)[0]
    frequency = np.fft.fftfreq(box, pixel)
    kx, ky = np.meshgrid(frequency, frequency, indexing="xy")
    shift = sign * table.poses.shift_angstrom[row]
    model = np.fft.fft2(np.fft.ifftshift(image)) * ctf(table, row, kx, ky)
    model *= np.exp(-2j * np.pi * (kx * shift[0] + ky * shift[1]))
    raw = open_stack(table.stack_paths[0]).read(table.slice_in_stack[row])[0]
    data = np.fft.fft2(np.fft.ifftshift(raw))
    length = np.hypot(kx, ky)
    band = (length > BAND[0]) & (length < BAND[1])
    a, b = model[band], data[band]
    return float((a * b.conj()).sum().real / np.sqrt((abs(a) ** 2).sum() * (abs(b) ** 2).sum()))


def test_header_facts(table: ParticleTable) -> None:
    np.testing.assert_allclose(table.pixel_size_angstrom, 1.31, rtol=1e-5)
    assert (table.box_size == 320).all()
    np.testing.assert_allclose(table.ctf.defocus_u_angstrom[0], 15301.1, atol=0.01)
    np.testing.assert_allclose(table.ctf.astigmatism_angle_degrees, 5.28, atol=1e-4)


def test_the_mirrored_model_correlates_negatively_with_every_particle(
    table: ParticleTable, atoms: Structure
) -> None:
    found = np.array([correlation(table, atoms, row) for row in range(7)])
    assert found.max() < -0.07, found
    assert -0.2 < found.mean() < -0.15, found


def test_other_hand_or_shift_do_not_correlate(table: ParticleTable, atoms: Structure) -> None:
    other_hand = [correlation(table, atoms, row, hand=1) for row in range(7)]
    other_shift = [correlation(table, atoms, row, sign=-1) for row in range(7)]
    assert abs(np.mean(other_hand)) < 0.05
    assert abs(np.mean(other_shift)) < 0.05
