"""Where model maps lie in the particles' box, and how large their voxels are."""

from __future__ import annotations

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoparts.config import ModelConfig
from cryoparts.gaussians.from_file import make_model
from cryoparts.gaussians.map_placement import padded_to_cube, place_map, plausible_voxel
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.mrc import DensityMap, read_map, write_map

BOX, PIXEL = 32, 4.0
BLOB = np.array([20.0, -12.0, 8.0])
"""(x, y, z) of the only density about the box centre, Å."""


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    axis = (np.arange(BOX) - BOX // 2) * PIXEL
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    squared = (x - BLOB[0]) ** 2 + (y - BLOB[1]) ** 2 + (z - BLOB[2]) ** 2
    return np.exp(-0.5 * squared / 8.0**2).astype(np.float32)


def model_of(path: Path, told: list[str] | None = None, **options) -> GaussianModel:
    tell = (told if told is not None else []).append
    return make_model(path, ModelConfig(n_gaussians=8, **options), 20.0, BOX, PIXEL, 0, tell)


def centre(model: GaussianModel) -> np.ndarray:
    return np.average(model.positions, axis=0, weights=model.amplitudes)


CUT = (slice(10, 26), slice(6, 22), slice(14, 30))
"""z, y, x"""
FIRST = np.array([14, 6, 10])


@pytest.mark.parametrize("from_centre", [False, True])
@pytest.mark.parametrize("by_start", [False, True])
def test_a_map_that_was_cut_out_lies_where_its_header_says(
    tmp_path: Path, whole: np.ndarray, from_centre: bool, by_start: bool
) -> None:
    first = FIRST - (BOX // 2 if from_centre else 0)
    path = tmp_path / "cut.mrc"
    write_map(path, whole[CUT], PIXEL, (0, 0, 0) if by_start else tuple(first * PIXEL))
    if by_start:
        with mrcfile.open(path, mode="r+") as file:
            file.header.nxstart, file.header.nystart, file.header.nzstart = first
    told: list[str] = []
    np.testing.assert_allclose(centre(model_of(path, told)), BLOB, atol=1.0)
    assert "placed by its origin" in told[0]


@pytest.mark.parametrize("from_centre", [False, True])
@pytest.mark.parametrize("x", [slice(14, 30), slice(13, 28)])  # even and odd
def test_a_map_that_is_no_cube_lies_where_its_header_says_and_that_is_said(
    tmp_path: Path, whole: np.ndarray, from_centre: bool, x: slice
) -> None:
    cut = (slice(10, 26), slice(3, 26), x)
    first = np.array([x.start, 3, 10]) - (BOX // 2 if from_centre else 0)
    write_map(tmp_path / "cut.mrc", whole[cut], PIXEL, tuple(first * PIXEL))
    told: list[str] = []
    np.testing.assert_allclose(centre(model_of(tmp_path / "cut.mrc", told)), BLOB, atol=1.0)
    assert f"{x.stop - x.start} x 23 x 16 voxels are no cube: padded with zeros to 23" in told[0]
    assert "placed by its origin" in told[1]


@pytest.mark.parametrize("shape", [(4, 7, 5), (6, 5, 5), (3, 3, 8), (2, 9, 4)])
def test_padding_to_a_cube_keeps_each_voxel_at_its_place(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(0).random(shape, np.float32)
    origin = np.array([1.0, -20.0, 7.5])
    padded = padded_to_cube(DensityMap(values, 3.0, origin), 3.0)
    assert padded.density.shape == (max(shape),) * 3
    assert padded.density.sum() == pytest.approx(values.sum())
    place = np.argwhere(padded.density == values[1, 2, 0])[0]
    moved = padded.origin + place[::-1] * 3.0
    np.testing.assert_allclose(moved, origin + np.array([0, 2, 1]) * 3.0)
    centre_of = [padded.density.shape[axis] // 2 for axis in range(3)]
    assert padded.density[tuple(centre_of)] == values[tuple(n // 2 for n in shape)]


def test_a_map_of_the_whole_box_is_centred_whatever_its_origin(
    tmp_path: Path, whole: np.ndarray
) -> None:
    write_map(tmp_path / "m.mrc", whole, PIXEL, (-64.0, 100.0, 3.0))
    told: list[str] = []
    np.testing.assert_allclose(centre(model_of(tmp_path / "m.mrc", told)), BLOB, atol=1.0)
    assert len(told) == 1


def test_an_origin_that_does_not_fit_is_not_followed_and_that_is_said(
    tmp_path: Path, whole: np.ndarray
) -> None:
    write_map(tmp_path / "m.mrc", whole[8:24, 8:24, 8:24], PIXEL, (300.0, 300.0, 300.0))
    told: list[str] = []
    np.testing.assert_allclose(centre(model_of(tmp_path / "m.mrc", told)), BLOB, atol=1.0)
    assert "does not make it fit" in told[0]


def test_where_both_origins_fit_the_corner_is_taken_and_the_other_can_be_chosen() -> None:
    for choice, expected in (("auto", 8 - 64 + 24), ("centre", 8 + 24)):
        placed = place_map((12, 12, 12), 4.0, np.full(3, 8.0), BOX, PIXEL, choice)
        np.testing.assert_allclose(placed.shift, expected)
    assert "--model-origin" in place_map((12,) * 3, 4.0, np.full(3, 8.0), BOX, PIXEL).notes[0]


@pytest.mark.parametrize("header", [1.0, 0.0])
def test_an_unset_voxel_size_is_the_particles(
    tmp_path: Path, whole: np.ndarray, header: float
) -> None:
    write_map(tmp_path / "m.mrc", whole, header)
    told: list[str] = []
    np.testing.assert_allclose(centre(model_of(tmp_path / "m.mrc", told)), BLOB, atol=1.0)
    assert "counts as not set: 4 Å" in told[0]


def test_another_sampling_of_the_box_is_scaled_to_its_side() -> None:
    assert plausible_voxel(64, 1.0, BOX, PIXEL)[0] == 2.0
    assert plausible_voxel(64, 2.0, BOX, PIXEL) == (2.0, None)
    # particles at 1 Å: then 1.0 is no contradiction
    assert plausible_voxel(64, 1.0, 128, 1.0) == (1.0, None)
    assert plausible_voxel(64, 1.0, 32, 2.0) == (1.0, None)


@pytest.mark.parametrize("name", ["m.map.gz", "m.mrc.gz", "m.ccp4.gz"])
def test_compressed_maps_are_read(tmp_path: Path, whole: np.ndarray, name: str) -> None:
    write_map(tmp_path / "m.mrc", whole, PIXEL, (1.0, 2.0, 3.0))
    (tmp_path / name).write_bytes(gzip.compress((tmp_path / "m.mrc").read_bytes()))
    read = read_map(tmp_path / name)
    np.testing.assert_array_equal(read.density, whole)
    assert read.origin.tolist() == [1, 2, 3]
    assert read.voxel_size == PIXEL
    np.testing.assert_allclose(centre(model_of(tmp_path / name)), BLOB, atol=1.0)


def test_a_compressed_map_that_is_cut_off_is_refused(tmp_path: Path, whole: np.ndarray) -> None:
    from cryoparts.errors import InputError

    write_map(tmp_path / "m.mrc", whole, PIXEL)
    packed = gzip.compress((tmp_path / "m.mrc").read_bytes())
    (tmp_path / "m.map.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="decompress"):
        read_map(tmp_path / "m.map.gz")
