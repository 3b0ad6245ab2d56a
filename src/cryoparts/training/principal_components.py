"""Principal components of the particles' gradients: what the encoder is shown.

What varies among the particles makes their gradients vary together over whole
regions of the molecule, so a few hundred components hold what there is to tell;
the rest is noise, which an encoder that sees it learns by heart. On 3,200
particles of a ribosome in nine segments the held-out FRC rose from 0.434 to
0.436 with 256 components in the place of 8,192 gradients. The first components
are also the first guess of the latent space (see `Encoder.start_from`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from cryoparts.image_model.gradients import CHANNELS
from cryoparts.seeds import Purpose, seed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel

COMPONENTS = 256
"""Components kept; 96 were worse on the ribosome."""

LARGEST_SAMPLE = 8000
LARGEST_ARRAY = 60_000_000
"""Numbers of the sample held in memory at once (240 MB)."""

_POWER_ITERATIONS = 4
"""Of the products: as good as 8 of the sample itself, for half of the work of 7."""

ROUNDING = 1e-5
"""Deviation, over the gradients' root mean square length, below which a component is rounding:
single precision has 1e-7, and noise alone spreads over a few thousand directions at most."""


@dataclass(frozen=True)
class PrincipalComponents:
    """A linear map from a particle's gradients to its scores.

    Parameters
    ----------
    mean : float32 array, shape (V,)
        Mean gradients of the channels that vary.
    directions : float32 array, shape (K, V)
        Orthonormal times one common scale, by falling deviation of the scores; 0 where
        the particles do not differ (all alike, or fewer than components).
    deviation : float32 array, shape (K,)
        Standard deviation of the scores; the median of those that are not 0 is 1.
    channels : int array, shape (C,)
        Of the four channels of the gradients, those that vary; V = N C.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    deviation: NDArray[np.float32]
    channels: NDArray[np.int64]

    @classmethod
    def of(cls, sample: NDArray[np.float32], channels: NDArray[np.int64], seed: int) -> Self:
        """Components of a sample of particles.

        Parameters
        ----------
        sample : array, shape (S, V)
            Gradients of the channels that vary.
        channels : array, shape (C,)
        seed : int
            Seed of the randomised decomposition.
        """
        mean = sample.mean(axis=0)
        directions, spread = _leading_directions(
            sample - mean, min(COMPONENTS, *sample.shape), seed_for(seed, Purpose.COMPONENTS)
        )
        deviation = spread / np.sqrt(len(sample))
        differs = deviation > ROUNDING * np.linalg.norm(sample) / np.sqrt(len(sample))
        directions, deviation = directions * differs[:, None], deviation * differs
        scale = 1.0 / float(np.median(deviation[differs])) if differs.any() else 1.0
        return cls(
            mean.astype(np.float32),
            (scale * directions).astype(np.float32),
            (scale * deviation).astype(np.float32),
            channels,
        )

    def scores(self, gradients: Tensor) -> Tensor:
        """Scores (n, K) of gradients (n, N, 4)."""
        given = torch.as_tensor(self.channels, device=gradients.device)
        return self.scores_of_varying(gradients[..., given].flatten(1))

    def scores_of_varying(self, gradients: Tensor) -> Tensor:
        """Scores (n, K) of the gradients (n, V) of the channels that vary."""
        centred = gradients - torch.as_tensor(self.mean, device=gradients.device)
        scores: Tensor = centred @ torch.as_tensor(self.directions, device=gradients.device).T
        return scores


def _leading_directions(
    centred: NDArray[np.float32], rank: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal directions (K, V) by falling spread of the rows (S, V), and the spreads (K,).

    The patterns over the shorter side come from its square of products, which is small enough
    to be multiplied again and again; that squares what singular values differ by, so what the
    rows have along these patterns tells the spreads (Rayleigh and Ritz).
    """
    few_rows = len(centred) <= centred.shape[1]
    products = centred @ centred.T if few_rows else centred.T @ centred
    patterns = randomized_svd(products, rank, n_iter=_POWER_ITERATIONS, random_state=seed)[0]
    along = patterns.T @ centred if few_rows else (centred @ patterns).T
    exact = along.astype(np.float64)
    square, turn = np.linalg.eigh(exact @ exact.T)
    spread = np.sqrt(np.maximum(square[::-1], 0.0)).astype(np.float32)
    turned = turn[:, ::-1].T.astype(np.float32)
    if few_rows:
        tiny = np.finfo(np.float32).tiny
        directions = turned @ along / np.maximum(spread, tiny)[:, None]
    else:
        directions = turned @ patterns.T
    # which way a component points is left to the solver, and rounding would decide it
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[np.arange(rank), largest] < 0, -1.0, 1.0)
    return directions * signs.astype(np.float32)[:, None], spread


def varying_channels(vary: tuple[Channel, ...]) -> NDArray[np.int64]:
    """Which of the gradients' four channels tell of what varies."""
    channels = [0, 1, 2] if "position" in vary else []
    # The gradient by the amplitude also stands for the width, which has no input of its own.
    if "amplitude" in vary or "width" in vary:
        channels.append(CHANNELS - 1)
    return np.array(channels, dtype=np.int64)


def sample_size(count: int, values: int) -> int:
    """How many of `count` particles with `values` gradients each are looked at."""
    return min(count, LARGEST_SAMPLE, max(1, LARGEST_ARRAY // values))
