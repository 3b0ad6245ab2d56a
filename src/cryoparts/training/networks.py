"""The networks of a run, from its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cryoparts.gaussians.point_hierarchy import build_hierarchy
from cryoparts.networks.encoder import Encoder
from cryoparts.networks.hierarchical_mlp_decoder import HierarchicalMlpDecoder
from cryoparts.networks.mlp_decoder import MlpDecoder
from cryoparts.networks.point_transformer_decoder import PointTransformerDecoder
from cryoparts.published.paper_point_transformer import PaperPointTransformerDecoder
from cryoparts.seeds import Purpose, seed_for
from cryoparts.training.core_held_decoder import CoreHeldDecoder

if TYPE_CHECKING:
    from torch import nn

    from cryoparts.config import Channel, TrainingConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.deformation import Gaussians

PAPER_LEVELS = (64, 256, 1024)
LEVELS = (64, 256, 512)
"""Points of the levels. Half of the published last level cost half of the time; on 3,200
particles of a ribosome the held-out FRC was 0.4303 against 0.4328 at a rate of 1e-3, and
0.4338 at the rate of 2e-3 that is the default now (1,024 points were not tried at it)."""

COARSE = 64
"""Coarse Gaussians of the hierarchical MLP, as in EMAN2's e2gmm_refine_new."""


@dataclass(frozen=True)
class Networks:
    """The pair that is trained together."""

    encoder: Encoder
    decoder: nn.Module

    def held_to_core(self, neutral: Gaussians, vary: tuple[Channel, ...]) -> Networks:
        """The same pair, whose decoder leaves motions of the whole molecule to the poses."""
        if "position" not in vary or isinstance(self.decoder, CoreHeldDecoder):
            return self
        return Networks(self.encoder, CoreHeldDecoder(self.decoder, neutral, vary))


def build_networks(
    config: TrainingConfig,
    neutral: GaussianModel,
    n_inputs: int,
    n_channels: int,
    box_angstrom: float,
    device: torch.device,
) -> Networks:
    """Encoder and decoder with the initial weights that the seed gives.

    Parameters
    ----------
    config : TrainingConfig
        Which decoder, which preset, how many latent dimensions, which seed.
    neutral : GaussianModel
        The model whose Gaussians the decoder changes.
    n_inputs : int
        Length of the encoder's input.
    n_channels : int
        Offsets a Gaussian.
    box_angstrom : float
        Side of the box, Å.
    device : torch.device
        Where the networks live.
    """
    with torch.random.fork_rng(devices=[]):  # torch initialises from its global generator only
        torch.manual_seed(seed_for(config.seed, Purpose.WEIGHTS))
        encoder = Encoder(n_inputs, config.latent_dimensions)
        decoder = _build_decoder(config, neutral, n_channels, box_angstrom)
    return Networks(encoder.to(device), decoder.to(device))


def _build_decoder(
    config: TrainingConfig, neutral: GaussianModel, n_channels: int, box_angstrom: float
) -> nn.Module:
    latent = config.latent_dimensions
    if config.decoder == "mlp":
        return MlpDecoder(latent, len(neutral), n_channels)
    if config.decoder == "hierarchical-mlp":
        (coarse,) = build_hierarchy(neutral.positions, (COARSE,), seed=config.seed).levels
        return HierarchicalMlpDecoder(latent, coarse, n_channels)
    published = config.published
    hierarchy = build_hierarchy(
        neutral.positions,
        PAPER_LEVELS if published else LEVELS,
        weights="paper" if published else "spacing",
        box_size_angstrom=box_angstrom,
        seed=config.seed,  # as in every version: the weights belong to these levels
    )
    if published:
        return PaperPointTransformerDecoder(latent, hierarchy, n_channels, box_angstrom)
    return PointTransformerDecoder(latent, hierarchy, n_channels)
