"""The decoders against their definitions, written out naively."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from published_definition import attend_as_published, decode_as_defined

from cryoparts.config import DecoderName, TrainingConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.gaussians.point_hierarchy import build_hierarchy
from cryoparts.networks.hierarchical_mlp_decoder import HierarchicalMlpDecoder
from cryoparts.networks.levels import Geometry
from cryoparts.networks.mlp_decoder import MlpDecoder
from cryoparts.networks.point_transformer_decoder import PointTransformerDecoder
from cryoparts.published.paper_point_transformer import PaperPointTransformerDecoder
from cryoparts.training.networks import build_networks

LATENT = 4
CHANNELS = 5
BOX_ANGSTROM = 150.0


@pytest.fixture
def hierarchy(positions):
    return build_hierarchy(positions, (8, 32, 128), neighbours=6, interpolation_neighbours=4)


def strengthened(decoder: torch.nn.Module) -> torch.nn.Module:
    """The output layers start small; tests need numbers that differ."""
    torch.manual_seed(5)
    for head in decoder.heads:
        torch.nn.init.normal_(head.weight, std=0.5)
    return decoder.eval()


def attend_by_loops(level, points: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Grouped vector attention, one particle, point and group at a time."""
    groups = level.gamma.out_features
    width = points.shape[2] // groups
    query, key, value = level.query(points), level.key(points), level.value(points)
    attended = torch.zeros_like(value)
    for b in range(points.shape[0]):
        for i in range(points.shape[1]):
            near = geometry.neighbours[i]
            encoded = level.position(geometry.offsets[i])
            logits = level.gamma(
                torch.relu(query[b, i] - key[b, near] + level.position_logits(encoded))
            )
            content = value[b, near] + level.position_values(encoded)
            for g in range(groups):
                own = slice(g * width, (g + 1) * width)
                attended[b, i, own] = logits[:, g].softmax(dim=0) @ content[:, own]
    return points + level.mix(torch.cat([points, attended], dim=-1))


def test_default_decoder_equals_its_definition(hierarchy):
    torch.manual_seed(0)
    decoder = strengthened(PointTransformerDecoder(LATENT, hierarchy, CHANNELS))
    latent = torch.randn(2, LATENT)
    torch.testing.assert_close(
        decoder(latent), decode_as_defined(decoder, latent, attend_by_loops), rtol=1e-4, atol=1e-4
    )


def published(positions, dtype: torch.dtype) -> PaperPointTransformerDecoder:
    torch.manual_seed(0)
    hierarchy = build_hierarchy(
        positions,
        (8, 32, 128),
        neighbours=6,
        interpolation_neighbours=4,
        weights="paper",
        box_size_angstrom=BOX_ANGSTROM,
    )
    return strengthened(
        PaperPointTransformerDecoder(LATENT, hierarchy, CHANNELS, BOX_ANGSTROM, dtype)
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)], ids=["exact", "half"]
)
def test_published_decoder_equals_its_definition(positions, dtype, tolerance):
    decoder = published(positions, dtype)
    latent = torch.randn(2, LATENT, requires_grad=True)
    ours = decoder(latent)
    naive = decode_as_defined(decoder, latent, attend_as_published)
    scale = naive.abs().max()
    assert (ours - naive).abs().max() < 1e-4 * scale
    cotangent = torch.randn_like(ours)
    named = {"latent": latent, **dict(decoder.named_parameters())}
    by_ours, by_naive = (
        torch.autograd.grad(out, [*named.values()], cotangent) for out in (ours, naive)
    )
    for name, mine, other in zip(named, by_ours, by_naive, strict=True):
        if name.endswith("gamma.3.bias"):
            assert not mine.any()  # the softmax cancels it
            continue
        assert (mine - other).norm() < tolerance * other.norm(), name
        assert torch.cosine_similarity(mine.flatten(), other.flatten(), dim=0) > 0.999, name


def test_published_decoder_in_plain_torch_equals_its_definition(positions, monkeypatch):
    monkeypatch.setattr(
        "cryoparts.published.paper_point_transformer.pair_attention_fits", lambda _: False
    )
    decoder = published(positions, torch.float32)
    latent = torch.randn(1, LATENT, requires_grad=True)
    ours, naive = decoder(latent), decode_as_defined(decoder, latent, attend_as_published)
    torch.testing.assert_close(ours, naive, rtol=1e-4, atol=1e-5)
    mine, other = (torch.autograd.grad(out.square().sum(), latent)[0] for out in (ours, naive))
    assert (mine - other).norm() < 1e-4 * other.norm()


def test_published_decoder_has_dropout_in_training_only(hierarchy):
    decoder = strengthened(PaperPointTransformerDecoder(LATENT, hierarchy, CHANNELS, BOX_ANGSTROM))
    latent = torch.randn(1, LATENT)
    torch.testing.assert_close(decoder(latent), decoder(latent))
    decoder.train()
    assert not torch.allclose(decoder(latent), decoder(latent))


@pytest.mark.parametrize("kind", ["point-transformer", "mlp", "hierarchical-mlp", "paper"])
def test_particles_are_decoded_independently(hierarchy, kind):
    torch.manual_seed(1)
    decoder = {
        "point-transformer": lambda: PointTransformerDecoder(LATENT, hierarchy, CHANNELS),
        "mlp": lambda: MlpDecoder(LATENT, 300, CHANNELS),
        "hierarchical-mlp": lambda: HierarchicalMlpDecoder(LATENT, hierarchy.levels[1], CHANNELS),
        "paper": lambda: PaperPointTransformerDecoder(LATENT, hierarchy, CHANNELS, 100.0),
    }[kind]().eval()
    latent = torch.randn(3, LATENT)
    together = decoder(latent)
    assert together.shape == (3, 300, CHANNELS)
    alone = torch.cat([decoder(latent[[b]]) for b in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("decoder_name", get_args(DecoderName))
@pytest.mark.parametrize("count", [1, 5, 70, 300])
def test_training_starts_near_the_neutral_model_with_any_number_of_gaussians(
    positions, decoder_name, count
):
    model = GaussianModel.of(positions[:count], np.ones(count), np.ones(count))
    config = TrainingConfig(decoder=decoder_name, latent_dimensions=LATENT)
    networks = build_networks(config, model, 4 * count, CHANNELS, 100.0, torch.device("cpu"))
    latent = networks.encoder(torch.randn(2, 4 * count))
    offsets = networks.decoder(latent)
    assert offsets.shape == (2, count, CHANNELS)
    assert offsets.abs().max() < 0.1
    assert latent.abs().max() < 0.1


@pytest.mark.parametrize("decoder_name", get_args(DecoderName))
def test_seed_decides_the_weights_and_leaves_the_global_generator_alone(positions, decoder_name):
    model = GaussianModel.of(positions, np.ones(300), np.ones(300))

    def weights(seed: int) -> list[torch.Tensor]:
        config = TrainingConfig(decoder=decoder_name, seed=seed)
        networks = build_networks(config, model, 1200, 1, 100.0, torch.device("cpu"))
        layers = [*networks.encoder.modules(), *networks.decoder.modules()]
        return [each.weight.detach() for each in layers if isinstance(each, torch.nn.Linear)]

    before = torch.random.get_rng_state()
    first = weights(1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(map(torch.equal, first, weights(1)))
    assert not any(map(torch.equal, first, weights(2)))
