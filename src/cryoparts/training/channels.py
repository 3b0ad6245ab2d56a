"""Which of the channels that may vary the data need: the rest is left out of the training.

A quarter through the training, held-out particles say what each channel holds of all that
the decoder gains over its own mean: how much of the gain is lost when the channel stays at its
mean for every particle. What holds next to nothing only learns noise and what other channels
should say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.deformation import channel_slice, deform
from cryoparts.io.run_directory import write_json
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.statistics.trusted import only_trusted

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from cryoparts.config import Channel, TrainingConfig
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.training.networks import Networks
    from cryoparts.training.setup import TrainingSetup

LEAST_SHARE = 0.15
"""Of the gain, by which a channel stays. On simulated sets positions held 0.9% of a ribosome's
whose segments come and go, 6% of the same with wrong poses, junk and a map as model, and 46%
of one whose segments also turn; a motion that small beside what comes and goes would be lost,
so this is not the default."""

SAMPLE = 512
"""Held-out particles that are asked."""

NAME = "channels.json"


@dataclass(frozen=True)
class ChannelShares:
    """What each channel holds of the decoder's gain.

    Parameters
    ----------
    gain : float
        Mean agreement of held-out particles over that with the mean decoded model.
    shares : dict of str to float
        Part of it that is lost without the channel.
    """

    gain: float
    shares: dict[Channel, float]

    def kept(self) -> tuple[Channel, ...]:
        """The channels that the data need; all, where there is no gain, and always one."""
        if self.gain <= 0:
            return tuple(self.shares)
        most = max(self.shares.values())
        return tuple(c for c, share in self.shares.items() if share >= min(LEAST_SHARE, most))

    def save(self, run: RunDirectory) -> None:
        """Write channels.json into the run folder: from then on the choice is made."""
        write_json(
            channels_path(run),
            {"gain": self.gain, "shares": dict(self.shares), "kept": list(self.kept())},
        )


def channels_path(run: RunDirectory) -> Path:
    """File of the choice; there once it is made."""
    path: Path = run.root / NAME
    return path


@torch.no_grad()
def channel_shares(
    setup: TrainingSetup, networks: Networks, config: TrainingConfig
) -> ChannelShares:
    """Ask held-out particles (or, without any, those trained on) what each channel is worth.

    Parameters
    ----------
    setup : TrainingSetup
    networks : Networks
        As trained so far; they are left evaluating.
    config : TrainingConfig
    """
    networks.encoder.eval()
    networks.decoder.eval()
    among = setup.split.held_out if len(setup.split.held_out) else setup.split.training
    rows = evenly_spaced(only_trusted(among, setup.probability), SAMPLE)
    chunks = np.array_split(rows, -(-len(rows) // config.batch_size))

    def offsets(chunk: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Tensor:
        inputs = setup.encoder_input.rows(chunk, setup.forward.device)
        decoded: Tensor = networks.decoder(networks.encoder(inputs))
        return decoded

    mean = sum(offsets(chunk).sum(dim=0) for chunk in chunks) / len(rows)
    assert isinstance(mean, torch.Tensor)
    held: list[tuple[Channel, ...]] = [(), *((channel,) for channel in config.vary), config.vary]
    agreement = np.zeros(len(held))
    for chunk in chunks:
        batch, free = setup.forward.batch(chunk), offsets(chunk)
        for place, channels in enumerate(held):
            fixed = free.clone()
            for channel in channels:
                own = channel_slice(channel, config.vary)
                fixed[..., own] = mean[..., own]
            images = setup.forward.images_of(deform(setup.neutral, fixed, config.vary), batch)
            agreement[place] += float(setup.objective.agreement(batch.data, images).sum())
    agreement /= len(rows)
    gain = float(agreement[0] - agreement[-1])
    lost = agreement[0] - agreement[1:-1]
    shares = {c: float(one) / max(gain, 1e-30) for c, one in zip(config.vary, lost, strict=True)}
    return ChannelShares(gain, shares)
