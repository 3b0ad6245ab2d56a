"""Written maps lie on the map that the user gave, whatever its header's convention."""

from __future__ import annotations

from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from cryoparts.config import ModelConfig
from cryoparts.errors import InputError
from cryoparts.gaussians.from_file import frame_of
from cryoparts.io.map_frame import FILE, MapFrame
from cryoparts.io.mrc import read_map, write_map
from cryoparts.io.structure import Structure, write_structure

BOX, PIXEL = 16, 4.0


def blob(size: int, voxel: float, at: tuple[float, float, float]) -> np.ndarray:
    axis = (np.arange(size) - size // 2) * voxel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    squared = (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2
    return np.exp(-0.5 * squared / 6.0**2).astype(np.float32)


def peak(path: Path) -> np.ndarray:
    """World coordinates of a map's maximum, Å, by this program's reading."""
    read = read_map(path)
    z, y, x = np.unravel_index(read.density.argmax(), read.density.shape)
    return np.array([x, y, z]) * read.voxel_size + read.origin


def gemmi_peak(path: Path) -> np.ndarray:
    """The same by gemmi, which goes by NSTART and the axes' order."""
    ccp4 = gemmi.read_ccp4_map(str(path))
    start = np.array([ccp4.header_i32(word) for word in (5, 6, 7)])
    order = [ccp4.header_i32(word) - 1 for word in (17, 18, 19)]
    found = np.array(np.unravel_index(np.array(ccp4.grid).argmax(), ccp4.grid.shape)) + start
    place = np.empty(3)
    place[order] = found
    return place * ccp4.grid.unit_cell.a / ccp4.header_i32(8)


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (-32.0, -32.0, -32.0), (12.5, -3.0, 100.0)])
@pytest.mark.parametrize(("size", "pixel"), [(16, 4.0), (8, 8.0)])
def test_maps_lie_on_a_map_with_an_origin(
    tmp_path: Path, origin: tuple[float, float, float], size: int, pixel: float
) -> None:
    at = (8.0, -16.0, 16.0)
    write_map(tmp_path / "user.mrc", blob(BOX, PIXEL, at), PIXEL, origin)
    frame = frame_of(tmp_path / "user.mrc", ModelConfig(), BOX, PIXEL)
    frame.write(tmp_path / "ours.mrc", blob(size, pixel, at), pixel)
    np.testing.assert_allclose(peak(tmp_path / "ours.mrc"), peak(tmp_path / "user.mrc"), atol=1e-4)


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
@pytest.mark.parametrize(("size", "pixel"), [(16, 4.0), (8, 8.0)])
def test_maps_lie_on_a_map_with_starts_and_permuted_axes_in_gemmi_too(
    tmp_path: Path, axes: tuple[int, int, int], size: int, pixel: float
) -> None:
    at, start = (8.0, -16.0, 16.0), np.array([4, -8, 12])
    density = blob(BOX, PIXEL, at)
    # columns, rows, sections run along these axes of (x, y, z)
    laid = np.transpose(density, [3 - axis for axis in axes[::-1]])
    with mrcfile.new(tmp_path / "user.mrc", data=np.ascontiguousarray(laid)) as file:
        file.voxel_size = PIXEL
        file.header.mapc, file.header.mapr, file.header.maps = axes
        (file.header.nxstart, file.header.nystart, file.header.nzstart) = start[np.array(axes) - 1]
    frame = frame_of(tmp_path / "user.mrc", ModelConfig(), BOX, PIXEL)
    assert frame.by_start
    frame.write(tmp_path / "ours.mrc", blob(size, pixel, at), pixel)
    expected = np.array(at) + (8 + start) * PIXEL
    for path in (tmp_path / "user.mrc", tmp_path / "ours.mrc"):
        np.testing.assert_allclose(peak(path), expected, atol=1e-4)
        np.testing.assert_allclose(gemmi_peak(path), expected, atol=1e-4)


def test_starts_that_are_no_whole_voxels_become_an_origin(tmp_path: Path) -> None:
    frame = MapFrame((17.0, 17.0, 17.0), by_start=True)
    frame.write(tmp_path / "m.mrc", blob(8, 4.0, (0.0, 0.0, 0.0)), 4.0)
    np.testing.assert_allclose(read_map(tmp_path / "m.mrc").origin, 1.0)


def test_a_map_cut_out_of_the_box_gives_the_frame_of_the_box(tmp_path: Path) -> None:
    whole = blob(BOX, PIXEL, (0.0, 8.0, 4.0))
    write_map(tmp_path / "cut.mrc", whole[4:14, 4:14, 5:15], PIXEL, (20.0, 16.0, 16.0))
    frame = frame_of(tmp_path / "cut.mrc", ModelConfig(), BOX, PIXEL)
    frame.write(tmp_path / "ours.mrc", whole, PIXEL)
    np.testing.assert_allclose(peak(tmp_path / "ours.mrc"), peak(tmp_path / "cut.mrc"), atol=1e-4)


@pytest.mark.parametrize("corner", [0.0, 32.0])
def test_maps_lie_on_the_atoms_of_a_structure(tmp_path: Path, corner: float) -> None:
    xyz = np.array([[8.0, -8.0, 4.0], [-8.0, 8.0, -4.0]], dtype=np.float32) + np.float32(corner)
    word = np.array(["A", "A"])
    made = Structure(xyz, np.full(2, 6, np.float32), word, np.arange(2), word, word, word)
    write_structure(tmp_path / "m.cif", made)
    frame = frame_of(tmp_path / "m.cif", ModelConfig(), BOX, PIXEL)
    assert frame.box_centre_angstrom == (corner,) * 3


def test_the_frame_is_kept_in_the_run_folder(tmp_path: Path) -> None:
    assert MapFrame.load(tmp_path) == MapFrame()
    frame = MapFrame((1.0, 2.5, -3.0), by_start=True)
    frame.save(tmp_path)
    assert MapFrame.load(tmp_path) == frame
    for damaged in ("", "[]", '{"box_centre_angstrom": [1, 2], "by_start": 0}', "\x00"):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(InputError):
            MapFrame.load(tmp_path)
