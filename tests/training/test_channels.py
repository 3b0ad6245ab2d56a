"""`--vary auto`: what held-out particles gain nothing by is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cryoparts.config import TrainingConfig
from cryoparts.errors import InputError
from cryoparts.inference.latents import write_latents
from cryoparts.run.run import Run
from cryoparts.training.channels import ChannelShares, channels_path
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.training.trainer import Trainer
from training_example import PARTICLES, QUICK, Silent, make_example

AUTO = replace(QUICK, vary=("auto",), learning_rate=3e-3, epochs=12)


def train(folder, displaced=None, resume=False) -> Run:
    example = make_example(folder, AUTO, noise=0.1, displaced=displaced)
    finish(example.run, AUTO)
    return Run.open(folder)


def finish(run, config, resume=False) -> None:
    set_threads(config.threads)  # as every command does: sums depend on how many there are
    trainer = Trainer(run, prepare_training(run, config), config)
    trainer.train(Silent(), resume=resume)
    write_latents(run, trainer.setup)


@pytest.fixture(scope="module")
def composition(tmp_path_factory):
    return train(tmp_path_factory.mktemp("auto") / "composition")


def test_auto_is_both_and_the_choice_between_them():
    config = TrainingConfig(vary=("auto",))
    assert config.vary == ("position", "amplitude")
    assert config.choose_channels
    assert not TrainingConfig().choose_channels
    with pytest.raises(InputError, match=r"--vary.*auto alone"):
        TrainingConfig(vary=("auto", "position"))


def test_where_parts_come_and_go_positions_are_left_out(composition):
    assert composition.training.vary == ("amplitude",)
    chosen = json.loads(channels_path(composition.directory).read_text(encoding="utf-8"))
    assert chosen["shares"]["amplitude"] > 0.8
    assert chosen["shares"]["position"] < 0.15
    assert chosen["kept"] == ["amplitude"]
    assert len(composition.directory.metrics()) == AUTO.epochs + 1
    assert composition.latent.shape == (PARTICLES, AUTO.latent_dimensions)


def test_where_parts_move_positions_stay(tmp_path):
    def moved(positions, optional):
        angle = np.random.default_rng(2).normal(size=(PARTICLES, 1, 1))
        return 8.0 * angle * np.where(optional[:, None], [1.0, 0.0, 0.0], 0.0)

    assert "position" in train(tmp_path / "motion", moved).training.vary


def test_a_run_that_was_broken_off_goes_on_with_what_was_chosen(composition):
    run = composition.directory
    before = composition.latent.copy()
    for name in (f"epoch_{AUTO.epochs:04d}.json", f"epoch_{AUTO.epochs:04d}.safetensors"):
        (run.checkpoints_path / name).unlink()
    run.latent_path.unlink()
    finish(run, run.config().training, resume=True)
    np.testing.assert_array_equal(Run.open(run.root).latent, before)


def test_the_channel_that_holds_most_stays_however_little_it_is():
    assert ChannelShares(0.1, {"position": 0.01, "amplitude": 0.02}).kept() == ("amplitude",)
    assert ChannelShares(-0.1, {"position": 9.0, "amplitude": -3.0}).kept() == (
        "position",
        "amplitude",
    )
