"""What images keep once their models are taken away."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.refinement.residuals import Residuals
from cryoparts.refinement.whitened_images import WhitenedImages
from cryoparts.training.setup import prepare_training
from training_example import PARTICLES, QUICK, make_example


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return make_example(tmp_path_factory.mktemp("residuals") / "run", QUICK, noise=0.3)


@pytest.fixture(scope="module")
def residuals(example):
    setup = prepare_training(example.run, QUICK)
    images = WhitenedImages.of(setup.forward, setup.objective)
    return Residuals.of(images, setup.forward.batch(np.arange(PARTICLES)), setup.neutral)


def test_residuals_do_not_hold_the_model_and_have_unit_deviation(residuals):
    product = (residuals.left * residuals.model).sum(dim=1)
    size = residuals.left.norm(dim=1) * residuals.model.norm(dim=1)
    assert (product / size).abs().max() < 1e-4
    torch.testing.assert_close(residuals.left.square().mean(dim=1), torch.ones(PARTICLES))
    strange = (residuals.passed_on(7) * residuals.model).sum(dim=1)
    assert (strange / size).abs().max() < 1e-4


def test_an_image_asks_what_is_away_to_be_less_and_what_is_there_no_more(example, residuals):
    (asked,) = residuals.asked(residuals.left)
    optional = torch.as_tensor(example.optional)
    sums = (asked * residuals.gaussians.amplitudes)[:, optional].sum(dim=1).numpy()
    noise = residuals.asked(residuals.passed_on(7))[0] * residuals.gaussians.amplitudes
    deviation = noise[:, optional].sum(dim=1).std().item()
    assert (sums[~example.present] < -3 * deviation).mean() > 0.9
    assert (np.abs(sums[example.present]) < 3 * deviation).mean() > 0.9


def test_gradients_are_those_of_the_product(residuals):
    """A small change of one amplitude changes the product as the gradient says."""
    (asked,) = residuals.asked(residuals.left)
    one = residuals.gaussians
    step = torch.zeros_like(one.amplitudes)
    step[3] = 0.1
    changed = type(one)(one.positions, one.amplitudes + step, one.widths)
    image = residuals.images.of_gaussians(changed, residuals.batch)
    gain = ((image - residuals.model) * residuals.left).sum(dim=1)
    torch.testing.assert_close(gain, 0.1 * asked[:, 3], rtol=2e-2, atol=2e-2)
