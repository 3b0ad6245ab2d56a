from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.imaging.fourier import transform
from cryoparts.imaging.shell_correlation import fourier_ring_correlation
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.particles.pose_change import PoseSpread
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from cryoparts.validation.null_particles import NullImaging
from cryoparts.validation.null_test import null_decoder
from cryoparts.validation.repeat_training import (
    half_repeats,
    is_trained,
    null_repeat,
    repeat_training,
    seed_repeats,
)
from training_example import QUICK, Silent, make_example


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    config = replace(QUICK, epochs=3)
    made = make_example(tmp_path_factory.mktemp("null") / "run", config)
    setup = prepare_training(made.run, config)
    Trainer(made.run, setup, config).train(Silent())
    write_latents(made.run, setup)
    return made, setup, TrainedDecoder(made.run)


def test_null_particles_have_the_power_of_the_data_and_the_signal_of_the_model(example) -> None:
    _, setup, trained = example
    rows = np.arange(96)
    imaging = NullImaging.measure(trained, setup)
    null = imaging.particles(rows, seed=1)
    real = setup.forward.particles
    assert np.array_equal(null.names, real.names)
    ours, theirs = null.images(rows), real.images(rows)
    # the same noise; the data have what comes and goes on top of it
    assert 0.85 < float(ours.var() / theirs.var()) < 1.01
    other = imaging.particles(rows, seed=2).images(rows)
    assert not np.allclose(ours.numpy(), other.numpy())
    # what two null images of one particle share is the model alone
    shared = fourier_ring_correlation(transform(ours), transform(other))[:, 1:8].mean()
    model = setup.forward.images_of(setup.neutral, setup.forward.batch(rows))
    undone = replace(setup.forward, particles=null).batch(rows).data
    explained = fourier_ring_correlation(undone, model)[:, 1:8].mean()
    assert 0.2 < float(shared) < 0.999
    assert float(explained) == pytest.approx(float(shared) ** 0.5, abs=0.1)


def test_null_particles_are_off_by_what_is_left_of_the_errors_of_poses(example) -> None:
    _, setup, trained = example
    rows = np.arange(96)
    exact = NullImaging.measure(trained, setup)
    assert exact.pose_error == PoseSpread(0.0, 0.0)  # given poses were kept

    def agreement(imaging: NullImaging) -> float:
        particles = imaging.particles(rows, seed=1)
        assert np.array_equal(particles.poses.rotation, setup.forward.particles.poses.rotation)
        undone = replace(setup.forward, particles=particles).batch(rows)
        model = setup.forward.images_of(setup.neutral, undone)
        return float(fourier_ring_correlation(undone.data, model)[:, 1:8].mean())

    turned = replace(exact, pose_error=PoseSpread(np.deg2rad(8.0), 0.0))
    shifted = replace(exact, pose_error=PoseSpread(0.0, 20.0))
    assert agreement(turned) < 0.95 * agreement(exact)
    assert agreement(shifted) < 0.95 * agreement(exact)


def test_nothing_that_comes_and_goes_is_left_in_null_particles(example) -> None:
    made, setup, trained = example
    rows = np.arange(96)
    null = null_decoder(trained, setup, rows, seed=0).decode().relative_amplitudes
    data = trained.decode(rows).relative_amplitudes
    assert null is not None
    assert data is not None
    assert null.shape == data.shape

    def told(amplitudes: np.ndarray) -> float:
        mean = amplitudes[:, made.optional].mean(axis=1)
        return abs(float(np.corrcoef(mean, made.present)[0, 1]))

    assert told(data) > 0.8
    assert told(null) < 0.35
    assert null.std(axis=0).mean() < data.std(axis=0).mean()


def test_a_training_is_repeated_once_and_apart_from_the_run(example) -> None:
    made, setup, trained = example
    config = replace(trained.config, epochs=1)
    half = half_repeats(config)[1]
    assert half.config.half == 2
    assert [repeat.config.seed for repeat in seed_repeats(config, 2)] == [1, 2]
    run = repeat_training(made.run, half, Silent())
    assert is_trained(run)
    stamp = run.latent_path.stat().st_mtime_ns
    repeat_training(made.run, half, Silent())
    assert run.latent_path.stat().st_mtime_ns == stamp
    assert TrainedDecoder(run).latent().shape == trained.latent().shape
    assert run.config().training.half == 2
    with pytest.raises(InputError, match="other options"):
        repeat_training(made.run, replace(half, config=replace(half.config, epochs=2)), Silent())
    null = repeat_training(made.run, null_repeat(config), Silent(), null_of=(trained, setup))
    assert (null.particles_path / "images.npy").stat().st_size == (
        made.run.particles_path / "images.npy"
    ).stat().st_size
