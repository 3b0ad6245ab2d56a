"""Particles with beam tilt and trefoil agree with the model once the CTF has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.conventions import Aberrations, with_aberrations
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.image_model.geometry import AS_GIVEN, check_geometry
from cryoparts.image_model.losses import Band, mean_frc
from cryoparts.imaging.fourier import inverse_transform, shift_phases
from cryoparts.particle_files.mending import Mending

BAND = Band(1, 10)


@pytest.fixture
def model(example) -> GaussianModel:
    return GaussianModel.load(example.run.gaussians_path)


@pytest.fixture
def aberrated(particles, model):
    """The example's particles without noise, imaged with strong odd aberrations."""
    nyquist = 0.5 / particles.pixel_size_angstrom
    strong = 6.0 / nyquist**3
    odd = np.array([[0, 2 / 3, 0.5, 0, 1 / 3, -0.7]]) * strong
    group = np.zeros(len(particles), dtype=np.int64)
    ctf = with_aberrations(particles.ctf, Aberrations(odd, np.zeros((1, 1)), group))
    taken = replace(particles, ctf=ctf)
    forward = ForwardModel(taken, torch.device("cpu"))
    rows = np.arange(len(particles))
    batch = forward.batch(rows)
    planes = forward.images_of(Gaussians.neutral(model, forward.device), batch)
    shift = torch.as_tensor(particles.poses.shift_angstrom, dtype=torch.float32)
    planes = planes * shift_phases(shift, particles.box_size, particles.pixel_size_angstrom)
    images = particles.contrast_sign * inverse_transform(planes)
    return replace(taken, _images=images.numpy())


def frc(particles, model) -> float:
    forward = ForwardModel(particles, torch.device("cpu"))
    batch = forward.batch(np.arange(len(particles)))
    model_images = forward.images_of(Gaussians.neutral(model, forward.device), batch)
    return float(mean_frc(batch.data, model_images, BAND).mean())


def test_the_model_agrees_with_the_aberrations_and_not_without(aberrated, model):
    plain = replace(aberrated, ctf=with_aberrations(aberrated.ctf, None))
    assert frc(aberrated, model) > 0.999
    assert frc(plain, model) < 0.9


def test_reversed_odd_aberrations_are_named_and_mended(aberrated, model):
    wrong = Mending(invert_aberrations=True)
    reversed_ = replace(aberrated, ctf=wrong.ctf(aberrated.ctf))
    check = check_geometry(reversed_, model, BAND)
    assert check.best == "odd aberrations reversed"
    assert check.odd_aberrations_are_reversed
    assert check.mending.options == "--invert-aberrations"
    again = check_geometry(replace(reversed_, ctf=wrong.ctf(reversed_.ctf)), model, BAND)
    assert again.best == AS_GIVEN
    assert not again.clearly_wrong
    assert not again.odd_aberrations_are_reversed


def test_gradients_flow_through_a_complex_ctf(aberrated, model):
    forward = ForwardModel(aberrated, torch.device("cpu"))
    neutral = Gaussians.neutral(model, forward.device)
    batch = forward.batch(np.arange(4))
    amplitudes = neutral.amplitudes.clone().requires_grad_()
    images = forward.images_of(replace(neutral, amplitudes=amplitudes), batch)
    (1 - mean_frc(batch.data, images, BAND)).sum().backward()
    assert torch.isfinite(amplitudes.grad).all()
    # at the truth the agreement is stationary
    assert float(amplitudes.grad.abs().max()) < 1e-3
