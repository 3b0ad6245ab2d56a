from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.config import DecoderName, TrainingConfig
from cryoparts.config.training import ENOUGH_STEPS, MOST_EPOCHS
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.training.networks import build_networks
from cryoparts.training.optimiser import (
    FEW_STEPS,
    MANY_STEPS,
    PAPER_PEAK_RATE,
    make_optimiser,
    peak_rate,
)
from cryoparts.training.schedule import learning_rate
from cryoparts.training.split import split_particles


@settings(deadline=None, max_examples=40)
@given(
    particles=st.integers(1, 10**6), epochs=st.integers(1, 100), batch=st.integers(1, 256)
)  # fmt: skip
def test_advised_epochs_are_enough_steps_and_not_too_many(particles, epochs, batch):
    config = TrainingConfig(epochs=epochs, batch_size=batch)
    advised = config.advised_epochs(particles)
    steps = 0.9 * particles / batch  # an epoch; a tenth is held out
    assert epochs <= advised <= max(epochs, MOST_EPOCHS)
    assert (
        advised in (epochs, MOST_EPOCHS) or advised * steps >= ENOUGH_STEPS > (advised - 1) * steps
    )
    if epochs * steps >= ENOUGH_STEPS:
        assert advised == epochs


@settings(deadline=None, max_examples=40)
@given(count=st.integers(2, 300), half=st.sampled_from([None, 1, 2]), seed=st.integers(0, 9))
def test_held_out_particles_are_never_trained_on(count, half, seed):
    halves = (1 + np.arange(count) % 2).astype(np.int8)
    if half and (halves == half).sum() < 2:
        return
    split = split_particles(halves, half, 0.1, seed)
    together = np.concatenate([split.training, split.held_out])
    eligible = np.flatnonzero(halves == half) if half else np.arange(count)
    assert sorted(together) == eligible.tolist()
    again = split_particles(halves, half, 0.1, seed)
    assert np.array_equal(split.held_out, again.held_out)


@settings(deadline=None, max_examples=40)
@given(
    image=st.lists(st.integers(0, 40), min_size=3),
    half=st.sampled_from([None, 1, 2]),
    share=st.sampled_from([0.0, 0.1, 0.4]),
    seed=st.integers(0, 9),
)
def test_no_image_is_both_trained_on_and_held_out(image, half, share, seed):
    image = np.array(image)
    halves = (1 + image % 2).astype(np.int8)
    eligible = np.flatnonzero(halves == half) if half else np.arange(len(image))
    if len(np.unique(image[eligible])) < 2:
        return
    split = split_particles(halves, half, share, seed, image=image)
    assert sorted([*split.training, *split.held_out]) == eligible.tolist()
    assert not set(image[split.training]) & set(image[split.held_out])
    held = len(np.unique(image[split.held_out]))
    assert held == (max(1, round(share * len(np.unique(image[eligible])))) if share else 0)


def test_the_two_halves_share_no_particle():
    halves = np.array([1, 2, 2, 1, 1, 2], dtype=np.int8)
    first, second = (split_particles(halves, half, 0.0, 0).training for half in (1, 2))
    assert not set(first) & set(second)
    assert len(first) + len(second) == 6


def test_too_few_particles_are_refused():
    with pytest.raises(InputError, match="of 0, 0 held out"):
        split_particles(np.ones(5, dtype=np.int8), 2, 0.0, 0)


def test_rate_warms_up_and_falls_to_a_hundredth():
    rates = [learning_rate(step, 200, 1e-3) for step in range(200)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(1e-3)
    assert 5 <= top <= 15
    assert all(np.diff(rates[:top]) > 0)
    assert all(np.diff(rates[top + 1 :]) < 0)
    assert rates[-1] == pytest.approx(1e-5, rel=0.1)


def test_a_long_training_of_the_point_transformer_goes_at_half_the_rate():
    config = TrainingConfig()
    assert peak_rate(config, 1) == peak_rate(config, FEW_STEPS) == 2e-3
    assert peak_rate(config, MANY_STEPS) == peak_rate(config, 10**6) == 1e-3
    rates = np.array([peak_rate(config, steps) for steps in range(1, 2000)])
    # one more particle, one more step: the training hardly changes
    assert (np.diff(rates) <= 0).all()
    assert np.abs(np.diff(rates)).max() < 2e-3 * rates.max()


@pytest.mark.parametrize("decoder", ["mlp", "hierarchical-mlp"])
def test_a_long_training_of_a_perceptron_goes_at_the_rate_of_a_short_one(decoder):
    config = TrainingConfig(decoder=decoder)
    assert peak_rate(config, 10**6) == peak_rate(config, 1) > 0


@pytest.mark.parametrize("decoder", get_args(DecoderName))
def test_every_parameter_is_trained_once_and_those_of_single_gaussians_faster(decoder):
    positions = np.random.default_rng(0).normal(scale=30.0, size=(90, 3))
    model = GaussianModel.of(positions, np.ones(90), np.ones(90))
    config = TrainingConfig(decoder=decoder)
    networks = build_networks(config, model, 12, 3, 200.0, torch.device("cpu"))
    groups = make_optimiser(networks).param_groups
    trained = [parameter for group in groups for parameter in group["params"]]
    everything = [*networks.encoder.parameters(), *networks.decoder.parameters()]
    assert sorted(map(id, trained)) == sorted(map(id, everything))
    named = dict(networks.decoder.named_parameters())
    faster = {id(p) for group in groups if group["rate_factor"] > 1 for p in group["params"]}
    own = {name for name, parameter in named.items() if id(parameter) in faster}
    assert ("constant" in own) == (decoder != "mlp")
    assert not any("head" in name or "layers" in name for name in own)


def test_a_rate_that_is_asked_for_is_kept_and_the_published_one_too():
    assert peak_rate(TrainingConfig(learning_rate=3e-4), 10**6) == 3e-4
    paper = TrainingConfig(preset="paper")
    assert peak_rate(paper, 10**6) == peak_rate(paper, 1) == PAPER_PEAK_RATE
