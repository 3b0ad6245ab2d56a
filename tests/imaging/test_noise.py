"""Noise has the spectrum that it was asked for, and comes from its generator alone."""

from __future__ import annotations

import pytest
import torch

from cryoparts.imaging.fourier import ring_count
from cryoparts.imaging.noise import coloured_noise, noise_spectrum, white_noise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_white_noise_has_a_flat_spectrum_of_one():
    noise = white_noise((400, 16, 16), seeded(0))
    assert float(noise.std()) == pytest.approx(1.0, abs=0.01)
    # Ring 0 is one number an image: its mean square has 7% error over 400 images.
    assert (noise_spectrum(noise)[1:] - 1).abs().max() < 0.06
    assert float(noise_spectrum(noise)[0]) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("box", [15, 16])
def test_coloured_noise_has_the_spectrum_asked_for(box):
    spectrum = torch.linspace(4.0, 0.5, ring_count(box))
    noise = coloured_noise((600, box, box), spectrum, seeded(1))
    assert noise.shape == (600, box, box)
    measured = noise_spectrum(noise)
    assert (measured / spectrum - 1)[1:].abs().max() < 0.06
    assert abs(float(measured[0] / spectrum[0]) - 1) < 0.25


def test_noise_comes_from_its_generator_alone():
    spectrum = torch.ones(5)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = coloured_noise((2, 8, 8), spectrum, seeded(4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, coloured_noise((2, 8, 8), spectrum, seeded(4)))
    assert not torch.equal(first, coloured_noise((2, 8, 8), spectrum, seeded(5)))


def test_the_spectrum_of_a_plane_wave_lies_on_its_ring():
    pixel = torch.arange(16) - 8
    wave = torch.cos(2 * torch.pi * 3 * pixel / 16).expand(16, 16)
    spectrum = noise_spectrum(wave)
    assert int(spectrum.argmax()) == 3
    assert float(spectrum.sum() - spectrum[3]) < 1e-4 * float(spectrum[3])


def test_spectra_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="needs 5 values"):
        coloured_noise((8, 8), torch.ones(4), seeded(0))
    with pytest.raises(ValueError, match="needs 5 values"):
        coloured_noise((8, 8), -torch.ones(5), seeded(0))
