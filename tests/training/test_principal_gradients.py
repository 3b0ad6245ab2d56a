from __future__ import annotations

import numpy as np
import torch

from cryoparts.networks.encoder import Encoder
from cryoparts.training.gradients import EncoderInput
from cryoparts.training.principal_gradients import INITIAL_LENGTH, principal_map


def planted(count: int = 600, gaussians: int = 50) -> tuple[EncoderInput, np.ndarray]:
    """Amplitude gradients in which two halves of the molecule come and go; noise elsewhere."""
    random = np.random.default_rng(0)
    occupancy = random.choice([-1.0, 1.0], size=(count, 2))
    values = random.normal(size=(count, gaussians, 4))
    values[:, :25, 3] += 2 * occupancy[:, [0]] + 3
    values[:, 25:, 3] += 2 * occupancy[:, [1]]
    return EncoderInput(values.reshape(count, -1).astype(np.float16)), occupancy


def latents(source: EncoderInput, weight: torch.Tensor, bias: torch.Tensor) -> np.ndarray:
    return (
        source.rows(np.arange(len(source.values)), torch.device("cpu")) @ weight.T + bias
    ).numpy()


def test_first_components_tell_what_varies():
    source, occupancy = planted()
    weight, bias = principal_map(source, np.arange(600), 4, ("amplitude",), 0)
    found = latents(source, weight, bias)
    # Any rotation of the two components tells both occupancies.
    fitted = np.linalg.lstsq(found[:, :2], occupancy, rcond=None)[0]
    assert ((found[:, :2] @ fitted > 0) == (occupancy > 0)).mean() > 0.99


def test_latents_are_centred_and_inside_the_unit_ball():
    source, _ = planted()
    weight, bias = principal_map(source, np.arange(600), 4, ("amplitude",), 0)
    found = latents(source, weight, bias)
    assert np.abs(found.mean(axis=0)).max() < 0.02
    length = np.sqrt((found**2).sum(axis=1).mean())
    assert abs(length - INITIAL_LENGTH) < 0.05


def test_only_the_channels_that_vary_count():
    source, _ = planted()
    weight, _ = principal_map(source, np.arange(600), 3, ("amplitude",), 0)
    assert weight.reshape(3, 50, 4)[..., :3].abs().max() == 0
    weight, _ = principal_map(source, np.arange(600), 3, ("position",), 0)
    assert weight.reshape(3, 50, 4)[..., 3].abs().max() == 0
    assert weight.abs().max() > 0


def test_more_dimensions_than_particles_leave_the_rest_at_zero():
    source, _ = planted()
    weight, bias = principal_map(source, np.arange(3), 8, ("amplitude",), 0)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()
    assert weight[3:].abs().max() == 0


def test_encoder_starts_from_the_map_and_remembers_it():
    source, _ = planted()
    weight, bias = principal_map(source, np.arange(600), 4, ("amplitude",), 0)
    encoder = Encoder(source.width, 4)
    encoder.start_from(weight, bias)
    rows = source.rows(np.arange(10), torch.device("cpu"))
    torch.testing.assert_close(encoder(rows), rows @ weight.T + bias, atol=0.05, rtol=0)
    again = Encoder(source.width, 4)
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(rows), encoder(rows))
