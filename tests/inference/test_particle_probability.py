"""Junk among the particles: found by what the networks make of it, and without a say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import cryoparts.training.judgements as judgements_module
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parallel.group import Group
from cryoparts.parts.segmentation import segment_gaussians
from cryoparts.statistics.trusted import choose_sample
from cryoparts.training.epoch import Epoch
from cryoparts.training.judgements import (
    judgement_path,
    judgements,
    known_probability,
    loss_weights,
)
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from training_example import BOX, PARTICLES, QUICK, Silent, make_example

CONFIG = replace(QUICK, decoder="mlp", learning_rate=3e-3, epochs=6)
JUNK = np.arange(PARTICLES) % 5 == 0


def spoil(run) -> None:
    """A fifth of the particles: lost poses, noise, a carbon edge or a neighbour off centre."""
    path = run.particles_path / "particles.npz"
    with np.load(path) as stored:
        columns = dict(stored)
    images = np.load(run.particles_path / "images.npy")
    random = np.random.default_rng(7)
    noise = random.normal(scale=images.std(), size=images.shape).astype(np.float32)
    for number, row in enumerate(np.flatnonzero(JUNK)):
        match number % 4:
            case 0:
                columns["rotation"][row] = columns["rotation"][row - 1].T
            case 1:
                images[row] = noise[row]
            case 2:
                images[row] = noise[row] + images.std() * np.sign(np.arange(BOX) - 11.5)
            case 3:
                images[row] = np.roll(images[row], 12, axis=(0, 1))
    np.save(run.particles_path / "images.npy", images)
    np.savez(path, **columns)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    example = make_example(tmp_path_factory.mktemp("junk") / "run", CONFIG)
    spoil(example.run)
    setup = prepare_training(example.run, CONFIG)
    Trainer(example.run, setup, CONFIG).train(Silent())
    write_latents(example.run, setup)
    return example


def test_junk_of_each_kind_is_found(example):
    probability = TrainedDecoder(example.run).particle_weights
    assert roc_auc_score(~JUNK, probability) > 0.97
    assert (probability[~JUNK] > 0.5).mean() > 0.98
    number = np.cumsum(JUNK) - 1
    for kind in range(4):
        assert (probability[JUNK & (number % 4 == kind)] < 0.5).mean() > 0.7


def test_every_particle_has_a_row_with_its_probability(example):
    lines = example.run.probability_csv_path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[:2] == ["name", "probability"]
    assert len(lines) == PARTICLES + 1
    assert lines[1].startswith("000001@stack.mrcs,")


def test_what_junk_decodes_to_changes_no_level_and_no_label(example):
    """A law: the statistics over particles are of those that are particles."""
    run = example.run
    model = GaussianModel.load(run.gaussians_path)

    def result():
        trained = TrainedDecoder(run)
        rows = choose_sample(PARTICLES, PARTICLES, 0, trained.particle_weights)
        decoded = trained.decode(rows)
        found = segment_gaussians(model.positions, decoded.relative_amplitudes, method="pca")
        return decoded.relative_amplitudes, found.labels, trained.reference()

    before = result()
    probability = np.load(run.probability_path)
    latent = np.load(run.latent_path)
    untouched = latent.copy()
    latent[probability <= 0.5] = np.random.default_rng(0).normal(
        scale=30.0, size=(int((probability <= 0.5).sum()), latent.shape[1])
    )
    np.save(run.latent_path, latent)
    try:
        after = result()
    finally:
        np.save(run.latent_path, untouched)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_junk_weighs_less_while_the_networks_learn(example):
    """Judged between epochs, by networks that are half trained."""
    folder = example.run.particles_path
    found = judgements(folder)
    assert [path.stem[-4:] for path in found] == [f"{e:04d}" for e in CONFIG.junk_rounds]
    probability = known_probability(folder, PARTICLES)
    assert roc_auc_score(~JUNK, probability) > 0.9
    setup = prepare_training(example.run, CONFIG)
    weights = loss_weights(setup.probability, setup.split.training)
    assert weights[setup.split.training].mean() == pytest.approx(1.0)
    assert np.median(weights[JUNK]) < 0.5 * np.median(weights[~JUNK])
    assert weights.min() > 0  # nothing is shut out for good


def test_a_particle_without_weight_teaches_nothing(tmp_path, monkeypatch):
    """Gradients are those of the others alone."""
    monkeypatch.setattr(judgements_module, "LEAST_WEIGHT", 0.0)
    example = make_example(tmp_path / "run", CONFIG)
    setup = prepare_training(example.run, CONFIG)
    few = replace(setup.split, training=setup.split.training[:8])
    probability = np.where(np.isin(np.arange(PARTICLES), few.training[:4]), 1.0, 0.0)

    def trained(change) -> np.ndarray:
        images = np.load(example.run.particles_path / "images.npy")
        images[few.training[4:]] *= change
        np.save(example.run.particles_path / "images.npy", images)
        forward = prepare_training(example.run, CONFIG).forward
        own = replace(setup, split=few, probability=probability, forward=forward)
        config = replace(CONFIG, epochs=1)
        trainer = Trainer(RunDirectory(tmp_path / "made"), own, config)
        epoch = Epoch(own, trainer.networks, trainer.optimiser, config, 1)
        epoch(Group(0, 1), lambda *_: None)
        weights = trainer.networks.decoder.parameters()
        return np.concatenate([p.detach().numpy().ravel() for p in weights])

    one, other = trained(1.0), trained(-1.0)
    np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(judgements_module, "LEAST_WEIGHT", 0.1)
    assert np.abs(trained(1.0) - one).max() > 0


def test_a_judgement_of_other_particles_is_named(tmp_path):
    path = judgement_path(tmp_path, 2)
    np.save(path, np.ones(3))
    with pytest.raises(InputError, match=r"probability_after_0002\.npy.* of each of 4"):
        known_probability(tmp_path, 4)
