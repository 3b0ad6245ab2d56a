"""Higher-order aberrations: textbook polynomials, parity, limits, another program."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.conventions import AberratedCtfParameters, Aberrations, CtfParameters
from cryoparts.imaging.aberrations import even_order, odd_order, phase_of, zernike
from cryoparts.imaging.ctf import CtfBatch, contrast_transfer, split_transfer
from cryoparts.imaging.fourier import inverse_transform, transform

BOX, PIXEL = 32, 1.5


def plain(count: int = 3) -> CtfParameters:
    one = np.ones(count)
    return CtfParameters(
        np.linspace(1e4, 2e4, count), np.linspace(9e3, 2.1e4, count), 20 * one, 300 * one,
        2.7 * one, 0.1 * one, 0 * one, 30 * one, one,
    )  # fmt: skip


def aberrated(odd: list, even: list, group: list[int]) -> AberratedCtfParameters:
    known = vars(plain(len(group)))
    return AberratedCtfParameters(
        **known,
        aberrations=Aberrations(np.array(odd, float), np.array(even, float), np.array(group)),
    )


def frequencies(box: int = BOX, pixel: float = PIXEL) -> tuple[np.ndarray, np.ndarray]:
    kx, ky = np.fft.rfftfreq(box, pixel), np.fft.fftfreq(box, pixel)
    return np.meshgrid(kx, ky, indexing="xy")


def test_the_order_of_the_coefficients_is_relions():
    assert [odd_order(i) for i in range(7)] == [
        (1, -1), (1, 1), (3, -3), (3, -1), (3, 1), (3, 3), (5, -5),
    ]  # fmt: skip
    assert [even_order(i) for i in range(10)] == [
        (0, 0), (2, -2), (2, 0), (2, 2), (4, -4), (4, -2), (4, 0), (4, 2), (4, 4), (6, -6),
    ]  # fmt: skip


def test_polynomials_are_those_of_the_tables():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-0.5, 0.5, (2, 50))
    r2 = x**2 + y**2
    tables = {
        (0, 0): np.ones(50), (1, 1): x, (1, -1): y, (2, 0): 2 * r2 - 1,
        (2, 2): x**2 - y**2, (2, -2): 2 * x * y,
        (3, 1): (3 * r2 - 2) * x, (3, -1): (3 * r2 - 2) * y,
        (3, 3): x**3 - 3 * x * y**2, (3, -3): 3 * x**2 * y - y**3,
        (4, 0): 6 * r2**2 - 6 * r2 + 1, (4, 2): (4 * r2 - 3) * (x**2 - y**2),
        (4, -2): (4 * r2 - 3) * 2 * x * y, (4, 4): x**4 - 6 * x**2 * y**2 + y**4,
        (4, -4): 4 * x**3 * y - 4 * x * y**3,
    }  # fmt: skip
    for (n, m), value in tables.items():
        assert np.allclose(zernike(n, m, x, y), value, atol=1e-12), (n, m)


def test_coefficients_are_of_frequencies_in_reciprocal_angstrom():
    kx, ky = frequencies()
    phase = phase_of(np.array([0, 0, 0, 0, 0, 5.0]), BOX, PIXEL, odd=True).numpy()
    inner = (slice(1, BOX // 2), slice(0, BOX // 2))
    assert np.allclose(phase[inner], (5 * (kx**3 - 3 * kx * ky**2))[inner], atol=1e-12)
    # the same frequency in another box has the same phase
    twice = phase_of(np.array([0, 0, 0, 0, 0, 5.0]), 2 * BOX, PIXEL, odd=True).numpy()
    assert np.allclose(twice[2 * 3, 2 * 5], phase[3, 5], atol=1e-12)


def test_without_aberrations_nothing_changes_bit_for_bit():
    bare = contrast_transfer(plain(), BOX, PIXEL)
    assert not bare.is_complex()
    zero = contrast_transfer(aberrated([[0.0] * 6], [[0.0] * 9], [0, 0, 0]), BOX, PIXEL)
    assert torch.equal(zero, bare)


def test_the_odd_phase_keeps_images_real_and_the_power_spectrum():
    ctf = aberrated([[20, -30, 400, 900, -700, 500]], [[0.0]], [0, 0, 0])
    whole, bare = contrast_transfer(ctf, BOX, PIXEL), contrast_transfer(plain(), BOX, PIXEL)
    assert whole.is_complex()
    assert torch.allclose(whole.abs(), bare.abs(), atol=1e-6)
    image = torch.randn(3, BOX, BOX, generator=torch.Generator().manual_seed(0))
    planes = transform(image) * whole
    # a transform of a real image survives the way through real images; an astigmatic CTF has
    # no mate on the Nyquist line
    assert torch.allclose(
        transform(inverse_transform(planes))[..., :-1], planes[..., :-1], atol=1e-4
    )


def test_the_even_phase_goes_into_the_sine_and_stays_symmetric():
    even = [0.3, 5.0, -8.0, 4.0, 60.0, -50.0, 40.0, 30.0, -20.0]
    ctf = aberrated([[0.0]], [even], [0, 0, 0])
    whole = contrast_transfer(ctf, BOX, PIXEL)
    assert not whole.is_complex()
    kx, ky = frequencies()
    phase = sum(c * zernike(*even_order(i), kx, ky) for i, c in enumerate(even))
    # shifting the constant phase of the CTF where the even phase is constant
    shifted = CtfParameters(
        **{**vars(plain()), "phase_shift_degrees": np.full(3, -np.rad2deg(0.3))}
    )
    assert torch.allclose(
        contrast_transfer(aberrated([[0.0]], [[0.3]], [0, 0, 0]), BOX, PIXEL),
        contrast_transfer(shifted, BOX, PIXEL),
        atol=1e-4,
    )
    assert np.allclose(phase[1, 3], sum(
        c * zernike(*even_order(i), -kx[1, 3], -ky[1, 3]) for i, c in enumerate(even)
    ))  # fmt: skip
    assert float((whole - contrast_transfer(plain(), BOX, PIXEL)).abs().max()) > 0.1


def test_an_error_of_cs_is_the_even_polynomial_of_fourth_order():
    """chi has -pi/2 Cs lambda^3 k^4: 0.1 mm more of it is +pi/2 dCs lambda^3 k^4 of even phase."""
    wavelength = 0.0196875
    factor = np.pi / 2 * 0.1e7 * wavelength**3
    # k^4 = (Z40 + 3 Z20 + 2 Z00) / 6
    even = [factor / 3, 0, factor / 2, 0, 0, 0, factor / 6]
    changed = CtfParameters(**{**vars(plain()), "spherical_aberration_mm": np.full(3, 2.8)})
    assert torch.allclose(
        contrast_transfer(aberrated([[0.0]], [even], [0, 0, 0]), BOX, PIXEL),
        contrast_transfer(changed, BOX, PIXEL),
        atol=2e-3,
    )


def test_a_linear_phase_is_a_shift():
    """exp(i 2 pi t . k) of the odd terms moves the image by -t."""
    from cryoparts.imaging.fourier import shift_phases

    ctf = aberrated([[0.0, 2 * np.pi * 3.0]], [[0.0]], [0])
    factor = split_transfer(ctf, BOX, PIXEL)[1]
    moved = shift_phases(torch.tensor([[-3.0, 0.0]]), BOX, PIXEL)
    inner = (0, slice(1, BOX // 2), slice(0, BOX // 2))
    assert torch.allclose(factor[inner], moved[inner], atol=1e-5)


def test_every_optics_group_has_its_own_and_particles_keep_theirs():
    odd, even = [[0, 0, 50.0], [0, 0, 0], [10.0, 0, 0]], [[0.5], [0.0], [0.0]]
    ctf = aberrated(odd, even, [2, 0, 1])
    together = contrast_transfer(ctf, BOX, PIXEL)
    for row in range(3):
        assert torch.equal(contrast_transfer(ctf.take([row]), BOX, PIXEL)[0], together[row])
        one = CtfBatch.from_parameters(ctf, [row])
        assert torch.equal(contrast_transfer(one, BOX, PIXEL)[0], together[row])
    assert torch.equal(together[2], contrast_transfer(plain(), BOX, PIXEL)[2].to(torch.cfloat))
    nothing = ctf.take(np.array([], dtype=int))
    assert contrast_transfer(nothing, BOX, PIXEL).shape == (0, BOX, BOX // 2 + 1)


def test_another_program_gives_the_same():
    torch_ctf = pytest.importorskip("torch_ctf")
    names = {"Z33c": 300.0, "Z33s": -200.0, "Z31c": 150.0, "Z31s": 90.0}
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=1.0, astigmatism=0.05, astigmatism_angle=20.0, voltage=300.0,
        spherical_aberration=2.7, amplitude_contrast=0.1, phase_shift=0.0, pixel_size=PIXEL,
        image_shape=(BOX, BOX), rfft=True, fftshift=False, odd_zernike_coeffs=names,
        even_zernike_coeffs={"Z44c": 80.0, "Z44s": 60.0},
    ).squeeze()  # fmt: skip
    # its Z31 is k^3 cos(theta) = (Z31 + 2 Z11) / 3 here
    odd = [90 * 2 / 3, 150 * 2 / 3, -200.0, 90 / 3, 150 / 3, 300.0]
    even = [0, 0, 0, 0, 60.0, 0, 0, 0, 80.0]
    one = np.ones(1)
    ctf = AberratedCtfParameters(
        1.05e4 * one, 0.95e4 * one, 20 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one, 0 * one,
        one, aberrations=Aberrations(np.array([odd]), np.array([even]), np.zeros(1, int)),
    )  # fmt: skip
    ours = contrast_transfer(ctf, BOX, PIXEL)[0]
    inner = (slice(1, BOX // 2), slice(0, BOX // 2))
    assert torch.allclose(ours[inner], theirs.to(ours.dtype)[inner], atol=5e-3)
