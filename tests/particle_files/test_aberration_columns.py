"""Aberrations as RELION and cryoSPARC write them, against the formulas they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cryosparc.dataset import Dataset

from cryoparts.conventions import AberratedCtfParameters, CtfParameters
from cryoparts.errors import InputError
from cryoparts.imaging.ctf import contrast_transfer, split_transfer
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion import write_relion

BOX, PIXEL, CS, KV = 32, 1.2, 2.7, 300.0
WAVELENGTH = 12.2643247 / np.sqrt(KV * 1e3 * (1 + KV * 1e3 * 0.978466e-6))  # RELION's
TILTED = {
    "rlnBeamTiltX": ["0.5", "0"],
    "rlnBeamTiltY": ["-0.3", "0"],
}


def relion_file(folder: Path, optics: dict[str, list[str]], groups: str = "1212") -> Path:
    images = np.random.default_rng(0).normal(size=(4, BOX, BOX)).astype(np.float32)
    write_stack(folder / "s.mrcs", iter([images]), count=4, box_size=BOX, pixel_size_angstrom=PIXEL)
    columns = {
        "rlnOpticsGroup": ["1", "2"], "rlnVoltage": [str(KV)] * 2,
        "rlnSphericalAberration": [str(CS)] * 2, "rlnAmplitudeContrast": ["0.1"] * 2,
        "rlnImagePixelSize": [str(PIXEL)] * 2, **optics,
    }  # fmt: skip
    text = "data_optics\n\nloop_\n" + "".join(f"_{c}\n" for c in columns)
    text += "".join(" ".join(row) + "\n" for row in zip(*columns.values(), strict=True))
    particles = ("rlnImageName", "rlnOpticsGroup", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi",
                 "rlnOriginXAngst", "rlnOriginYAngst", "rlnDefocusU", "rlnDefocusV",
                 "rlnDefocusAngle")  # fmt: skip
    text += "\ndata_particles\n\nloop_\n" + "".join(f"_{c}\n" for c in particles)
    text += "".join(
        f"{i + 1}@s.mrcs {g} 10 20 30 1.5 -2.5 12000 11000 30\n" for i, g in enumerate(groups)
    )
    path = folder / "p.star"
    path.write_text(text)
    return path


def cryosparc_file(folder: Path, **values: np.ndarray) -> Path:
    images = np.random.default_rng(0).normal(size=(4, BOX, BOX)).astype(np.float32)
    write_stack(folder / "s.mrc", iter([images]), count=4, box_size=BOX, pixel_size_angstrom=PIXEL)
    rows = Dataset(
        {
            "uid": np.arange(4, dtype=np.uint64) + 5,
            "blob/path": np.array(["s.mrc"] * 4),
            "blob/idx": np.arange(4, dtype=np.uint32),
            "blob/psize_A": np.full(4, PIXEL, np.float32),
            "alignments3D/pose": np.zeros((4, 3), np.float32),
            "alignments3D/shift": np.zeros((4, 2), np.float32),
            "ctf/df1_A": np.full(4, 12000, np.float32),
            "ctf/df2_A": np.full(4, 11000, np.float32),
            "ctf/df_angle_rad": np.full(4, 0.5, np.float32),
            "ctf/accel_kv": np.full(4, KV, np.float32),
            "ctf/cs_mm": np.full(4, CS, np.float32),
            "ctf/amp_contrast": np.full(4, 0.1, np.float32),
            **{k.replace("__", "/"): v.astype(np.float32) for k, v in values.items()},
        }
    )
    path = folder / "p.cs"
    rows.save(str(path))
    return path


def inner_frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Without the Nyquist lines, where antisymmetric phases are 0."""
    kx, ky = np.fft.rfftfreq(BOX, PIXEL)[:-1], np.fft.fftfreq(BOX, PIXEL)
    return np.meshgrid(kx, np.delete(ky, BOX // 2), indexing="xy")


def inner(plane: torch.Tensor) -> np.ndarray:
    return np.delete(plane.numpy(), BOX // 2, axis=0)[:, :-1]


def test_relions_beam_tilt_is_its_published_phase(tmp_path):
    table = read_particles(relion_file(tmp_path, TILTED))
    kx, ky = inner_frequencies()
    # obs_model.cpp, tilt_helper.cpp: exp(i p), p = -2 pi Cs lambda^2 |k|^2 (k . T)
    phase = -2 * np.pi * CS * 1e7 * WAVELENGTH**2 * (kx**2 + ky**2) * 1e-3 * (0.5 * kx - 0.3 * ky)
    factor = split_transfer(table.ctf, BOX, PIXEL)[1]
    assert np.allclose(inner(factor[0]), np.exp(1j * phase), atol=2e-4)
    assert torch.equal(factor[1], torch.ones_like(factor[1]))  # the other group has none


def test_relions_coefficients_and_tilt_add_up_as_in_relion(tmp_path):
    optics = {
        **TILTED,
        "rlnOddZernike": ["[1,2,30,0,0,-40]", "[]"],
        "rlnEvenZernike": ["[0.1,0,0,0,50,0,60,0,-70]", "[0,0,0,0,0,0,0,0,0]"],
    }
    table = read_particles(relion_file(tmp_path, optics))
    kx, ky = inner_frequencies()
    r2 = kx**2 + ky**2
    odd = -2 * np.pi * CS * 1e7 * WAVELENGTH**2 * r2 * 1e-3 * (0.5 * kx - 0.3 * ky)
    odd = odd + ky + 2 * kx + 30 * (3 * kx**2 * ky - ky**3) - 40 * (kx**3 - 3 * kx * ky**2)
    real, factor = split_transfer(table.ctf, BOX, PIXEL)
    assert np.allclose(inner(factor[0]), np.exp(1j * odd), atol=2e-4)
    # ctf.h: -sin(gamma + offset), gamma = -chi here
    even = 0.1 + 50 * (4 * kx**3 * ky - 4 * kx * ky**3) + 60 * (6 * r2**2 - 6 * r2 + 1)
    even = even - 70 * (kx**4 - 6 * kx**2 * ky**2 + ky**4)
    plain = CtfParameters(**{k: v for k, v in vars(table.ctf).items() if k != "aberrations"})
    quarter = CtfParameters(**{**vars(plain), "phase_shift_degrees": np.full(4, 90.0)})
    sine, cosine = (inner(contrast_transfer(c, BOX, PIXEL)[0]) for c in (plain, quarter))
    assert np.allclose(inner(real[0]), sine * np.cos(even) - cosine * np.sin(even), atol=2e-3)
    assert torch.equal(real[1], contrast_transfer(plain, BOX, PIXEL)[1])


@pytest.mark.parametrize(
    "optics",
    [
        {},
        {"rlnBeamTiltX": ["0", "0.0"], "rlnBeamTiltY": ["0", "0"]},
        {"rlnOddZernike": ["[0,0,0,0,0,0]"] * 2, "rlnEvenZernike": ["[0,0]"] * 2},
        {"rlnMagMat00": ["1.000000"] * 2, "rlnMagMat01": ["0"] * 2, "rlnMagMat10": ["0"] * 2,
         "rlnMagMat11": ["1"] * 2},
    ],
)  # fmt: skip
def test_files_without_aberrations_have_none_and_no_note(tmp_path, optics):
    table = read_particles(relion_file(tmp_path, optics))
    assert type(table.ctf) is CtfParameters
    assert table.magnification is None
    assert table.notes == ()


def test_relions_magnification_is_each_groups_matrix(tmp_path):
    optics = {"rlnMagMat00": ["1.01", "1"], "rlnMagMat01": ["0.002", "0"],
              "rlnMagMat10": ["0.003", "0"], "rlnMagMat11": ["0.99", "1"]}  # fmt: skip
    table = read_particles(relion_file(tmp_path, optics))
    assert table.magnification[0].tolist() == [[1.01, 0.002], [0.003, 0.99]]
    assert table.magnification[1].tolist() == [[1, 0], [0, 1]]
    assert table.take([1, 0]).magnification[1, 0, 0] == 1.01


@pytest.mark.parametrize(
    ("column", "bad", "said"),
    [
        ("rlnOddZernike", "[1,x]", "must be a list of numbers"),
        ("rlnEvenZernike", "[nan]", "must be a list of numbers"),
        ("rlnBeamTiltX", "much", "must hold numbers"),
        ("rlnMagMat00", "2.5", "must be near the unit matrix"),
    ],
)
def test_broken_values_are_errors_that_name_column_and_rule(tmp_path, column, bad, said):
    good = {"rlnMagMat00": "1.01"}.get(column, "0")
    path = relion_file(tmp_path, {column: [bad, good]})
    with pytest.raises(InputError, match=column[:9]) as caught:
        read_particles(path)
    assert said in str(caught.value)


def test_a_matrix_with_the_unit_matrix_subtracted_is_recognised(tmp_path):
    optics = {"rlnMagMat00": ["0.01", "0"], "rlnMagMat01": ["0", "0"], "rlnMagMat10": ["0", "0"],
              "rlnMagMat11": ["-0.01", "0"]}  # fmt: skip
    table = read_particles(relion_file(tmp_path, optics))
    assert np.allclose(table.magnification[0], np.diag([1.01, 0.99]))
    assert any("unit matrix is subtracted" in note for note in table.notes)


def test_what_is_written_for_relion_is_read_back_the_same(tmp_path):
    optics = {**TILTED, "rlnOddZernike": ["[1,2,30,0,0,-40]", "[]"],
              "rlnEvenZernike": ["[0.1,0,0,0,50]", "[]"],
              "rlnMagMat00": ["1.01", "1"], "rlnMagMat01": ["0.002", "0"],
              "rlnMagMat10": ["0.003", "0"], "rlnMagMat11": ["0.99", "1"]}  # fmt: skip
    table = read_particles(relion_file(tmp_path, optics))
    write_relion(tmp_path / "again.star", table)
    again = read_particles(tmp_path / "again.star")
    assert np.allclose(again.magnification, table.magnification)
    for one, other in zip(
        split_transfer(again.ctf, BOX, PIXEL), split_transfer(table.ctf, BOX, PIXEL), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_cryosparcs_lengths_are_terms_of_the_wave_aberration(tmp_path):
    tilt, trefoil = np.array([900.0, -500.0]), np.array([700.0, 300.0])
    tetra = np.array([2e4, -1e4, 3e4, 1.5e4])
    path = cryosparc_file(
        tmp_path,
        ctf__tilt_A=np.tile(tilt, (4, 1)) * [[1], [1], [0], [0]],
        ctf__trefoil_A=np.tile(trefoil, (4, 1)) * [[1], [1], [0], [0]],
        ctf__tetra_A=np.tile(tetra, (4, 1)) * [[1], [0], [0], [0]],
    )
    table = read_particles(path)
    assert isinstance(table.ctf, AberratedCtfParameters)
    assert len(table.ctf.aberrations.odd_zernike) == 3  # three kinds of rows
    kx, ky = inner_frequencies()
    r, theta = np.hypot(kx, ky), np.arctan2(ky, kx)
    odd = 2 * np.pi * WAVELENGTH**2 * r**2 * (tilt[0] * kx + tilt[1] * ky)
    turn = trefoil[0] * np.cos(3 * theta) + trefoil[1] * np.sin(3 * theta)
    odd = odd + 2 * np.pi / 3 * WAVELENGTH**2 * r**3 * turn
    real, factor = split_transfer(table.ctf, BOX, PIXEL)
    assert np.allclose(inner(factor[0]), np.exp(1j * odd), atol=2e-4)
    assert torch.equal(factor[2], torch.ones_like(factor[2]))
    even = 2 * np.pi * (tetra[0] * np.cos(2 * theta) + tetra[1] * np.sin(2 * theta))
    even = even + np.pi / 2 * (tetra[2] * np.cos(4 * theta) + tetra[3] * np.sin(4 * theta))
    even = even * WAVELENGTH**3 * r**4
    plain = CtfParameters(**{k: v for k, v in vars(table.ctf).items() if k != "aberrations"})
    quarter = CtfParameters(**{**vars(plain), "phase_shift_degrees": np.full(4, 90.0)})
    sine, cosine = (inner(contrast_transfer(c, BOX, PIXEL)[0]) for c in (plain, quarter))
    assert np.allclose(inner(real[0]), sine * np.cos(even) - cosine * np.sin(even), atol=2e-3)


def test_cryosparcs_magnification_lacks_the_unit_matrix_and_its_shift_is_named(tmp_path):
    path = cryosparc_file(
        tmp_path,
        ctf__anisomag=np.tile([0.01, 0.002, 0.003, -0.01], (4, 1)),
        ctf__shift_A=np.full((4, 2), 0.2),
    )
    table = read_particles(path)
    assert np.allclose(table.magnification[3], [[1.01, 0.002], [0.003, 0.99]])
    assert [("ctf/shift_A" in note, "not modelled" in note) for note in table.notes] == [
        (True, True)
    ]
    zero = cryosparc_file(tmp_path, ctf__anisomag=np.zeros((4, 4)), ctf__tilt_A=np.zeros((4, 2)))
    plain = read_particles(zero)
    assert plain.magnification is None
    assert type(plain.ctf) is CtfParameters
    assert plain.notes == ()


def test_an_optics_group_defined_twice_is_named(tmp_path):
    path = relion_file(tmp_path, {"rlnOpticsGroup": ["2", "2"]}, groups="2222")
    with pytest.raises(InputError, match="optics group 2 is defined 2 times") as caught:
        read_particles(path)
    assert "data_optics" in caught.value.where
