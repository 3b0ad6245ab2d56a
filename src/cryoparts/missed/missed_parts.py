"""A second pass: parts too small for the decoder to have learned, found in what it leaves over.

A region that comes and goes unknown to the decoder becomes a further latent dimension, which
is that region's amplitude, and each particle's image says how much of it there is. From then on
the region is decoded, calibrated, found as a part and judged as all others are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cryoparts.inference.latents import refinement
from cryoparts.inference.missed_regions import MissedRegions
from cryoparts.missed.region_search import search_regions
from cryoparts.missed.residual_gradients import residual_gradients
from cryoparts.refinement.least_squares import BatchDecoder
from cryoparts.statistics.by_image import first_rows
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.statistics.trusted import trusted_rows
from cryoparts.training.split import rows_of_half

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.networks.extended_decoder import ExtendedDecoder
    from cryoparts.training.setup import TrainingSetup

    Told = Callable[[str, int, int], None]

LOG = logging.getLogger(__name__)

SAMPLE = 4000
"""Particles in whose residuals regions are looked for."""

FEWEST_PARTICLES = 400
"""Fewer do not tell a region from noise."""

MOST_GAUSSIANS = 16384
"""Gradients of more, of all sampled particles, take more than a gigabyte."""

STEPS = 2
"""How often the images' slopes by a further amplitude are taken anew."""


def find_missed(
    trained: TrainedDecoder, setup: TrainingSetup, progress: Told | None = None
) -> tuple[MissedRegions, NDArray[np.float32]]:
    """Regions that the decoder missed, and latent vectors with one more dimension for each.

    Parameters
    ----------
    trained : TrainedDecoder
        With refined latent vectors.
    setup : TrainingSetup
        Of the run, in the poses that were refined last.
    progress : callable or None
        Told what is done, how many particles of it, and of how many.

    Returns
    -------
    MissedRegions
    float32 array, shape (P, Z + K)
        The latent vectors that were known, and the most probable amplitudes of K regions.
    """
    count = len(setup.neutral.amplitudes)
    nothing = MissedRegions(np.zeros((0, count), dtype=np.bool_), np.zeros(0)), trained.latent()
    rows = _sample(trained)
    config = trained.config
    if "amplitude" not in config.vary or config.refinement_steps == 0:
        return nothing
    if len(rows) < FEWEST_PARTICLES or count > MOST_GAUSSIANS:
        LOG.info("no second pass for small parts: %d particles, %d Gaussians", len(rows), count)
        return nothing
    gradients = residual_gradients(trained, setup, rows, _of("residuals", progress))
    regions = search_regions(
        setup.model.positions.astype(np.float64),
        setup.model.amplitudes.astype(np.float64),
        gradients,
    )
    if not regions:
        return nothing
    missed = MissedRegions(
        np.stack([region.members for region in regions]),
        np.array([region.excess for region in regions]),
    )
    for region in regions:
        LOG.info(
            "a region of %d Gaussians changes beyond what the decoder says of it: variance %.2f "
            "of noise alone in other particles",
            region.members.sum(),
            region.excess,
        )
    further = _further_amplitudes(trained, setup, missed, _of("small parts", progress))
    return missed, np.concatenate([trained.latent(), further], axis=1)


def _sample(trained: TrainedDecoder) -> NDArray[np.int64]:
    """Trusted particles of the run's half, one of each image, spread over the file."""
    particles = trained.particles
    own = rows_of_half(particles.half_set, trained.config.half)
    own = np.intersect1d(own, first_rows(particles.image))
    return evenly_spaced(own[trusted_rows(trained.particle_weights[own])], SAMPLE)


class _OfRegions(BatchDecoder):
    """Further amplitudes (k B, K) to offsets, of B particles whose other offsets are known."""

    def __init__(self, decoder: ExtendedDecoder, offsets: Tensor) -> None:
        super().__init__()
        self.decoder, self.offsets = decoder, offsets

    def taken(self, rows: Tensor) -> _OfRegions:
        return _OfRegions(self.decoder, self.offsets[rows])

    def forward(self, further: Tensor) -> Tensor:
        times = len(further) // len(self.offsets)
        return self.decoder.added(self.offsets.repeat(times, 1, 1), further)


@dataclass(frozen=True)
class _OfRegionsIn:
    """`_OfRegions` of chosen particles."""

    decoder: ExtendedDecoder
    trained: TrainedDecoder

    def __call__(self, rows: NDArray[np.int64]) -> _OfRegions:
        return _OfRegions(self.decoder, self.trained.offsets(rows))


def _further_amplitudes(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    missed: MissedRegions,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float32]:
    """The most probable amplitude (P, K) of each region in each particle."""
    decoder, device = trained.extended_by(missed).extended, setup.forward.device
    assert decoder is not None
    further = torch.zeros(len(trained.particles), decoder.further, device=device)
    likelihood = replace(
        refinement(trained, setup),
        decoder=nn.Identity(),  # every batch has its own
        mean=torch.zeros(decoder.further, device=device),
        covariance=torch.eye(decoder.further, device=device),
    )
    refined = likelihood.refine_each(
        further, _OfRegionsIn(decoder, trained), STEPS, progress
    ).latent
    return refined.cpu().numpy()


def _of(what: str, progress: Told | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)
