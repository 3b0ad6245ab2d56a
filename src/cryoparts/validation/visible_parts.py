"""What the images can show at best: how often a part of a given mass would be called rightly.

Two models of a particle, with a part and without it, differ in the whitened images by d
deviations of the noise, beside what other regions could make up for; whoever knows the part's
shape calls the right one in Phi(d / 2) of the particles where either is as common. d is measured
with the run's own images (their noise, CTFs, poses, and the strength of their signal) and compact
pieces of the model itself. On a simulated ribosome it agrees within a point with least squares
that is told the true segments (1.1, 1.6, 2.6 and 3.3% of the mass: 93, 95, 97 and 98%).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.stats import norm
from sklearn.cluster import KMeans

from cryoparts.image_model.deformation import Gaussians, deform, relative_amplitude
from cryoparts.inference.calibration import scale_of_particles
from cryoparts.parallel.current import team
from cryoparts.refinement.whitened_images import WhitenedImages
from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float64]

SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
"""Masses of pieces, of the model's."""

PIECES = 12
"""Pieces of each mass, about Gaussians drawn at random."""

PARTICLES = 256
"""Images, spread over the file, in which the pieces are looked for."""

REGIONS = 8
"""Compact regions of the rest of the model, of each of which the amount is unknown."""

BATCH = 32


@dataclass(frozen=True)
class VisibleParts:
    """How often pieces of each mass would be called rightly by one who knows all else.

    Parameters
    ----------
    share : array, shape (S,)
        Of the model's mass, rising.
    accuracy : array, shape (S,)
        Mean over pieces and particles, 0.5 to 1.
    lowest, highest : array, shape (S,)
        Means over the particles of the worst and the best piece.
    """

    share: FloatArray
    accuracy: FloatArray
    lowest: FloatArray
    highest: FloatArray

    def smallest(self, accuracy: float) -> float | None:
        """Least mass that is called rightly so often; None where none of those tried is."""
        reached = np.flatnonzero(self.accuracy >= accuracy)
        if not len(reached):
            return None
        first = int(reached[0])
        if first == 0:
            return float(self.share[0])
        above = slice(first - 1, first + 1)
        log_share = np.interp(accuracy, self.accuracy[above], np.log(self.share[above]))
        return float(np.exp(log_share))


@torch.no_grad()
def visible_parts(
    trained: TrainedDecoder, setup: TrainingSetup, rows: NDArray[np.int64], seed: int
) -> VisibleParts:
    """Measure with at most `PARTICLES` of the rows.

    Parameters
    ----------
    trained : TrainedDecoder
        Of the run.
    setup : TrainingSetup
        Of the run: images, model, noise.
    rows : int array, shape (n,)
        Particles that are what the model describes.
    seed : int
        Of the places of the pieces.
    """
    if not len(rows):
        nothing = np.full(len(SHARES), 0.5)
        return VisibleParts(np.array(SHARES), nothing, nothing, nothing)
    chosen = evenly_spaced(rows, PARTICLES)
    chunks = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    images = WhitenedImages.of(setup.forward, setup.objective)
    strength = _strength(images, trained, setup, chunks)
    whole = _whole(trained, setup.neutral)
    others = _regions(whole, seed)
    pieces = [
        _by_region(piece, others) for share in SHARES for piece in _pieces(whole, share, seed)
    ]
    task = _Called(images, setup, whole, pieces, others, strength)
    called = np.concatenate([of for _, of in team().sweep(task, chosen, BATCH, worth_sending=2)])
    by_piece = called.mean(axis=0).reshape(len(SHARES), PIECES)
    return VisibleParts(
        np.array(SHARES), by_piece.mean(axis=1), by_piece.min(axis=1), by_piece.max(axis=1)
    )


def _whole(trained: TrainedDecoder, neutral: Gaussians) -> Gaussians:
    """The model with everything there that ever is: half of the density of what is there half of
    the time, in a consensus map, is no half of its mass.
    """
    levels = trained.calibration.levels
    if levels is None:
        return neutral
    present = torch.as_tensor(levels.present - levels.absent, device=neutral.amplitudes.device)
    return replace(neutral, amplitudes=neutral.amplitudes * present)


def _pieces(neutral: Gaussians, share: float, seed: int) -> list[Tensor]:
    """Members of `PIECES` pieces: a Gaussian drawn at random and those nearest to it."""
    positions = neutral.positions.cpu().numpy()
    mass = neutral.amplitudes.cpu().numpy().astype(np.float64)
    centres = random_for(seed, Purpose.VISIBLE_PIECES).choice(len(mass), PIECES)
    pieces = []
    for centre in centres:
        order = cKDTree(positions).query(positions[centre], k=len(positions))[1]
        wanted = int(np.searchsorted(np.cumsum(mass[order]), share * mass.sum())) + 1
        pieces.append(torch.as_tensor(order[:wanted], device=neutral.positions.device))
    return pieces


