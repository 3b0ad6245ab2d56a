"""The scale of amplitudes, which the losses leave free.

A correlation does not change when all amplitudes of a particle are multiplied
by one number, so a trained decoder may let them drift together. What does not
vary from particle to particle sets the scale: it is the same matter everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LOW_QUANTILE = 0.1
"""What is always there keeps its amplitude even in the particles where it is lowest."""

SHARE_OF_STEADIEST = 0.6
"""Gaussians whose low quantile reaches this share of the steadiest ones' count as always there."""

ROUNDS = 5

UPPER_QUANTILE = 0.9
LOWEST_LEVEL = 0.3


def reference_gaussians(amplitudes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Gaussians that are there in every particle.

    Starting from each particle's upper quartile as its scale, the Gaussians
    whose low quantile over the particles is highest are found and set the scale
    anew, until the choice rests. A Gaussian that is never there has a low
    quantile of 0 and is not taken, however little it varies.

    Parameters
    ----------
    amplitudes : array, shape (S, N)
        Relative amplitudes of a sample of particles.

    Returns
    -------
    bool array, shape (N,)
        True for at least one Gaussian.
    """
    scale = np.quantile(amplitudes, 0.75, axis=1)
    chosen = np.zeros(amplitudes.shape[1], dtype=bool)
    for _ in range(ROUNDS):
        scaled = amplitudes / np.maximum(scale, 1e-6)[:, None]
        low = np.quantile(scaled, LOW_QUANTILE, axis=0)
        found = low >= SHARE_OF_STEADIEST * np.quantile(low, 0.95)
        if (found == chosen).all():
            break
        chosen = found
        scale = np.median(amplitudes[:, chosen], axis=1)
    return chosen


def scale_of_particles(amplitudes: Tensor, reference: NDArray[np.bool_]) -> Tensor:
    """Scale (B,) of each particle: the median amplitude of its reference Gaussians.

    Parameters
    ----------
    amplitudes : Tensor, shape (B, N)
    reference : bool array, shape (N,)
    """
    columns = torch.as_tensor(np.flatnonzero(reference), device=amplitudes.device)
    return amplitudes[:, columns].median(dim=1).values.clamp_min(1e-6)


def own_levels(amplitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each Gaussian's own level (N,): its mean amplitude over the particles that have it.

    The neutral model gives no Gaussian exactly the mass that the data want, and
    neighbours trade mass at no cost to the agreement, so being there does not
    mean an amplitude of 1. A particle has a Gaussian if its amplitude is above
    half of the Gaussian's upper decile; a Gaussian that is hardly ever there
    keeps a level of `LOWEST_LEVEL`, lest its noise be blown up.

    Parameters
    ----------
    amplitudes : array, shape (S, N)
        Of a sample of particles, on the scale of the reference Gaussians.
    """
    upper = np.quantile(amplitudes, UPPER_QUANTILE, axis=0)
    there = amplitudes > 0.5 * upper
    level = (amplitudes * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    levels: NDArray[np.float32] = np.maximum(level, LOWEST_LEVEL).astype(np.float32)
    return levels
