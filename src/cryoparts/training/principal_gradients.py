"""A first guess of the latent space: principal components of the encoder's input.

What varies among the particles makes their gradients vary together over whole
regions of the molecule, so the first principal components of the gradients
already tell most of it. An encoder that starts from them, rather than from
nothing, spares the training the search for each direction in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from cryoparts.training.gradients import CHANNELS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.training.gradients import EncoderInput

LARGEST_SAMPLE = 4000
LARGEST_ARRAY = 60_000_000
"""Numbers of the sample held in memory at once (240 MB)."""

INITIAL_LENGTH = 0.7
"""Typical length of the first latent vectors: inside the unit ball that is not penalised."""


def principal_map(
    encoder_input: EncoderInput,
    indices: NDArray[np.int64],
    latent_dimensions: int,
    vary: tuple[Channel, ...],
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Linear map from gradients to standardised principal components.

    Parameters
    ----------
    encoder_input : EncoderInput
        Gradients of all particles.
    indices : array, shape (n,)
        Training particles; a sample of them is used.
    latent_dimensions : int
        Number Z of components; any beyond the rank of the sample stay 0.
    vary : tuple
        Channels whose gradients count: positions only where positions vary.
    seed : int
        Seed of the sample and of the randomised decomposition.

    Returns
    -------
    weight : Tensor, shape (Z, n_inputs)
    bias : Tensor, shape (Z,)
    """
    random = np.random.default_rng(seed)
    size = min(len(indices), LARGEST_SAMPLE, max(1, LARGEST_ARRAY // encoder_input.width))
    sample = np.sort(random.choice(indices, size=size, replace=False))
    columns = _columns(encoder_input.width, vary)
    values = encoder_input.values[sample][:, columns].astype(np.float32)
    mean = values.mean(axis=0)
    values -= mean
    rank = min(latent_dimensions, *values.shape)
    _, spread, directions = randomized_svd(values, rank, random_state=seed)
    deviation = spread / np.sqrt(size)
    useful = deviation > 1e-6 * max(float(deviation.max()), 1e-30)
    target = INITIAL_LENGTH / np.sqrt(latent_dimensions)
    scale = np.where(useful, target / np.where(useful, deviation, 1.0), 0.0)
    weight = np.zeros((latent_dimensions, encoder_input.width), dtype=np.float32)
    weight[:rank, columns] = scale[:, None] * directions
    bias = -(weight[:, columns] @ mean)
    return torch.from_numpy(weight), torch.from_numpy(bias)


def _columns(width: int, vary: tuple[Channel, ...]) -> NDArray[np.int64]:
    channels = [0, 1, 2] if "position" in vary else []
    # The gradient by the amplitude also stands for the width, which has no input of its own.
    if "amplitude" in vary or "width" in vary:
        channels.append(CHANNELS - 1)
    return np.flatnonzero(np.isin(np.arange(width) % CHANNELS, channels))
