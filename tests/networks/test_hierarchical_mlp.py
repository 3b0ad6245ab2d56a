"""The laws of the two-level Gaussian mixture model: fine Gaussians follow coarse ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.gaussians.point_hierarchy import build_hierarchy
from cryoparts.networks.hierarchical_mlp_decoder import FINE_FACTOR, HierarchicalMlpDecoder

LATENT, CHANNELS, COARSE = 3, 4, 20


@pytest.fixture
def coarse(positions):
    (level,) = build_hierarchy(positions, (COARSE,)).levels
    return level


@pytest.fixture
def decoder(coarse) -> HierarchicalMlpDecoder:
    torch.manual_seed(2)
    made = HierarchicalMlpDecoder(LATENT, coarse, CHANNELS)
    for level in (made.coarse, made.fine):
        torch.nn.init.normal_(level.head.weight, std=0.1)  # it starts too small to be seen
    torch.nn.init.normal_(made.constant)
    return made


def with_fine_ones_at_rest(decoder: HierarchicalMlpDecoder) -> HierarchicalMlpDecoder:
    torch.nn.init.zeros_(decoder.fine.head.weight)
    torch.nn.init.zeros_(decoder.constant)
    return decoder


def move_coarse(decoder: HierarchicalMlpDecoder, offsets: torch.Tensor) -> None:
    """Give the coarse Gaussians these offsets whatever the latent vector."""
    torch.nn.init.zeros_(decoder.coarse.head.weight)
    with torch.no_grad():
        decoder.coarse.head.bias.copy_(offsets.flatten())


def test_fine_gaussians_move_as_one_where_all_coarse_ones_do(decoder):
    together = torch.tensor([3.0, -2.0, 0.5, -0.25])
    move_coarse(with_fine_ones_at_rest(decoder), together.expand(COARSE, CHANNELS))
    offsets = decoder(torch.randn(2, LATENT))
    torch.testing.assert_close(offsets, together.expand(2, 300, CHANNELS))


def test_a_coarse_gaussian_is_followed_by_those_about_it_alone(decoder, coarse, positions):
    offsets = torch.zeros(COARSE, CHANNELS)
    offsets[7] = 1.0
    move_coarse(with_fine_ones_at_rest(decoder), offsets)
    followed = decoder(torch.zeros(1, LATENT))[0].detach().numpy()
    assert (followed >= 0).all()
    assert (followed == followed[:, :1]).all()  # every channel alike
    assert followed.max() <= 1.0
    distance = np.linalg.norm(positions[:, None] - coarse.positions, axis=2)
    by_distance = distance.argsort(axis=1)
    nearest, far = by_distance[:, 0] == 7, ~(by_distance[:, :8] == 7).any(axis=1)
    assert followed[nearest].mean() > 0.5
    assert far.sum() > 100
    assert not followed[far].any()


def test_weights_are_means_and_are_not_trained(decoder):
    assert (decoder.weights >= 0).all()
    torch.testing.assert_close(decoder.weights.sum(dim=1), torch.ones(300))
    trained = {name for name, _ in decoder.named_parameters()}
    assert not {"weights", "followed"} & (trained | set(decoder.state_dict()))


def test_offsets_and_gradients_are_those_of_the_definition(decoder):
    latent = torch.randn(5, LATENT, requires_grad=True)
    matrix = torch.zeros(300, COARSE).scatter_(1, decoder.followed, decoder.weights)
    by_definition = matrix @ decoder.coarse(latent) + FINE_FACTOR * decoder.fine(latent)
    by_definition = by_definition + decoder.constant
    ours = decoder(latent)
    torch.testing.assert_close(ours, by_definition)
    named = {"latent": latent, **dict(decoder.named_parameters())}
    cotangent = torch.randn_like(ours)
    mine, theirs = (
        torch.autograd.grad(out, [*named.values()], cotangent) for out in (ours, by_definition)
    )
    for name, one, other in zip(named, mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)
        assert one.any(), name
