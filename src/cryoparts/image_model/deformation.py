"""From a decoder's offsets to each particle's Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.gaussians.model import GaussianModel

POSITION_UNIT_ANGSTROM = 10.0
"""Displacement of a unit offset, Å: domains of proteins move by ångströms, not pixels."""

WIDTH_RANGE = 0.5
"""Widths stay within a factor exp(0.5) of the neutral ones."""


@dataclass(frozen=True)
class Gaussians:
    """Gaussians of a batch of particles, or of all (no leading axis).

    Parameters
    ----------
    positions : Tensor, shape (N, 3) or (B, N, 3)
        Å.
    amplitudes, widths : Tensor, shape (N,) or (B, N)
        Width in Å.
    """

    positions: Tensor
    amplitudes: Tensor
    widths: Tensor

    @classmethod
    def neutral(cls, model: GaussianModel, device: torch.device) -> Self:
        """The neutral model as tensors on a device."""
        return cls(
            *(
                torch.as_tensor(array, device=device)
                for array in (model.positions, model.amplitudes, model.widths)
            )
        )


def channel_count(vary: tuple[Channel, ...]) -> int:
    """Offsets a Gaussian that a decoder must give: three for a position, one for the rest."""
    return sum(3 if channel == "position" else 1 for channel in vary)


def displacement(offsets: Tensor, vary: tuple[Channel, ...]) -> Tensor | None:
    """Displacements (B, N, 3) in Å, or None where positions do not vary."""
    if "position" not in vary:
        return None
    return POSITION_UNIT_ANGSTROM * offsets[..., channel_slice("position", vary)]


def moved_further(offsets: Tensor, moves: Tensor, vary: tuple[Channel, ...]) -> Tensor:
    """Offsets (B, N, channels) with further displacements (B, N, 3), Å.

    Raises
    ------
    ValueError
        If positions do not vary.
    """
    result = offsets.clone()
    result[..., channel_slice("position", vary)] += moves / POSITION_UNIT_ANGSTROM
    return result


def put(offsets: Tensor, members: Tensor, displacements: Tensor, vary: tuple[Channel, ...]) -> None:
    """Give some of the Gaussians (n,) displacements (B, n, 3), Å, in offsets (B, N, channels)."""
    offsets[:, members, channel_slice("position", vary)] = displacements / POSITION_UNIT_ANGSTROM


def relative_amplitude(offsets: Tensor, vary: tuple[Channel, ...]) -> Tensor | None:
    """Amplitudes (B, N) relative to the neutral ones, or None where they do not vary.

    Bounded by 0 and 2 and equal to 1 at offset 0, smoothly: with a ReLU a
    Gaussian that vanished would have no gradient and never return.
    """
    if "amplitude" not in vary:
        return None
    return 2.0 * torch.sigmoid(2.0 * offsets[..., channel_slice("amplitude", vary)].squeeze(-1))


def relative_width(offsets: Tensor, vary: tuple[Channel, ...]) -> Tensor | None:
    """Widths (B, N) relative to the neutral ones, or None where they do not vary."""
    if "width" not in vary:
        return None
    return torch.exp(
        WIDTH_RANGE * torch.tanh(offsets[..., channel_slice("width", vary)].squeeze(-1))
    )


def deform(neutral: Gaussians, offsets: Tensor, vary: tuple[Channel, ...]) -> Gaussians:
    """Each particle's Gaussians.

    Parameters
    ----------
    neutral : Gaussians
        The neutral model, without a batch axis.
    offsets : Tensor, shape (B, N, channels)
        The decoder's output, channels in the order of `vary`.
    vary : tuple
        What may change; the rest keeps the neutral model's shape, without a batch axis.
    """
    moved = displacement(offsets, vary)
    amplitude = relative_amplitude(offsets, vary)
    width = relative_width(offsets, vary)
    return Gaussians(
        neutral.positions if moved is None else neutral.positions + moved,
        neutral.amplitudes if amplitude is None else neutral.amplitudes * amplitude,
        neutral.widths if width is None else neutral.widths * width,
    )


def single(gaussians: Gaussians, neutral: Gaussians) -> Gaussians:
    """Gaussians of a batch of one particle, without the batch axis."""
    return Gaussians(
        gaussians.positions.reshape(neutral.positions.shape),
        gaussians.amplitudes.reshape(neutral.amplitudes.shape),
        gaussians.widths.reshape(neutral.widths.shape),
    )


def channel_slice(channel: Channel, vary: tuple[Channel, ...]) -> slice:
    """Where a channel's offsets are among those of `vary`."""
    start = channel_count(vary[: vary.index(channel)])
    return slice(start, start + channel_count((channel,)))