def _regions(neutral: Gaussians, seed: int) -> list[Tensor]:
    """The whole model in `REGIONS` compact regions."""
    positions = neutral.positions.cpu().numpy()
    count = min(REGIONS, len(positions))
    random_state = seed_for(seed, Purpose.VISIBLE_PIECES)
    found = KMeans(count, n_init=1, random_state=random_state).fit_predict(positions)
    device = neutral.positions.device
    return [torch.as_tensor(np.flatnonzero(found == k), device=device) for k in range(count)]


def _by_region(piece: Tensor, regions: list[Tensor]) -> dict[int, Tensor]:
    """Members of a piece, by the regions that have any of them."""
    shared = {number: piece[torch.isin(piece, region)] for number, region in enumerate(regions)}
    return {number: members for number, members in shared.items() if len(members)}


def _strength(
    images: WhitenedImages,
    trained: TrainedDecoder,
    setup: TrainingSetup,
    chunks: list[NDArray[np.int64]],
) -> Tensor:
    """Factor from whole Gaussians to the whitened images, in deviations of their noise.

    Of the particles' own decoded models, so that what is away in a particle is no noise.
    """
    cross, power, of_data = (torch.zeros((), device=trained.device) for _ in range(3))
    numbers = 0
    for rows in chunks:
        batch = setup.forward.batch(rows)
        data = images.whitened(batch.data)
        model = images.of_gaussians(_own(trained, setup, rows), batch)
        cross = cross + (data * model).sum()
        power = power + model.square().sum()
        of_data = of_data + data.square().sum()
        numbers += len(rows) * images.degrees
    scale = (cross / power.clamp_min(1e-30)).clamp_min(0.0)
    noise = ((of_data - scale * cross) / numbers).clamp_min(1e-30)
    return scale / noise.sqrt()


def _own(trained: TrainedDecoder, setup: TrainingSetup, rows: NDArray[np.int64]) -> Gaussians:
    """Each particle's Gaussians on the scale on which what is always there is 1."""
    offsets, vary = trained.offsets(rows), trained.config.vary
    own = deform(setup.neutral, offsets, vary)
    amplitude, reference = relative_amplitude(offsets, vary), trained.calibration.reference
    if amplitude is None or reference is None:
        return own
    return replace(
        own, amplitudes=own.amplitudes / scale_of_particles(amplitude, reference)[:, None]
    )


@dataclass(frozen=True)
class _Called:
    """Asks images for every piece."""

    images: WhitenedImages
    setup: TrainingSetup
    whole: Gaussians
    pieces: list[dict[int, Tensor]]
    """Members of each piece by the region that they are in."""
    others: list[Tensor]
    strength: Tensor

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> FloatArray:
        """Probability (n, pieces) of calling each piece rightly in each particle."""
        batch = self.setup.forward.batch(rows)
        regions = self._images(self.others, batch)
        of_regions = regions @ regions.transpose(1, 2)
        found = []
        for piece in self.pieces:
            inside = self._images(piece.values(), batch)
            # how much there is of all else is not known either
            alone = _left_over(inside, list(piece), regions, of_regions)
            found.append(self.strength * alone)
        distance = torch.stack(found, dim=1).cpu().numpy()
        called: FloatArray = norm.cdf(0.5 * distance)
        return called

    def _images(self, several: Iterable[Tensor], batch: ParticleBatch) -> Tensor:
        """Whitened images (B, K, M) of K groups of Gaussians, in double precision."""
        whole = self.whole
        groups = [
            Gaussians(whole.positions[of], whole.amplitudes[of], whole.widths[of]) for of in several
        ]
        images = [self.images.of_gaussians(some, batch).double() for some in groups]
        return torch.stack(images, dim=1)


def _left_over(inside: Tensor, among: list[int], regions: Tensor, of_regions: Tensor) -> Tensor:
    """Length (B,) of a piece's images beside all sums of the regions less what is in the piece.

    Parameters
    ----------
    inside : Tensor, shape (B, k, M)
        Images of what is of the piece in each of k regions.
    among : list of int
        Their numbers among the regions.
    regions : Tensor, shape (B, K, M)
        Images of all.
    of_regions : Tensor, shape (B, K, K)
        Scalar products of the regions.
    """
    own = inside @ inside.transpose(1, 2)
    shared = inside @ regions.transpose(1, 2)
    crossed = torch.zeros_like(of_regions)
    crossed[:, among] = shared
    # less the piece: (r - p)(r - p)^T of its images p in the regions r, and (r - p) sum(p)^T
    normal = of_regions - crossed - crossed.transpose(1, 2)
    normal[:, torch.as_tensor(among)[:, None], among] += own
    right = shared.sum(dim=1)
    right[:, among] -= own.sum(dim=1)
    # of a region that is all in the piece nothing is left
    size = normal.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-30)
    regular = normal + 1e-9 * size[:, None, None] * torch.eye(len(normal[0])).to(normal)
    explained = (right * torch.linalg.solve(regular, right)).sum(dim=1)
    length: Tensor = (own.sum(dim=(1, 2)) - explained).clamp_min(0.0).sqrt()
    return length
