"""EMAN2 lists; the .hdf stacks are written here the way EMAN2 lays them out."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cryoparts.conventions import rotation_from_euler
from cryoparts.errors import InputError
from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.read_particles import read_particles

CTF = "E1.5 0.2 30 100 10 300 2.7 2.5 0.01 0 0"


def write_hdf(path: Path, images: np.ndarray, *, bits: int = 0, ctf: str | None = CTF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("MDF/images")
        group.attrs["imageid_max"] = len(images) - 1
        for number, image in enumerate(images):
            one = group.create_group(str(number))
            stored = image
            if bits:
                low, high = float(image.min()), float(image.max())
                step = (high - low) / (2**bits - 1)
                stored = np.rint((image - low) / step).astype(np.uint8 if bits <= 8 else np.uint16)
                one.attrs["EMAN.stored_renderbits"] = bits
                one.attrs["EMAN.stored_rendermin"] = np.float32(low)
                one.attrs["EMAN.stored_rendermax"] = np.float32(high)
            one.create_dataset("image", data=stored)
            one.attrs["EMAN.apix_x"] = np.float32(2.5)
            if ctf is not None:
                one.attrs["EMAN.ctf"] = np.bytes_(ctf)
    return path


def write_lst(path: Path, rows: list[tuple[int, str, dict]]) -> Path:
    lines = [f"{n}\t{file}\t{json.dumps(given)}   " for n, file, given in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#LSX\n# This file is in fast LST format.\n# 500\n" + "\n".join(lines) + "\n")
    return path


def pose(rotation: np.ndarray, shift: tuple[float, float]) -> dict:
    matrix = np.column_stack([rotation, [*shift, 0.0]]).ravel().tolist()
    return {"xform.projection": {"__class__": "Transform", "matrix": json.dumps(matrix)}}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(3, 16, 16)).astype(np.float32)


def test_list_with_hdf_stack(tmp_path: Path, images: np.ndarray) -> None:
    write_hdf(tmp_path / "particles" / "s.hdf", images)
    turned = [rotation_from_euler(10.0 * i, 40, 70) for i in range(3)]
    rows = [
        (i, "particles/s.hdf", pose(turned[i], (1.0, -2.0)) | {"class": i % 2}) for i in (2, 0, 1)
    ]
    table = read_particles(write_lst(tmp_path / "r3d_00" / "p.lst", rows))
    assert table.names.tolist() == [f"{i}@particles/s.hdf" for i in (2, 0, 1)]
    np.testing.assert_allclose(table.poses.rotation, [turned[i] for i in (2, 0, 1)])
    np.testing.assert_allclose(table.poses.shift_angstrom, [[2.5, -5.0]] * 3)
    np.testing.assert_allclose(table.ctf.defocus_u_angstrom, 16000)
    np.testing.assert_allclose(table.ctf.defocus_v_angstrom, 14000)
    np.testing.assert_allclose(table.ctf.amplitude_contrast, 0.1)
    np.testing.assert_allclose(table.ctf.b_factor, 100)
    assert table.half_set.tolist() == [1, 1, 2]
    assert set(table.pixel_size_angstrom) == {2.5}
    assert set(table.box_size) == {16}
    assert not table.phase_flipped


@pytest.mark.parametrize("bits", [0, 8, 12])
def test_compressed_integers_are_scaled_back(tmp_path: Path, images: np.ndarray, bits: int) -> None:
    stack = open_stack(write_hdf(tmp_path / "s.hdf", images, bits=bits))
    assert (len(stack), stack.box_size, stack.pixel_size_angstrom) == (3, 16, 2.5)
    step = float(np.ptp(images)) / 2**bits if bits else 1e-6
    np.testing.assert_allclose(stack.read([2, 0]), images[[2, 0]], atol=step)


@pytest.mark.parametrize(("percent", "degrees"), [(10, np.rad2deg(np.arcsin(0.1))), (150, 150.0)])
def test_contrast_beyond_100_percent_is_a_phase(
    tmp_path: Path, images: np.ndarray, percent: float, degrees: float
) -> None:
    write_hdf(tmp_path / "s.hdf", images, ctf=CTF.replace(" 100 10 ", f" 100 {percent} "))
    table = read_particles(write_lst(tmp_path / "p.lst", [(0, "s.hdf", pose(np.eye(3), (0, 0)))]))
    phase = np.rad2deg(np.arcsin(table.ctf.amplitude_contrast)) + table.ctf.phase_shift_degrees
    np.testing.assert_allclose(phase, degrees)


def test_flipped_stacks_are_known_by_name(tmp_path: Path, images: np.ndarray) -> None:
    write_hdf(tmp_path / "s__ctf_flip.hdf", images)
    write_hdf(tmp_path / "s.hdf", images)
    row = pose(np.eye(3), (0, 0))
    flipped = (0, "s__ctf_flip.hdf", row)
    assert read_particles(write_lst(tmp_path / "p.lst", [flipped])).phase_flipped
    with pytest.raises(InputError, match="phase-flipped"):
        read_particles(write_lst(tmp_path / "q.lst", [flipped, (1, "s.hdf", row)]))


@pytest.mark.parametrize(
    ("rows", "ctf", "problem"),
    [
        ([(0, "s.hdf", {})], CTF, "no orientations"),
        ([(0, "s.hdf", {"xform.align3d": {}})], CTF, "3D particles"),
        (
            [(0, "s.hdf", pose(np.eye(3), (0, 0)) | {"ptcl3d_id": 0, "tilt_id": 3})],
            CTF,
            "particles of tilt series",
        ),
        ([(0, "s.hdf", pose(np.eye(3), (0, 0)))], None, "no defocus U"),
        ([(0, "s.hdf", pose(np.eye(3), (0, 0)))], "broken", "cannot be read"),
        ([(3, "s.hdf", pose(np.eye(3), (0, 0)))], CTF, "no CTF|asks for image 4"),
        ([(0, "s.hdf", pose(np.eye(3), (0, 0))), (1, "s.hdf", {})], CTF, "no xform.projection"),
        ([(0, "s.hdf", {"xform.projection": {"matrix": "[1,2]"}})], CTF, "12 numbers"),
    ],
)
def test_bad_lists_say_why(
    tmp_path: Path, images: np.ndarray, rows: list, ctf: str | None, problem: str
) -> None:
    write_hdf(tmp_path / "s.hdf", images, ctf=ctf)
    with pytest.raises(InputError, match=problem):
        read_particles(write_lst(tmp_path / "p.lst", rows))


def test_a_list_without_tabs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.lst").write_text("#LSX\n# a\n# 9\n0 s.hdf\n")
    with pytest.raises(InputError, match="separated by tabs") as caught:
        read_particles(tmp_path / "p.lst")
    assert caught.value.where.endswith("line 4")
