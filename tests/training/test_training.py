"""Training from end to end on 96 particles."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from cryoparts.config import DecoderName
from cryoparts.errors import InputError
from cryoparts.image_model.gradients import agreement_gradients
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.training.checkpoint import BEST, load_checkpoint
from cryoparts.training.encoder_input import values_path
from cryoparts.training.epoch import Epoch
from cryoparts.training.setup import choose_device, prepare_training
from cryoparts.training.trainer import Trainer, best_epoch
from training_example import QUICK, Silent, make_example


def trained(example, config=QUICK, **options):
    setup = prepare_training(example.run, config)
    rows = Trainer(example.run, setup, config).train(Silent(), **options)
    return rows


def last_weights(run: RunDirectory, epoch: int) -> dict[str, torch.Tensor]:
    return load_checkpoint(run.checkpoints_path, f"epoch_{epoch:04d}").weights


@pytest.mark.parametrize("decoder", get_args(DecoderName))
def test_training_finds_the_gaussians_that_come_and_go(tmp_path, decoder):
    config = replace(
        QUICK, decoder=decoder, epochs=25, learning_rate=3e-3, min_resolution_angstrom=150.0
    )
    example = make_example(tmp_path / "run", config, noise=0.2)
    rows = trained(example, config)
    assert rows[best_epoch(rows)]["held_out_frc"] > rows[0]["held_out_frc"] + 0.01
    decoded = TrainedDecoder(example.run).decode()
    assert decoded.displacements is None
    occupancy = decoded.relative_amplitudes[:, example.optional].mean(axis=1)
    correlation = np.corrcoef(occupancy, example.present)[0, 1]
    assert correlation > 0.8
    steady = decoded.relative_amplitudes[:, ~example.optional].mean(axis=1)
    assert steady.std() < 0.5 * occupancy.std()


def test_with_positions_free_as_well_absence_is_still_an_amplitude(tmp_path):
    config = replace(
        QUICK,
        vary=("position", "amplitude"),
        epochs=25,
        learning_rate=3e-3,
        min_resolution_angstrom=150.0,
    )
    example = make_example(tmp_path / "run", config, noise=0.2)
    rows = trained(example, config)
    assert rows[best_epoch(rows)]["held_out_frc"] > rows[0]["held_out_frc"] + 0.01
    decoded = TrainedDecoder(example.run).decode()
    assert decoded.displacements.shape == (*decoded.relative_amplitudes.shape, 3)
    assert decoded.displacements.std() > 0.0
    occupancy = decoded.relative_amplitudes[:, example.optional].mean(axis=1)
    assert np.corrcoef(occupancy, example.present)[0, 1] > 0.8
    steady = decoded.relative_amplitudes[:, ~example.optional].mean(axis=1)
    assert steady.std() < 0.5 * occupancy.std()


def test_same_seed_same_weights_other_seed_others(tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = replace(QUICK, seed=seed, epochs=1)
        example = make_example(tmp_path / name, config)
        trained(example, config)
        runs.append(last_weights(example.run, 1))
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert not all(torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_resuming_gives_what_an_unbroken_training_gives(example, tmp_path):
    config = replace(QUICK, epochs=3)
    unbroken = trained(example, config)
    broken = RunDirectory(tmp_path / "broken")
    shutil.copytree(example.run.root, broken.root)
    for path in broken.checkpoints_path.glob("epoch_0003*"):
        path.unlink()
    setup = prepare_training(broken, config)
    resumed = Trainer(broken, setup, config).train(Silent(), resume=True)
    ours, theirs = last_weights(broken, 3), last_weights(example.run, 3)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    for key in ("loss", "held_out_frc", "learning_rate"):
        assert resumed[3][key] == unbroken[3][key]
    assert [row["epoch"] for row in broken.metrics()] == [0, 1, 2, 3]


def test_best_checkpoint_is_the_latest_epoch_as_good_as_the_best(example, monkeypatch):
    # the best epoch, one within half a percent of its gain, and one that has learned noise
    told = iter([0.2, 0.2, 0.25, 0.3, 0.35, 0.4, 0.35, 0.3999, 0.35, 0.39])
    counted = []

    def frc(self, indices, *, still=None):
        counted.append(still)
        return next(told) if len(counted) <= 10 else 0.31

    monkeypatch.setattr(Trainer, "_frc", frc)
    rows = trained(example, replace(QUICK, epochs=4))
    assert [row["held_out_frc"] for row in rows] == [0.2, 0.3, 0.4, 0.3999, 0.39]
    best = load_checkpoint(example.run.checkpoints_path, BEST)
    assert best.epoch == best_epoch(rows) == 3
    # the mean model is measured once, for the epoch that is kept
    assert len(counted) == 11
    assert [row.get("held_out_frc_mean") for row in rows] == [None, None, None, 0.31, None]
    assert example.run.metrics()[3]["held_out_frc_mean"] == 0.31


def test_encoder_input_of_a_particle_does_not_depend_on_its_batch(example):
    setup = prepare_training(example.run, QUICK)
    pick = np.array([5, 0, 17])
    together = agreement_gradients(setup.forward, setup.objective, setup.neutral, pick)
    for row, number in enumerate(pick):
        alone = agreement_gradients(
            setup.forward, setup.objective, setup.neutral, np.array([number])
        )
        torch.testing.assert_close(together[[row]], alone, rtol=1e-3, atol=1e-7)


def bare_gradients(example) -> np.ndarray:
    """What the published encoder is given: all gradients."""
    setup = prepare_training(example.run, replace(QUICK, preset="paper"))
    values = setup.encoder_input.rows(np.arange(96), torch.device("cpu"))
    return values.double().numpy().reshape(96, -1, 4)


def test_bare_gradients_have_unit_deviation(example):
    values = bare_gradients(example)
    assert np.sqrt((values[..., 3] ** 2).mean()) == pytest.approx(1.0, abs=0.02)
    assert np.sqrt((values[..., :3] ** 2).mean()) == pytest.approx(1.0, abs=0.02)


def test_amplitude_gradients_point_towards_the_truth(example):
    values = bare_gradients(example)
    asked = values[:, example.optional, 3].mean(axis=1)
    assert asked[example.present].mean() > asked[~example.present].mean()


def test_stored_inputs_are_those_of_the_stored_map(example):
    first = prepare_training(example.run, QUICK)
    again = prepare_training(example.run, QUICK)  # opened, not computed
    gradients = agreement_gradients(first.forward, first.objective, first.neutral, np.arange(5, 9))
    stored = again.encoder_input.rows(np.arange(5, 9), torch.device("cpu"))
    torch.testing.assert_close(
        again.encoder_input.map.of_gradients(gradients), stored, atol=1e-4, rtol=1e-3
    )


def test_components_do_not_see_held_out_particles(example):
    setup = prepare_training(example.run, QUICK)
    images = np.load(example.run.particles_path / "images.npy")
    random = np.random.default_rng(3)
    for row in setup.split.held_out:
        images[row] = random.permutation(images[row].ravel()).reshape(images[row].shape)
    before = setup.encoder_input.map.components
    values_path(example.run.particles_path).unlink()
    np.save(example.run.particles_path / "images.npy", images)
    after = prepare_training(example.run, QUICK).encoder_input.map.components
    # Only the scale, which is measured on all, may differ.
    one, other = before.directions[:10], after.directions[:10]
    overlap = np.abs(np.sum(one * other, axis=1)) / (
        np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    )
    np.testing.assert_allclose(overlap, 1.0, atol=1e-4)


def test_decoding_some_gives_the_rows_and_columns_of_decoding_all(example):
    trained(example)
    decoder = TrainedDecoder(example.run)
    everything = decoder.decode()
    rows, columns = np.array([7, 3, 90]), np.array([1, 30])
    some = decoder.decode(rows, columns)
    assert some.names.tolist() == everything.names[rows].tolist()
    np.testing.assert_allclose(
        some.relative_amplitudes, everything.relative_amplitudes[rows][:, columns], rtol=1e-5
    )


def test_latents_are_joined_to_names(example):
    trained(example)
    write_latents(example.run, prepare_training(example.run, QUICK))
    latent = np.load(example.run.latent_path)
    lines = example.run.latent_csv_path.read_text().splitlines()
    assert latent.shape == (96, 2)
    assert lines[0] == "name,z1,z2"
    name, *values = lines[5].split(",")
    assert name == "000005@stack.mrcs"
    np.testing.assert_allclose([float(v) for v in values], latent[4], rtol=1e-5)


def test_half_set_training_never_reads_the_other_half(example):
    config = replace(QUICK, half=1)
    setup = prepare_training(example.run, config)
    halves = setup.forward.particles.half_set
    assert (halves[setup.split.training] == 1).all()
    assert (halves[setup.split.held_out] == 1).all()


def test_a_loss_that_is_not_a_number_stops_the_training_with_a_cure(example):
    config = replace(QUICK, learning_rate=1e30)
    with pytest.raises(InputError, match="at lower rates too"):
        trained(example, config)


def test_unknown_device_is_refused():
    with pytest.raises(InputError, match="--device"):
        choose_device("abacus")


@pytest.mark.parametrize("diverging", [1, 2])
def test_a_loss_that_is_no_number_goes_back_an_epoch_with_half_the_rate(
    example, tmp_path, monkeypatch, caplog, diverging
):
    config = replace(QUICK, epochs=3)
    step, calls = Epoch._step, []

    def once_no_number(self, *share):
        calls.append(self.number)
        loss = step(self, *share)
        return float("nan") if calls.count(diverging) == 2 else loss

    monkeypatch.setattr(Epoch, "_step", once_no_number)
    rows = trained(example, config)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    factors = [row["learning_rate_factor"] for row in rows[1:]]
    assert factors == [1.0] * (diverging - 1) + [0.5] * (4 - diverging)
    assert f"back to the end of epoch {diverging - 1}" in caplog.text
    # resumed after the setback, the rate stays as it was lowered
    monkeypatch.setattr(Epoch, "_step", step)
    broken = RunDirectory(tmp_path / "broken")
    shutil.copytree(example.run.root, broken.root)
    for path in broken.checkpoints_path.glob("epoch_0003*"):
        path.unlink()
    resumed = Trainer(broken, prepare_training(broken, config), config).train(Silent(), resume=True)
    assert resumed[3]["loss"] == rows[3]["loss"]
    assert resumed[3]["learning_rate"] == rows[3]["learning_rate"]


def test_a_training_on_one_half_knows_nothing_of_the_other(example, tmp_path):
    config = replace(QUICK, half=1, vary=("position", "amplitude"))
    others = RunDirectory(tmp_path / "others")
    shutil.copytree(example.run.root, others.root)
    images = np.load(others.particles_path / "images.npy")
    second = PreparedParticles.open(others.particles_path).half_set == 2
    images[second] = 5 * np.random.default_rng(0).normal(size=images[second].shape)
    np.save(others.particles_path / "images.npy", images)
    found = []
    for run in (example.run, others):
        setup = prepare_training(run, config)
        Trainer(run, setup, config).train(Silent())
        made = RunDirectory.open(run.root)
        made.record_options(replace(made.config(), training=config))
        write_latents(made, setup)
        found.append((last_weights(made, 2), TrainedDecoder(made)))
    (weights, one), (other_weights, other) = found
    assert all(torch.equal(weights[k], other_weights[k]) for k in weights)
    np.testing.assert_array_equal(one.latent()[~second], other.latent()[~second])
    for name, values in one.calibration.as_arrays().items():
        np.testing.assert_array_equal(values, other.calibration.as_arrays()[name])
