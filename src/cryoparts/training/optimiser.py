"""Adam and its rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from torch import nn

    from cryoparts.config import DecoderName, TrainingConfig
    from cryoparts.training.networks import Networks

PEAK_RATES: dict[DecoderName, float] = {
    "point-transformer": 2e-3,
    "mlp": 5e-4,
    "hierarchical-mlp": 2e-3,
}
PAPER_PEAK_RATE = 1e-4
"""Learning rate of the published program (arXiv 2601.18713)."""

FEW_STEPS, MANY_STEPS = 540, 1440
RATE_FACTOR_OF_MANY_STEPS = 0.5
"""The Point Transformer's rate falls from 1 to this factor between so many steps, as a power of
their number. With 540 steps (a ribosome, 3,200 particles) the higher rate was better (held-out
FRC 0.4338, 0.4303 at half of it); with 1,800 (a transporter, 12,800) the lower one (0.423 Å,
0.435 Å at twice the rate). The 1,440 steps of the benchmarks (12,800 particles, 8 epochs) are
measured at half the rate. Between the two nothing was measured."""

OWN_RATE_FACTOR = 5.0
"""On the rate of what belongs to single Gaussians: on a ribosome of 3,200 particles the
held-out FRC was higher after 3 epochs (0.4373) than after all 6 with a factor of 1 (0.4364)."""


@runtime_checkable
class WithOwnTerms(Protocol):
    """A decoder with parameters that belong to single Gaussians, which may learn faster."""

    def own_terms(self) -> list[nn.Parameter]:
        """These parameters."""


def make_optimiser(networks: Networks) -> torch.optim.Adam:
    """Adam with a higher rate for what belongs to single Gaussians."""
    decoder = networks.decoder
    own = decoder.own_terms() if isinstance(decoder, WithOwnTerms) else []
    apart = {id(parameter) for parameter in own}
    everything = [*networks.encoder.parameters(), *decoder.parameters()]
    shared = [parameter for parameter in everything if id(parameter) not in apart]
    groups: list[dict[str, Any]] = [{"params": shared, "rate_factor": 1.0}]
    if own:
        groups.append({"params": own, "rate_factor": OWN_RATE_FACTOR})
    device = everything[0].device
    if device.type in ("cpu", "mps"):
        return torch.optim.Adam(groups, lr=1e-3, fused=True)
    # the rate as a number on the device, so that a captured step reads the one of its time
    for group in groups:
        group["lr"] = torch.full((), 1e-3, device=device)
    return torch.optim.Adam(groups, fused=True, capturable=True)


def peak_rate(config: TrainingConfig, steps: int) -> float:
    """The highest learning rate of a training of so many steps: as asked for, or by default."""
    if config.learning_rate is not None:
        return config.learning_rate
    if config.published:
        return PAPER_PEAK_RATE
    rate = PEAK_RATES[config.decoder]
    if config.decoder != "point-transformer":
        return rate
    way = math.log(max(steps, 1) / FEW_STEPS) / math.log(MANY_STEPS / FEW_STEPS)
    return rate * math.pow(RATE_FACTOR_OF_MANY_STEPS, min(max(way, 0.0), 1.0))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter `rate`, times the factor of its group."""
    for group in optimiser.param_groups:
        wanted = rate * group["rate_factor"]
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(wanted)
        else:
            group["lr"] = wanted
