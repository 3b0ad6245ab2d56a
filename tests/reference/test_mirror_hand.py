"""What --mirror-hand mirrors: with it a model of the other hand explains the images as it is.

Images and poses are those that cryoDRGN and RELION made; the model is made of them,
then mirrored, as a user's may be.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoparts.config import PreprocessingConfig
from cryoparts.gaussians.from_map import gaussians_from_map
from cryoparts.image_model.geometry import AS_GIVEN, check_geometry
from cryoparts.image_model.losses import Band
from cryoparts.io.mrc import read_map
from cryoparts.particle_files.mending import Mending
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.particles.preprocessing import prepare
from cryoparts.reconstruction.half_maps import reconstruct_half_maps

BAND = Band(1, 9)
MIRRORED = Mending(mirror_hand=True)


def mirrored(density: np.ndarray) -> np.ndarray:
    """The map with z turned about the centre, voxel D // 2."""
    return np.roll(density[::-1], 1, axis=0)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.fixture(scope="module")
def hand(reference_data, tmp_path_factory) -> PreparedParticles:
    folder = reference_data / "particles/cryodrgn_hand"
    table = read_particles(
        folder / "hand.mrcs", poses=folder / "hand_rot.pkl", pixel_size_angstrom=1.0,
        without_ctf=True,
    )  # fmt: skip
    config = PreprocessingConfig(box_size=32, contrast="bright", normalise=False)
    return prepare(ParticleSet(table), tmp_path_factory.mktemp("hand") / "particles", config)


@pytest.fixture(scope="module")
def volume(hand) -> np.ndarray:
    return reconstruct_half_maps(hand, np.arange(100)).map


def test_check_names_the_mirror_and_the_option_mends_it(hand, volume):
    own, other = (
        gaussians_from_map(density, 2.0, 300, 8.0)[0] for density in (volume, mirrored(volume))
    )
    assert check_geometry(hand, own, BAND).best == AS_GIVEN
    check = check_geometry(hand, other, BAND)
    assert check.best == "mirror hand"
    assert check.clearly_wrong
    assert check.mending == MIRRORED
    mended = replace(hand, poses=MIRRORED.poses(hand.poses))
    again = check_geometry(mended, other, BAND)
    assert again.best == AS_GIVEN
    assert again.frc[AS_GIVEN] == pytest.approx(check.frc["mirror hand"], abs=1e-6)


def test_maps_of_the_mended_poses_lie_on_the_model_not_on_its_mirror_image(hand, volume):
    mended = replace(hand, poses=MIRRORED.poses(hand.poses))
    made = reconstruct_half_maps(mended, np.arange(100)).map
    assert alike(made, mirrored(volume)) > 0.99
    assert alike(made, volume) < 0.9


@pytest.mark.parametrize("name", ["rln_proj_64", "rln_proj_64_shifted"])
def test_relions_projections_are_those_of_the_mirrored_map_at_mirrored_poses(
    reference_data: Path, name
):
    from scipy.ndimage import fourier_shift, map_coordinates

    folder = reference_data / "maps/relion_projection"
    table = read_particles(folder / f"{name}.star", pixel_size_angstrom=1.0, without_ctf=True)
    images = ParticleSet(table).images(np.arange(len(table)))
    density = read_map(folder / "clean70SRibosome_vol_65p.mrc", voxel_size=1.0).density
    centre = {"rln_proj_64": 32.5, "rln_proj_64_shifted": 32.0}[name]
    axis = np.arange(64) - 32
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    poses = MIRRORED.poses(table.poses)
    for rotation, shift, image in zip(poses.rotation, poses.shift_angstrom, images, strict=True):
        # the mirrored map's value at X is the map's at (x, y, -z)
        reference = rotation.T @ np.stack([x, y, z]).reshape(3, -1) * (65 / 64)
        reference[2] *= -1
        values = map_coordinates(density, reference[::-1] + centre, order=3)
        projected = np.fft.fft2(values.reshape(64, 64, 64).sum(axis=0))
        moved = np.fft.ifft2(fourier_shift(projected, shift[::-1])).real
        assert alike(moved, image) > 0.99
