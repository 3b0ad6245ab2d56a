from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.networks.encoder import INITIAL_LENGTH, Encoder
from cryoparts.training.principal_components import PrincipalComponents, varying_channels


def planted(count: int = 600, gaussians: int = 50) -> tuple[torch.Tensor, np.ndarray]:
    """Amplitude gradients in which two halves of the molecule come and go; noise elsewhere."""
    random = np.random.default_rng(0)
    occupancy = random.choice([-1.0, 1.0], size=(count, 2))
    values = random.normal(size=(count, gaussians, 4))
    values[:, :25, 3] += 2 * occupancy[:, [0]] + 3
    values[:, 25:, 3] += 2 * occupancy[:, [1]]
    return torch.as_tensor(values, dtype=torch.float32), occupancy


def components_of(gradients: torch.Tensor, vary: tuple[str, ...]) -> PrincipalComponents:
    channels = varying_channels(vary)
    sample = gradients.numpy()[..., channels].reshape(len(gradients), -1)
    return PrincipalComponents.of(sample, channels, seed=0)


def test_first_scores_tell_what_varies():
    gradients, occupancy = planted()
    scores = components_of(gradients, ("amplitude",)).scores(gradients).numpy()
    # Any rotation of the two components tells both occupancies.
    fitted = np.linalg.lstsq(scores[:, :2], occupancy, rcond=None)[0]
    assert ((scores[:, :2] @ fitted > 0) == (occupancy > 0)).mean() > 0.99


def test_scores_are_centred_and_have_the_stated_deviations():
    gradients, _ = planted()
    components = components_of(gradients, ("position", "amplitude"))
    scores = components.scores(gradients).numpy()
    assert np.abs(scores.mean(axis=0)).max() < 1e-3
    np.testing.assert_allclose(scores.std(axis=0), components.deviation, rtol=1e-3)
    assert (np.diff(components.deviation) <= 1e-4).all()


def test_only_the_channels_that_vary_count():
    gradients, _ = planted()
    of_amplitude = components_of(gradients, ("amplitude",))
    of_position = components_of(gradients, ("position",))
    changed = gradients.clone()
    changed[..., :3] += 1
    torch.testing.assert_close(of_amplitude.scores(changed), of_amplitude.scores(gradients))
    assert (of_position.scores(changed) - of_position.scores(gradients)).abs().max() > 0.1


def test_fewer_particles_than_components_give_as_many_scores_as_particles():
    gradients, _ = planted(count=3)
    components = components_of(gradients, ("amplitude",))
    assert components.scores(gradients).shape == (3, 3)
    assert np.isfinite(components.directions).all()


@pytest.mark.parametrize("shape", [(60, 900), (900, 60)])
def test_components_are_those_of_the_exact_decomposition(shape, monkeypatch):
    monkeypatch.setattr("cryoparts.training.principal_components.COMPONENTS", 7)
    random = np.random.default_rng(0)
    patterns = random.normal(size=(10, shape[1])) * 2.0 ** -np.arange(10)[:, None]
    sample = random.normal(size=(shape[0], 10)) @ patterns + 5
    sample = (sample + 1e-3 * random.normal(size=shape)).astype(np.float32)
    found = PrincipalComponents.of(sample, np.arange(1), seed=0)
    centred = sample - sample.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    deviation = spread[:7] / np.sqrt(len(sample))
    np.testing.assert_allclose(found.deviation, deviation / np.median(deviation), rtol=1e-4)
    scale = np.linalg.norm(found.directions, axis=1)
    np.testing.assert_allclose(scale, 1 / np.median(deviation), rtol=1e-4)
    unit = found.directions / scale[:, None]
    np.testing.assert_allclose(unit @ unit.T, np.eye(7), atol=1e-5)
    np.testing.assert_allclose(np.abs(unit @ directions[:7].T), np.eye(7), atol=2e-3)
    largest = np.abs(unit).argmax(axis=1)
    assert (unit[np.arange(7), largest] > 0).all()  # the solver's sign hangs on rounding


@pytest.mark.parametrize("shape", [(30, 400), (400, 30)])
def test_particles_of_few_kinds_have_few_components(shape):
    random = np.random.default_rng(0)
    kinds = random.normal(size=(4, shape[1])).astype(np.float32)
    sample = kinds[random.integers(4, size=shape[0])]
    found = PrincipalComponents.of(sample, np.arange(1), seed=0)
    assert (found.deviation > 0).sum() == 3
    assert (np.linalg.norm(found.directions, axis=1) > 0).sum() == 3
    assert np.isfinite(found.directions).all()


def test_first_latents_are_the_first_scores_inside_the_unit_ball():
    gradients, _ = planted()
    components = components_of(gradients, ("amplitude",))
    scores = components.scores(gradients)
    encoder = Encoder(scores.shape[1], 4)
    encoder.start_from(torch.from_numpy(components.deviation))
    latent = encoder(scores).detach()
    assert abs(float(latent.square().sum(1).mean().sqrt()) - INITIAL_LENGTH) < 0.05
    for axis in range(4):
        assert np.corrcoef(latent[:, axis], scores[:, axis])[0, 1] > 0.99


def test_encoder_remembers_its_start_and_takes_fewer_inputs_than_latent_dimensions():
    scores = torch.randn(5, 2)
    encoder = Encoder(2, 8)
    encoder.start_from(torch.tensor([2.0, 0.0]))
    again = Encoder(2, 8)
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(scores), encoder(scores))
    assert encoder(scores).shape == (5, 8)
