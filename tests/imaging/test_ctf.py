"""The CTF against a formula written down independently, and against another program."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import CtfParameters
from cryoparts.imaging.ctf import CtfBatch, contrast_transfer, electron_wavelength

BASE = {
    "defocus_u_angstrom": 15000.0,
    "defocus_v_angstrom": 14000.0,
    "astigmatism_angle_degrees": 30.0,
    "voltage_kv": 300.0,
    "spherical_aberration_mm": 2.7,
    "amplitude_contrast": 0.1,
    "phase_shift_degrees": 0.0,
    "b_factor": 0.0,
    "scale": 1.0,
}


def parameters(*changes: dict[str, float]) -> CtfParameters:
    return CtfParameters(
        **{name: np.array([{**BASE, **c}[name] for c in changes or ({},)]) for name in BASE}
    )


def analytic(values: dict[str, float], box: int, pixel_size: float) -> np.ndarray:
    """Double precision, with the angle of k; constants as in the textbooks."""
    volt = 1e3 * values["voltage_kv"]
    wavelength = 12.2642596 / np.sqrt(volt * (1 + 0.978475598e-6 * volt))
    kx = np.fft.rfftfreq(box, pixel_size)[None, :]
    ky = np.fft.fftfreq(box, pixel_size)[:, None]
    k2, theta = kx**2 + ky**2, np.arctan2(ky, kx)
    u, v = values["defocus_u_angstrom"], values["defocus_v_angstrom"]
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(
        2 * (theta - np.deg2rad(values["astigmatism_angle_degrees"]))
    )
    cs = 1e7 * values["spherical_aberration_mm"]
    chi = np.pi * wavelength * defocus * k2 - np.pi / 2 * cs * wavelength**3 * k2**2
    chi += np.deg2rad(values["phase_shift_degrees"]) + np.arcsin(values["amplitude_contrast"])
    return values["scale"] * np.exp(-values["b_factor"] * k2 / 4) * np.sin(chi)


@pytest.mark.parametrize(
    ("kilovolt", "angstrom"), [(100.0, 0.0370144), (200.0, 0.0250793), (300.0, 0.0196875)]
)
def test_wavelengths_are_those_of_the_tables(kilovolt, angstrom):
    got = electron_wavelength(torch.tensor(kilovolt, dtype=torch.float64))
    assert float(got) == pytest.approx(angstrom, rel=2e-5)


@settings(max_examples=40, deadline=None)
@given(
    u=st.floats(-5000, 40000),
    difference=st.floats(-3000, 3000),  # U < V too
    angle=st.floats(-180, 180),
    voltage=st.sampled_from([100.0, 200.0, 300.0]),
    cs=st.floats(0.0, 2.7),
    contrast=st.floats(0.0, 0.2),
    phase=st.floats(0.0, 175.0),
    b_factor=st.floats(0.0, 200.0),
    scale=st.floats(0.1, 2.0),
    box=st.integers(1, 40),
    pixel_size=st.floats(1.0, 5.0),
)
def test_the_ctf_is_the_analytic_formula(
    u, difference, angle, voltage, cs, contrast, phase, b_factor, scale, box, pixel_size
):
    values = dict(
        zip(
            BASE,
            (u, u + difference, angle, voltage, cs, contrast, phase, b_factor, scale),
            strict=True,
        )
    )
    batch = CtfBatch.from_parameters(parameters(values), dtype=torch.float64)
    got = contrast_transfer(batch, box, pixel_size)
    assert got.shape == (1, box, box // 2 + 1)
    assert np.allclose(got[0].numpy(), analytic(values, box, pixel_size), atol=2e-5)
    single = contrast_transfer(parameters(values), box, pixel_size)
    assert single.dtype == torch.float32
    assert np.allclose(single, got, atol=2e-3)


def test_every_particle_has_its_own_parameters_and_pixel_size():
    changes = [{}, {"voltage_kv": 200.0, "defocus_u_angstrom": 9000.0}, {"b_factor": 90.0}]
    sizes = torch.tensor([1.0, 2.0, 3.0])
    together = contrast_transfer(parameters(*changes), 24, sizes)
    for place, change in enumerate(changes):
        alone = analytic({**BASE, **change}, 24, float(sizes[place]))
        assert np.allclose(together[place], alone, atol=1e-3)


def test_zeros_lie_where_the_phase_is_a_multiple_of_pi():
    values = {
        **BASE,
        "defocus_u_angstrom": 20000.0,
        "defocus_v_angstrom": 20000.0,
        "amplitude_contrast": 0.0,
    }
    box, pixel = 4096, 1.0
    line = contrast_transfer(parameters(values), box, pixel)[0, 0].double().numpy()
    wavelength, cs = 0.0196875, 2.7e7
    # 1/2 Cs lambda^3 k^4 - lambda d k^2 + n = 0
    order = np.arange(1, 20)
    half, linear = 0.5 * cs * wavelength**3, wavelength * 20000.0
    zeros = np.sqrt((linear - np.sqrt(linear**2 - 4 * half * order)) / (2 * half))
    crossing = np.flatnonzero(np.sign(line[1:-1]) != np.sign(line[2:])) + 1
    found = (crossing + line[crossing] / (line[crossing] - line[crossing + 1])) / (box * pixel)
    assert np.allclose(found[: len(zeros)], zeros, rtol=1e-4)


def test_underfocus_is_positive_at_low_frequency_and_astigmatism_starts_at_x():
    values = {**BASE, "defocus_u_angstrom": 12000.0, "defocus_v_angstrom": 8000.0}
    ctf = contrast_transfer(parameters({**values, "astigmatism_angle_degrees": 0.0}), 256, 1.0)[0]
    assert float(ctf[0, 0]) == pytest.approx(0.1, rel=1e-5)  # the amplitude contrast
    assert (ctf[0, :10] > 0).all()
    # The larger defocus U acts along x, so the first zero comes earlier there.
    first_x = int(torch.nonzero(ctf[0] < 0)[0])
    first_y = int(torch.nonzero(ctf[:128, 0] < 0)[0])
    assert first_x < first_y


def test_no_argument_is_changed_and_the_same_call_gives_the_same_result():
    batch = CtfBatch.from_parameters(parameters({}, {"defocus_u_angstrom": 9000.0}))
    before = [getattr(batch, f.name).clone() for f in fields(CtfParameters)]
    sizes = torch.tensor([1.0, 1.5])
    first, second = contrast_transfer(batch, 32, sizes), contrast_transfer(batch, 32, sizes)
    assert torch.equal(first, second)
    for field, old in zip(fields(CtfParameters), before, strict=True):
        assert torch.equal(getattr(batch, field.name), old)
    assert torch.equal(sizes, torch.tensor([1.0, 1.5]))


def test_the_batch_does_not_share_memory_with_the_parameters():
    source = parameters({}, {"scale": 3.0}, {"scale": 2.0})
    batch = CtfBatch.from_parameters(source, [2, 1], dtype=torch.float64)
    assert batch.scale.tolist() == [2.0, 3.0]
    whole = CtfBatch.from_parameters(source, dtype=torch.float64)
    whole.scale.zero_()
    assert source.scale.tolist() == [1.0, 3.0, 2.0]
    assert len(batch) == 2


def test_every_parameter_has_the_right_gradient():
    batch = CtfBatch.from_parameters(
        parameters({"phase_shift_degrees": 20.0, "b_factor": 30.0}), dtype=torch.float64
    )
    names = [f.name for f in fields(CtfParameters)]
    leaves = [getattr(batch, name).requires_grad_() for name in names]

    def ctf(*values: torch.Tensor) -> torch.Tensor:
        return contrast_transfer(CtfBatch(*values), 6, 2.0)

    assert torch.autograd.gradcheck(ctf, leaves, eps=1e-5, atol=1e-6)


def test_an_empty_batch_gives_an_empty_ctf():
    nothing = parameters({}).take(np.array([], dtype=int))
    assert contrast_transfer(nothing, 8, 1.0).shape == (0, 8, 5)


@pytest.mark.parametrize("difference", [0.0, 1200.0])
@pytest.mark.parametrize("phase", [0.0, 60.0])
def test_another_program_gives_the_same(difference, phase):
    torch_ctf = pytest.importorskip("torch_ctf")
    values = {
        **BASE,
        "defocus_v_angstrom": BASE["defocus_u_angstrom"] - difference,
        "phase_shift_degrees": phase,
    }
    u, v = values["defocus_u_angstrom"] * 1e-4, values["defocus_v_angstrom"] * 1e-4
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=(u + v) / 2,
        astigmatism=(u - v) / 2,
        astigmatism_angle=values["astigmatism_angle_degrees"],
        voltage=values["voltage_kv"],
        spherical_aberration=values["spherical_aberration_mm"],
        amplitude_contrast=values["amplitude_contrast"],
        phase_shift=phase,
        pixel_size=2.0,
        image_shape=(64, 64),
        rfft=True,
        fftshift=False,
    )
    ours = contrast_transfer(parameters(values), 64, 2.0)[0]
    sign = torch.sign((theirs.squeeze() * ours).sum())  # theirs may be -sin(chi)
    assert torch.allclose(ours, sign * theirs.squeeze().float(), atol=5e-3)
    assert float(sign) == 1.0
