"""What a decoder was never told comes back from the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.inference.missed_regions import MissedRegions
from cryoparts.missed import missed_parts
from cryoparts.missed.missed_parts import find_missed
from cryoparts.missed.residual_gradients import residual_gradients
from cryoparts.networks.extended_decoder import ExtendedDecoder
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from training_example import PARTICLES, QUICK, Silent, make_example

EVERYONE = np.arange(PARTICLES)


@pytest.fixture(scope="module")
def unlearned(tmp_path_factory):
    """A training so short that the optional half is not learned."""
    config = replace(QUICK, epochs=1, learning_rate=1e-6, min_resolution_angstrom=150.0)
    example = make_example(tmp_path_factory.mktemp("missed") / "run", config, noise=1.0)
    setup = prepare_training(example.run, config)
    trainer = Trainer(example.run, setup, config)
    trainer.train(Silent())
    return example, trainer.setup


@pytest.fixture
def small_sets(monkeypatch):
    monkeypatch.setattr(missed_parts, "FEWEST_PARTICLES", 50)


def test_a_region_adds_its_amplitude_and_nothing_else():
    base = torch.nn.Linear(2, 12)
    regions = torch.tensor([[True, False, True], [False, True, True]])
    extended = ExtendedDecoder(torch.nn.Sequential(base, torch.nn.Unflatten(1, (3, 4))), regions, 3)
    latent = torch.randn(5, 4)
    offsets = extended(latent)
    plain = extended.decoder(latent[:, :2])
    assert torch.equal(offsets[..., :3], plain[..., :3])
    added = offsets[..., 3] - plain[..., 3]
    torch.testing.assert_close(added[:, 0], latent[:, 2])
    torch.testing.assert_close(added[:, 1], latent[:, 3])
    torch.testing.assert_close(added[:, 2], latent[:, 2] + latent[:, 3])


def test_residual_gradients_ask_for_what_is_away(unlearned):
    example, setup = unlearned
    write_latents(example.run, setup)
    found = residual_gradients(TrainedDecoder(example.run), setup, EVERYONE)
    asked = found.own[:, example.optional].sum(axis=1)
    assert np.corrcoef(asked, example.present)[0, 1] > 0.5
    strange = found.strange[:, example.optional].sum(axis=1)
    assert abs(np.corrcoef(strange, example.present)[0, 1]) < 0.3


def test_the_run_is_extended_by_a_region_and_tells_who_has_it(unlearned, small_sets):
    example, setup = unlearned
    write_latents(example.run, setup, second_pass=find_missed)
    missed = MissedRegions.load(example.run.missed_path, 40)
    assert len(missed) >= 1
    # with scales free, one half that comes and goes is the other that is strong and weak
    assert abs(example.optional[missed.members[0]].mean() - 0.5) > 0.3
    trained = TrainedDecoder(example.run)
    assert trained.latent().shape == (PARTICLES, 2 + len(missed))
    further = trained.latent()[:, 2]
    right = (further > np.median(further)) == example.present
    assert max(right.mean(), 1 - right.mean()) > 0.75
    header = example.run.latent_csv_path.read_text().splitlines()[0]
    assert header.count(",z") == 2 + len(missed)


def test_latent_vectors_written_without_a_second_pass_have_no_region(unlearned, small_sets):
    example, setup = unlearned
    write_latents(example.run, setup, second_pass=find_missed)
    write_latents(example.run, setup)
    assert not example.run.missed_path.exists()
    assert TrainedDecoder(example.run).latent().shape == (PARTICLES, 2)


def test_few_particles_are_not_searched(unlearned):
    example, setup = unlearned
    write_latents(example.run, setup)
    missed, latent = find_missed(TrainedDecoder(example.run), setup)
    assert len(missed) == 0
    assert latent.shape == (PARTICLES, 2)


def test_a_damaged_file_of_regions_is_an_error(tmp_path):
    path = tmp_path / "missed.npz"
    MissedRegions(np.zeros((1, 5), dtype=bool), np.ones(1)).save(path)
    assert len(MissedRegions.load(path, 5)) == 1
    with pytest.raises(InputError, match=r"missed\.npz"):
        MissedRegions.load(path, 6)
