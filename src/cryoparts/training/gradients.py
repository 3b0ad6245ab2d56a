"""The encoder's input: what each particle asks of the neutral model's Gaussians.

For every particle, the gradient of its agreement with the neutral model with
respect to each Gaussian's x, y, z and relative amplitude, each of the two kinds
scaled to unit deviation over the data set. It is computed once, taken particle
by particle (not of a batch mean, so no batch size enters), and streamed from
disk in half precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.io.atomic import write_atomically
from cryoparts.training.deformation import Gaussians

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.training.forward_model import ForwardModel
    from cryoparts.training.losses import Objective

CHANNELS = 4
"""x, y, z, amplitude."""

BATCH = 64


@dataclass(frozen=True)
class EncoderInput:
    """The cached gradients of all P particles, read in rows.

    Parameters
    ----------
    values : float16 memory map, shape (P, N * 4)
        Each Gaussian's x, y, z, amplitude in turn.
    """

    values: NDArray[np.float16]

    def rows(self, indices: NDArray[np.int64], device: torch.device) -> Tensor:
        """The chosen particles' inputs (n, N * 4) in single precision."""
        return torch.from_numpy(self.values[indices].astype(np.float32)).to(device)

    @property
    def width(self) -> int:
        """Length of one particle's input."""
        return int(self.values.shape[1])

    @classmethod
    def open(cls, path: Path) -> EncoderInput:
        """Open what `compute_encoder_input` wrote."""
        return cls(np.load(path, mmap_mode="r", allow_pickle=False))


def agreement_gradients(
    forward: ForwardModel, objective: Objective, neutral: Gaussians, indices: NDArray[np.int64]
) -> Tensor:
    """Gradients (B, N, 4) of each particle's agreement, unscaled.

    Parameters
    ----------
    forward, objective
        How particles are imaged and compared.
    neutral : Gaussians
        The neutral model.
    indices : array, shape (B,)
        Particles.
    """
    batch = forward.batch(indices)
    shape = (len(indices), len(neutral.amplitudes))
    positions = neutral.positions.expand(*shape, 3).clone().requires_grad_()
    relative = torch.ones(shape, device=forward.device, requires_grad=True)
    gaussians = Gaussians(positions, neutral.amplitudes * relative, neutral.widths)
    agreement = objective.agreement(batch.data, forward.images_of(gaussians, batch))
    by_position, by_amplitude = torch.autograd.grad(agreement.sum(), (positions, relative))
    return torch.cat([by_position, by_amplitude[..., None]], dim=-1)


def compute_encoder_input(
    forward: ForwardModel,
    objective: Objective,
    neutral: Gaussians,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> EncoderInput:
    """Compute and cache the gradients of all particles.

    The scale of each kind comes from the first batches, before anything is
    written: half precision has too small a range for the bare gradients.

    Parameters
    ----------
    forward, objective, neutral
        As in `agreement_gradients`.
    path : Path
        The .npy file to write.
    progress : callable or None
        Told the number of particles done, and their total, after each batch.
    """
    count = len(forward.particles)
    scale = _channel_scale(forward, objective, neutral)
    width = len(neutral.amplitudes) * CHANNELS
    with write_atomically(path) as temporary:
        values = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.float16, shape=(count, width)
        )
        for start in range(0, count, BATCH):
            indices = np.arange(start, min(start + BATCH, count))
            gradients = agreement_gradients(forward, objective, neutral, indices) * scale
            values[indices] = gradients.flatten(1).cpu().numpy().astype(np.float16)
            if progress is not None:
                progress(int(indices[-1]) + 1, count)
        values.flush()
    return EncoderInput.open(path)


def _channel_scale(forward: ForwardModel, objective: Objective, neutral: Gaussians) -> Tensor:
    count = len(forward.particles)
    # Spread over the file, which may be sorted by micrograph or defocus.
    sample = np.unique(np.linspace(0, count - 1, min(count, 8 * BATCH)).astype(np.int64))
    squares = torch.zeros(CHANNELS, device=forward.device)
    for indices in np.array_split(sample, -(-len(sample) // BATCH)):
        gradients = agreement_gradients(forward, objective, neutral, indices)
        squares += gradients.square().mean(dim=1).sum(dim=0)
    power = squares / len(sample)
    power[:3] = power[:3].mean()  # one scale for the three axes: no direction is special
    return torch.where(power > 0, power.clamp_min(1e-30).rsqrt(), torch.zeros_like(power))
