"""Captured training steps, on a card that is pretended: its tape stands for the CUDA graph."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from cryoparts.image_model.deformation import channel_count, deform
from cryoparts.image_model.forward_model import ParticleBatch
from cryoparts.image_model.losses import latent_penalty
from cryoparts.training import epoch
from cryoparts.training.graphed_step import WARM_UP, TrainingStep, recorder_for
from cryoparts.training.networks import build_networks
from cryoparts.training.optimiser import make_optimiser, set_rate
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from pretended_card import AtOnce
from training_example import QUICK, Silent, make_example

BATCH, STEPS = 8, WARM_UP + 3
VARY = ("position", "amplitude", "width")


@pytest.fixture(scope="module")
def setup_of(tmp_path_factory):
    """What a training starts from, on a device; made once."""

    @cache
    def made(device: str):
        config = replace(QUICK, device=device, vary=VARY)
        run = make_example(tmp_path_factory.mktemp(device) / "run", config).run
        return prepare_training(run, config)

    return made


class Training:
    """A few steps of a training, each on other particles and at another rate."""

    def __init__(self, setup, decoder: str = "mlp") -> None:
        config = replace(QUICK, vary=VARY, decoder=decoder)
        self.setup = setup
        particles, forward = self.setup.forward.particles, self.setup.forward
        self.networks = build_networks(
            config,
            self.setup.model,
            self.setup.encoder_input.width,
            channel_count(VARY),
            particles.box_size * particles.pixel_size_angstrom,
            forward.device,
        )
        self.optimiser = make_optimiser(self.networks)
        self.parameters = [
            *self.networks.encoder.parameters(),
            *self.networks.decoder.parameters(),
        ]

    def loss(self, inputs, noise, data, ctf, rotation):
        latent = self.networks.encoder(inputs)
        offsets = self.networks.decoder(latent + 0.01 * noise)
        gaussians = deform(self.setup.neutral, offsets, VARY)
        batch = ParticleBatch(data, ctf, rotation)
        images = self.setup.forward.images_of(gaussians, batch)
        return latent_penalty(latent) - self.setup.objective.agreement(data, images).mean()

    def batch(self, step: int, size: int = BATCH):
        rows = (torch.arange(size) + 7 * step).numpy() % len(self.setup.forward.particles)
        forward = self.setup.forward
        read = forward.batch(rows)
        noise = torch.randn(size, 2, generator=torch.Generator().manual_seed(step))
        inputs = self.setup.encoder_input.rows(rows, forward.device)
        return inputs, noise.to(forward.device), read.data, read.ctf, read.rotation

    def step(self, recorder=None, between=None) -> TrainingStep:
        made = TrainingStep(self.loss, self.parameters, self.optimiser, recorder)
        self.between = between
        return made

    def losses(self, step: TrainingStep, sizes=(BATCH,) * STEPS) -> list[float]:
        found = []
        for number, size in enumerate(sizes):
            set_rate(self.optimiser, 1e-3 * (number + 1))
            loss = step.gradients(*self.batch(number, size))
            if self.between is not None:
                self.between(self.parameters)
            step.update()
            found.append(float(loss))
        return found

    def weights(self) -> list[torch.Tensor]:
        return [parameter.detach().cpu() for parameter in self.parameters]


def equal(some, others) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("decoder", ["point-transformer", "mlp"])
def test_captured_steps_give_the_losses_and_weights_of_plain_ones(card, setup_of, decoder):
    plain = Training(setup_of("card"), decoder)
    captured = Training(setup_of("card"), decoder)
    there = Training(setup_of("cpu"), decoder)
    expected = plain.losses(plain.step())
    assert captured.losses(captured.step(card)) == expected
    assert equal(captured.weights(), plain.weights())
    assert len(set(expected)) == STEPS
    assert there.losses(there.step()) == pytest.approx(expected, abs=1e-5)


def test_a_replayed_step_reads_nothing_back_and_sends_nothing(card, setup_of):
    training = Training(setup_of("card"))
    step = training.step(card)
    training.losses(step)
    batch = training.batch(0)
    before = card.read.copy(), card.sent.copy()
    step.gradients(*batch)
    step.update()
    assert (card.read, card.sent) == before


def test_what_reads_a_number_is_not_captured_and_the_training_goes_on(card, setup_of, caplog):
    training, plain = Training(setup_of("card")), Training(setup_of("card"))
    loss = training.loss
    training.loss = lambda *batch: loss(*batch) * float(batch[0].new_ones(()))
    assert training.losses(training.step(card)) == plain.losses(plain.step())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "are not captured" in caplog.text


def test_batches_of_another_size_between_captured_ones_change_nothing(card, setup_of):
    plain = Training(setup_of("card"))
    captured = Training(setup_of("card"))
    sizes = [BATCH] * (WARM_UP + 1) + [3, BATCH, 5, BATCH]
    assert captured.losses(captured.step(card), sizes) == plain.losses(plain.step(), sizes)
    assert equal(captured.weights(), plain.weights())


def test_gradients_may_be_replaced_between_the_two_halves(card, setup_of):
    def added_up(parameters) -> None:
        for parameter in parameters:
            parameter.grad = 2.5 * parameter.grad  # as an all-reduce into other memory does

    plain = Training(setup_of("card"))
    captured = Training(setup_of("card"))
    expected = plain.losses(plain.step(between=added_up))
    assert captured.losses(captured.step(card, between=added_up)) == expected
    assert equal(captured.weights(), plain.weights())


def test_a_process_without_a_share_takes_the_step_of_the_others(card, setup_of):
    plain = Training(setup_of("card"))
    captured = Training(setup_of("card"))
    results = []
    for training, recorder in ((plain, None), (captured, card)):
        step = training.step(recorder)
        training.losses(step)
        step.no_gradients()
        for parameter in training.parameters:
            parameter.grad = torch.ones_like(parameter)
        step.update()
        results.append(training.weights())
    assert equal(*results)


def test_steps_are_captured_on_cuda_alone(monkeypatch):
    assert recorder_for(torch.device("cpu")) is None
    monkeypatch.setenv("CRYOPARTS_GRAPHS", "0")
    assert recorder_for(torch.device("cuda")) is None


def test_a_training_whose_steps_are_captured_is_the_one_of_plain_steps(card, tmp_path, monkeypatch):
    monkeypatch.setattr(epoch, "ThreadPoolExecutor", AtOnce)
    rows = {}
    for name, recorder in (("plain", None), ("captured", card)):
        monkeypatch.setattr(epoch, "recorder_for", lambda device, used=recorder: used)
        config = replace(QUICK, device="card", vary=VARY, epochs=3, decoder="mlp")
        run = make_example(tmp_path / name, config).run
        first = Trainer(run, prepare_training(run, config), replace(config, epochs=2))
        first.train(Silent())
        # the checkpoint has Adam's state, and the rate that is a number on the card
        resumed = Trainer(run, prepare_training(run, config), config)
        rows[name] = resumed.train(Silent(), resume=True)
    for plain, captured in zip(rows["plain"], rows["captured"], strict=True):
        for key in ("loss", "held_out_frc", "learning_rate"):
            assert plain.get(key) == captured.get(key)
