from __future__ import annotations

import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.mrc import open_stack, read_map, write_map, write_stack

SHAPE = (5, 12, 12)


def values(dtype: np.dtype) -> np.ndarray:
    drawn = np.random.default_rng(3).integers(0, 100, SHAPE)
    return drawn.astype(dtype) if dtype.kind != "f" else (drawn / 8).astype(dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_stack_of_every_mode_and_byte_order_reads_as_written(
    tmp_path: Path, dtype: str, order: str
) -> None:
    written = values(np.dtype(dtype)).astype(np.dtype(dtype).newbyteorder(order))
    path = tmp_path / "stack.mrcs"
    with mrcfile.new(path, data=written) as file:
        file.voxel_size = 1.7
    stack = open_stack(path)
    assert (len(stack), stack.box_size, stack.pixel_size_angstrom) == (5, 12, 1.7)
    read = stack.read([3, 0, 3])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, written[[3, 0, 3]].astype(np.float32))


def test_header_without_machine_stamp_is_read_as_little_endian(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    density = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    write_map(path, density, 3.25)
    raw = bytearray(path.read_bytes())
    raw[212:216] = bytes(4)
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_map(path)
    np.testing.assert_array_equal(read.density, density)
    assert read.voxel_size == 3.25


def test_map_round_trip_keeps_values_voxel_and_origin(tmp_path: Path) -> None:
    density = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    write_map(tmp_path / "a.mrc", density, 1.5, origin_angstrom=(-6.0, -4.5, -3.0))
    read = read_map(tmp_path / "a.mrc")
    np.testing.assert_array_equal(read.density, density)
    np.testing.assert_array_equal(read.origin, [-6.0, -4.5, -3.0])
    assert read.voxel_size == 1.5


def test_map_with_permuted_axes_comes_out_in_z_y_x(tmp_path: Path) -> None:
    density = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)  # z, y, x
    with mrcfile.new(
        tmp_path / "p.mrc", data=np.ascontiguousarray(density.transpose(2, 0, 1))
    ) as f:
        # Sections run along x, rows along z, columns along y.
        f.header.mapc, f.header.mapr, f.header.maps = 2, 3, 1
        f.header.nxstart, f.header.nystart, f.header.nzstart = 20, 30, 10
        f.header.mx, f.header.my, f.header.mz = 8, 6, 4
        f.header.cella = (16.0, 12.0, 8.0)
    read = read_map(tmp_path / "p.mrc")
    np.testing.assert_array_equal(read.density, density)
    np.testing.assert_array_equal(read.origin, [20.0, 40.0, 60.0])  # 2 Å voxels


def test_write_stack_streams_batches_and_refuses_a_wrong_count(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(size=(7, 8, 8)).astype(np.float32)
    options = {"count": 7, "box_size": 8, "pixel_size_angstrom": 1.1}
    write_stack(tmp_path / "s.mrcs", iter([images[:3], images[3:]]), **options)
    np.testing.assert_array_equal(open_stack(tmp_path / "s.mrcs").read(np.arange(7)), images)
    for batches in ([images[:3]], [images, images[:1]]):
        with pytest.raises(ValueError, match="7 images"):
            write_stack(tmp_path / "t.mrcs", iter(batches), **options)
    assert [p.name for p in tmp_path.iterdir()] == ["s.mrcs"]


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("data_particles\n" * 100)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (cut_off, "announces 2 sections"),
        (empty, "is empty"),
        (text, "not an MRC"),
        (Path.unlink, "no such"),
    ],
)
def test_a_spoilt_stack_is_named_with_what_is_wrong(tmp_path: Path, spoil, problem: str) -> None:
    path = tmp_path / "s.mrcs"
    batch = np.zeros((2, 8, 8), np.float32)
    write_stack(path, iter([batch]), count=2, box_size=8, pixel_size_angstrom=1.0)
    spoil(path)
    with pytest.raises(InputError, match=problem) as caught:
        open_stack(path)
    assert caught.value.where == str(path)


def test_maps_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    cube = np.zeros((4, 4, 4), np.float32)
    write_map(tmp_path / "unset.mrc", cube, 0.0)
    with pytest.raises(InputError, match="no voxel size") as caught:
        read_map(tmp_path / "unset.mrc")
    assert "--model-pixel-size" in caught.value.cure
    assert read_map(tmp_path / "unset.mrc", voxel_size=2.0).voxel_size == 2.0
    write_map(tmp_path / "nan.mrc", cube, 1.0)
    raw = bytearray((tmp_path / "nan.mrc").read_bytes())
    raw[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "nan.mrc").write_bytes(raw)
    with pytest.raises(InputError, match="1 voxels are NaN"):
        read_map(tmp_path / "nan.mrc")
    with mrcfile.new(tmp_path / "flat.mrc", data=np.zeros((4, 4), np.float32)):
        pass
    with pytest.raises(InputError, match="three dimensions"):
        read_map(tmp_path / "flat.mrc")
    with mrcfile.new(tmp_path / "oblong.mrc", data=np.zeros((4, 4, 4), np.float32)) as file:
        file.voxel_size = (1.0, 1.0, 1.2)
    with pytest.raises(InputError, match="must be cubes"):
        read_map(tmp_path / "oblong.mrc")


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "s.mrcs", data=np.zeros((3, 8, 10), np.float32)):
        pass
    with pytest.raises(InputError, match="10 x 8 pixels"):
        open_stack(tmp_path / "s.mrcs")
