from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.image_model.losses import (
    Band,
    Objective,
    latent_penalty,
    mean_frc,
    residual_power,
    resolution_band,
)
from cryoparts.imaging.fourier import ring_count, transform

BOX = 16
BAND = Band(1, 6)


def images(seed: int, count: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return transform(torch.randn(count, BOX, BOX, generator=random))


def objective(kind: str) -> Objective:
    noise = torch.linspace(1.0, 4.0, ring_count(BOX))
    return Objective.make(kind, BAND, noise)


@pytest.mark.parametrize("kind", ["whitened", "frc"])
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 100), scale=st.floats(0.01, 100.0))
def test_agreement_of_a_particle_with_itself_is_one_at_any_scale(kind, seed, scale):
    data = images(seed)
    torch.testing.assert_close(objective(kind).agreement(data, scale * data), torch.ones(3))
    torch.testing.assert_close(objective(kind).agreement(data, -scale * data), -torch.ones(3))


@pytest.mark.parametrize("kind", ["whitened", "frc"])
def test_what_lies_outside_the_band_does_not_count(kind):
    data, model = images(1), images(2)
    from cryoparts.imaging.fourier import ring_index

    outside = (ring_index(BOX) < BAND.first) | (ring_index(BOX) > BAND.last)
    changed = torch.where(outside, images(3), model)
    torch.testing.assert_close(
        objective(kind).agreement(data, model), objective(kind).agreement(data, changed)
    )


def test_whitened_agreement_is_the_correlation_of_whitened_images():
    from cryoparts.imaging.fourier import inverse_transform, ring_index

    data, model = images(1), images(2)
    noise = torch.linspace(1.0, 4.0, ring_count(BOX))
    rings = ring_index(BOX)
    inside = (rings >= BAND.first) & (rings <= BAND.last)
    filter_ = torch.where(inside, noise[rings.clamp(max=BOX // 2)].rsqrt(), torch.zeros(()))
    a, b = (inverse_transform(x * filter_).flatten(1) for x in (data, model))
    expected = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    torch.testing.assert_close(objective("whitened").agreement(data, model), expected)


@pytest.mark.parametrize("kind", ["whitened", "frc"])
def test_a_model_of_zeros_agrees_with_nothing_and_has_finite_gradients(kind):
    model = torch.zeros(2, BOX, BOX // 2 + 1, dtype=torch.complex64, requires_grad=True)
    agreement = objective(kind).agreement(images(1, 2), model)
    agreement.sum().backward()
    assert torch.equal(agreement.detach(), torch.zeros(2))
    assert torch.isfinite(torch.view_as_real(model.grad)).all()


def test_residual_power_is_the_power_of_the_noise_whatever_the_scale():
    random = torch.Generator().manual_seed(0)
    signal = 3.0 * torch.randn(400, BOX, BOX, generator=random)
    noise = 0.5 * torch.randn(400, BOX, BOX, generator=random)
    power = residual_power(transform(signal + noise), transform(7.0 * signal)).mean(0)
    ones = torch.ones(1, BOX, BOX // 2 + 1, dtype=torch.complex64)
    from cryoparts.imaging.shell_correlation import ring_products

    per_pixel = (power / ring_products(ones, ones)[0])[1:]
    # One degree of freedom a ring goes into the fitted scale.
    assert np.allclose(per_pixel, 0.25 * BOX**2, rtol=0.15)


def test_mean_frc_averages_over_the_band():
    data = images(1)
    half = data.clone()
    from cryoparts.imaging.fourier import ring_index

    half[:, ring_index(BOX) > 3] = images(9)[:, ring_index(BOX) > 3]
    assert mean_frc(data, half, Band(1, 3)).min() > 0.999
    assert mean_frc(data, half, Band(4, 6)).abs().max() < 0.6


def test_latent_penalty_begins_at_length_one():
    assert latent_penalty(torch.tensor([[0.6, 0.8], [0.0, 0.0]])) == 0
    torch.testing.assert_close(
        latent_penalty(torch.tensor([[3.0, 0.0], [0.0, 0.5]])), torch.tensor(0.1)
    )


def test_band_follows_the_resolutions():
    assert resolution_band(64, 5.0, 160.0, 20.0) == Band(2, 16)
    assert resolution_band(64, 5.0, None, None) == Band(2, 28)


@pytest.mark.parametrize(("coarse", "fine"), [(None, 6.0), (16.0, 16.5)])
def test_bands_that_cannot_be_are_refused(coarse, fine):
    with pytest.raises(InputError, match="resolution"):
        resolution_band(64, 5.0, coarse, fine)
