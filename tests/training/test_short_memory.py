"""A training in memory too short for a batch takes the steps of one that has enough."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.parallel.team import Team
from cryoparts.training.epoch import Epoch
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from training_example import QUICK, Silent, make_example

ROOM = 5


def short_of_memory(monkeypatch):
    """Gradients of more than five particles, and now and then of those too, fail half way."""
    whole, calls = Epoch._loss, [0]

    class Short(torch.autograd.Function):
        """Memory runs out in the backward pass, where some gradients are there already."""

        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, slope):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def loss(own, inputs, *more):
        calls[0] += 1
        if len(inputs) <= ROOM and calls[0] != 9:
            return whole(own, inputs, *more)
        return whole(own, inputs[:1], *(x[:1] if x.ndim else x for x in more)) + Short.apply(
            whole(own, inputs, *more)
        )

    monkeypatch.setattr(Epoch, "_loss", loss)


def test_loss_curve_and_weights_are_those_of_the_whole_batch(tmp_path, monkeypatch, caplog):
    config, rows, weights = replace(QUICK, epochs=2), [], []
    for name in ("enough", "short"):
        if name == "short":
            short_of_memory(monkeypatch)
        example = make_example(tmp_path / name, config)
        trainer = Trainer(example.run, prepare_training(example.run, config), config)
        with caplog.at_level(logging.WARNING):
            rows.append(trainer.train(Silent()))
        weights.append(trainer.networks.decoder.state_dict())
    enough, short = rows
    for row in (1, 2):
        assert short[row]["loss"] == pytest.approx(enough[row]["loss"], rel=1e-4)
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=1e-2, atol=1e-3)
    said = [r.getMessage() for r in caplog.records if "memory ran out" in r.getMessage()]
    assert said
    assert said[0].startswith(f"training: memory ran out with {config.batch_size} particles")
    assert len(said) <= 6, "what did not fit is tried again in each step"


def test_a_sweep_goes_on_by_halves(caplog):
    def task(rows):
        if len(rows) > ROOM:
            raise MemoryError
        return rows * 2.0, None

    rows = np.arange(40)
    made = list(Team(1).sweep(task, rows, 16))
    assert [(place.start, place.stop) for place, _ in made] == [(0, 16), (16, 32), (32, 40)]
    np.testing.assert_array_equal(np.concatenate([one[0] for _, one in made]), 2.0 * rows)
    assert caplog.text.count("memory ran out") == 2
