"""What could be seen at best is what a solver that knows the part sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.image_model.deformation import Gaussians
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.particles.pose_change import PoseChange, PoseSpread
from cryoparts.refinement.whitened_images import WhitenedImages
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from cryoparts.validation import visible_parts as module
from cryoparts.validation.limits import Limits, limits_of
from cryoparts.validation.visible_parts import VisibleParts, visible_parts
from training_example import PARTICLES, QUICK, Silent, make_example

EVERYONE = np.arange(PARTICLES)


def made_with(folder, noise: float):
    config = replace(QUICK, epochs=20, learning_rate=3e-3, min_resolution_angstrom=150.0)
    example = make_example(folder, config, noise=noise)
    setup = prepare_training(example.run, config)
    Trainer(example.run, setup, config).train(Silent())
    write_latents(example.run, setup)
    return example, setup, TrainedDecoder(example.run)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return made_with(tmp_path_factory.mktemp("noisy") / "run", noise=3.0)


@pytest.fixture(scope="module")
def visible(noisy):
    _, setup, trained = noisy
    return visible_parts(trained, setup, EVERYONE, seed=0)


def test_larger_parts_are_seen_more_often(visible):
    # pieces of one Gaussian of 40 are the least
    assert (np.diff(visible.accuracy) >= 0).all()
    assert 0.5 <= visible.accuracy[0] < visible.accuracy[-1] <= 1.0
    assert (visible.lowest <= visible.accuracy).all()
    assert (visible.accuracy <= visible.highest).all()


def test_the_accuracy_is_that_of_one_who_knows_the_part(noisy, monkeypatch):
    """The optional half as the piece, called by the likelihood ratio of true models."""
    example, setup, trained = noisy
    optional = torch.as_tensor(np.flatnonzero(example.optional))
    monkeypatch.setattr(module, "SHARES", (0.5,))
    monkeypatch.setattr(module, "_pieces", lambda *_: [optional] * module.PIECES)
    monkeypatch.setattr(module, "_regions", lambda *_: [torch.arange(40)])
    told = float(visible_parts(trained, setup, EVERYONE, seed=0).accuracy[0])

    images = WhitenedImages.of(setup.forward, setup.objective)
    batch, neutral = setup.forward.batch(EVERYONE), setup.neutral
    data = images.whitened(batch.data)
    kept = ~torch.as_tensor(example.optional)
    without = Gaussians(neutral.positions, neutral.amplitudes * kept, neutral.widths)

    def explained(gaussians):
        model = images.of_gaussians(gaussians, batch)
        return (model * data).sum(dim=1) / model.norm(dim=1)

    called = explained(neutral) > explained(without)
    right = float((called.numpy() == example.present).mean())
    assert told == pytest.approx(right, abs=4 * np.sqrt(right * (1 - right) / PARTICLES) + 0.02)


def test_less_noise_shows_smaller_parts(visible, tmp_path):
    _, setup, trained = made_with(tmp_path / "run", noise=1.0)
    clearer = visible_parts(trained, setup, EVERYONE, seed=0)
    assert (clearer.accuracy >= visible.accuracy).all()
    assert clearer.accuracy[0] > visible.accuracy[0] + 0.05


def test_the_smallest_part_lies_between_those_that_were_tried():
    visible = VisibleParts(np.array([0.01, 0.04]), np.array([0.8, 0.96]), *[np.zeros(2)] * 2)
    assert visible.smallest(0.88) == pytest.approx(0.02)
    assert visible.smallest(0.7) == pytest.approx(0.01)
    assert visible.smallest(0.99) is None


def test_limits_are_read_back_and_say_what_they_are(noisy, visible, tmp_path):
    _, setup, trained = noisy
    change = PoseChange(
        np.zeros((PARTICLES, 3)), np.zeros((PARTICLES, 2)), PoseSpread(np.deg2rad(1.0), 1.0)
    )
    good = EVERYONE >= 24
    limits = limits_of(trained, setup, good, change, visible)
    path = tmp_path / "limits.json"
    limits.save(path)
    again = Limits.load(path)
    assert again is not None
    assert again.junk == 0.25
    assert again.pose_degrees == pytest.approx(3**0.5)
    np.testing.assert_allclose(again.visible.accuracy, visible.accuracy, atol=1e-4)
    assert "1.7° and 1.4 Å" in again.sentences()[0]
    assert "of the mass" in again.sentences()[1]
    resolution, ratio = np.array(again.snr_by_ring).T
    assert (np.diff(resolution) < 0).all()
    assert (ratio >= 0).all()
    path.write_text("{}")
    with pytest.raises(InputError, match=r"limits\.json"):
        Limits.load(path)
    assert Limits.load(tmp_path / "absent.json") is None


def test_nothing_can_be_seen_without_particles(noisy):
    _, setup, trained = noisy
    assert (visible_parts(trained, setup, EVERYONE[:0], seed=0).accuracy == 0.5).all()
