"""How much of each region of the model an image shows, beyond what it may: broken molecules.

A molecule of which a side is missing agrees well with the model where it is whole, and a
decoder makes up for a good deal of the rest: of what an image then still asks for, too little
is left to tell. So the regions' projections, each region alone with its neutral amplitudes and
where the decoder puts it, are fitted to the image by least squares. Amounts, over the median of
the image's own, are usual within what most particles show and what the decoder says of any
but one in a hundred: a region that comes and goes may be away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.cluster import KMeans

from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.template_fit import fit_templates
from cryoparts.seeds import Purpose, seed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.refinement.whitened_images import WhitenedImages

    FloatArray = NDArray[np.float64]

REGIONS = 8
"""Regions of the model."""

_MOST_SHOW = 0.1, 0.9
"""Quantiles of the images' amounts that bound what most particles show."""

_ANY_IS_DECODED = 0.005, 0.995
"""Quantiles of the decoded amounts. Wide, so that no rare state is called broken."""

_LEAST_SCALE = 0.1
"""Of the median scale of the particles: images that show nothing have none of their own."""


@dataclass(frozen=True)
class RegionAmounts:
    """Amounts of K regions in n images.

    Parameters
    ----------
    amount : array, shape (n, K)
        In units of the neutral model times the image's scale.
    error : array, shape (n, K)
        Standard deviation by the noise of the image.
    decoded : array, shape (n, K)
        What the decoder says, in units of the neutral model.
    """

    amount: FloatArray
    error: FloatArray
    decoded: FloatArray

    @property
    def columns(self) -> FloatArray:
        """All in one table (n, 3 K)."""
        return np.concatenate([self.amount, self.error, self.decoded], axis=1)

    @classmethod
    def of_columns(cls, table: FloatArray) -> RegionAmounts:
        """From `columns`."""
        return cls(*np.split(table, 3, axis=1))


def regions_of(positions: NDArray[np.floating], seed: int) -> NDArray[np.int64]:
    """Region of every Gaussian at positions (N, 3): compact ones, `REGIONS` at most."""
    count = min(REGIONS, len(np.unique(positions, axis=0)))
    number = seed_for(seed, Purpose.AGREEMENT_NOISE)
    found = KMeans(count, n_init=1, random_state=number).fit_predict(positions)
    regions: NDArray[np.int64] = found.astype(np.int64)
    return regions


@torch.no_grad()
def region_amounts(
    images: WhitenedImages,
    batch: ParticleBatch,
    decoded: Gaussians,
    neutral: Gaussians,
    region: NDArray[np.int64],
) -> RegionAmounts:
    """Fit the projections of the regions to the images of a batch.

    Parameters
    ----------
    images : WhitenedImages
    batch : ParticleBatch
        Of B particles.
    decoded : Gaussians
        Of each particle (B, N).
    neutral : Gaussians
        Of all (N,).
    region : int array, shape (N,)
        Of every Gaussian, 0 ... K - 1.
    """
    data = images.whitened(batch.data)
    count = int(region.max()) + 1
    places = torch.as_tensor(region, device=data.device)
    members = [torch.nonzero(places == k)[:, 0] for k in range(count)]
    shown = torch.stack(
        [
            images.of_gaussians(
                Gaussians(
                    decoded.positions[..., own, :], neutral.amplitudes[own], neutral.widths[own]
                ),
                batch,
            )
            for own in members
        ],
        dim=1,
    )
    amount, normal = fit_templates(shown, data)
    left = data - (shown * amount.float()[..., None]).sum(dim=1)
    noise = left.square().sum(dim=1).double() / max(images.degrees - count, 1)
    variance = torch.linalg.inv_ex(normal)[0].diagonal(dim1=1, dim2=2) * noise[:, None]
    masses = torch.stack([neutral.amplitudes[own].sum() for own in members])
    says = torch.stack([decoded.amplitudes[..., own].sum(dim=-1) for own in members], dim=-1)
    says = (says / masses.clamp_min(1e-30)).expand(len(data), -1)
    return RegionAmounts(*(t.cpu().double().numpy() for t in (amount, variance.sqrt(), says)))


@dataclass(frozen=True)
class UsualAmounts:
    """What a region may show in an image, over the median of the image's regions.

    Parameters
    ----------
    scale : float
        Median of the particles' scales.
    low, high : arrays, shape (K,)
    """

    scale: float
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, known: RegionAmounts) -> UsualAmounts:
        """As the particles `known`, most of which are good, show it."""
        scale = float(np.median(known.amount))
        seen = np.quantile(known.amount / _scales(known.amount, scale), _MOST_SHOW, axis=0)
        said = known.decoded / _scales(known.decoded, 1.0)
        said = np.quantile(said, _ANY_IS_DECODED, axis=0)
        return cls(scale, np.minimum(seen[0], said[0]), np.maximum(seen[1], said[1]))

    def beyond(self, amounts: RegionAmounts) -> FloatArray:
        """How far (n,) images are out of it: root of the sum of squares, in their own errors."""
        scale = _scales(amounts.amount, self.scale)
        shown, error = amounts.amount / scale, np.maximum(amounts.error / scale, 1e-30)
        out = np.maximum(shown - self.high, 0) + np.maximum(self.low - shown, 0)
        distance: FloatArray = np.sqrt(((out / error) ** 2).sum(axis=1))
        return distance


def _scales(amount: FloatArray, usual: float) -> FloatArray:
    """Median (n, 1) of the amounts (n, K) of each image's regions."""
    own = np.median(amount, axis=1, keepdims=True)
    scale: FloatArray = np.maximum(own, _LEAST_SCALE * abs(usual) + 1e-30)
    return scale
