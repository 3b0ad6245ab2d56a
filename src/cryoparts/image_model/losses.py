"""How well a projected model agrees with a particle.

Two objectives, each one number a particle, at most 1:

- ``frc``: the Fourier ring correlation, averaged over the rings of the band;
- ``whitened``: one correlation over the band with every ring divided by the
  noise power measured in the data. With white noise of known power and a free
  scale, maximising it is maximising the likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cryoparts.errors import InputError
from cryoparts.imaging.shell_correlation import (
    correlation_from_products,
    fourier_ring_correlation,
    ring_statistics,
)

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.config import LossName

FINEST_PIXELS = 2.25
"""Finest resolution compared by default, working pixels. On 12,800 particles of a transporter 2.25
instead of 3 left an error of 0.37 instead of 0.42 Å; on a ribosome's composition 2.25 and 2.5 were
equal, and 2.5 was 0.1 points of the amplitudes better than 3."""

LATENT_PENALTY = 0.1
"""Weight of the penalty on latent vectors longer than 1 (Chen & Ludtke 2021)."""


@dataclass(frozen=True)
class Band:
    """The complete rings from `first` to `last` (both included) of a box."""

    first: int
    last: int


def resolution_band(
    box_size: int,
    pixel_size: float,
    min_resolution_angstrom: float | None,
    max_resolution_angstrom: float | None,
) -> Band:
    """Rings between the coarsest and the finest resolution compared.

    Parameters
    ----------
    box_size : int
        Side D of the working images, pixels.
    pixel_size : float
        Å.
    min_resolution_angstrom, max_resolution_angstrom : float or None
        Coarsest (default: half of the box) and finest (default: 2.25 pixels), Å.

    Raises
    ------
    InputError
        If the images do not reach the finest resolution, or no ring is left.
    """
    box_angstrom = box_size * pixel_size
    coarse = min_resolution_angstrom or box_angstrom / 2
    fine = max_resolution_angstrom or FINEST_PIXELS * pixel_size
    if fine < 2 * pixel_size * 0.999:
        raise InputError(
            f"--max-resolution {fine:g}",
            f"is finer than the working images hold ({2 * pixel_size:.2f} Å at "
            f"{pixel_size:.3f} Å/pixel)",
            "Use a larger --box-size or a coarser --max-resolution.",
        )
    first = max(1, round(box_angstrom / coarse))
    last = min(box_size // 2, round(box_angstrom / fine))
    if last < first:
        raise InputError(
            "--min-resolution, --max-resolution",
            f"leave no Fourier ring between {coarse:.1f} and {fine:.1f} Å in a box of "
            f"{box_angstrom:.1f} Å",
            "Widen the band.",
        )
    return Band(first, last)


@dataclass(frozen=True)
class Objective:
    """A measure of agreement, fixed for a run.

    Parameters
    ----------
    kind : str
        "whitened" or "frc".
    band : Band
        Rings compared.
    ring_weights : Tensor, shape (R,)
        For "whitened": one over the noise power of each ring, 0 outside the band.
    """

    kind: LossName
    band: Band
    ring_weights: Tensor

    @classmethod
    def make(cls, kind: LossName, band: Band, noise_power: Tensor) -> Objective:
        """An objective from the noise power (R,) a pixel of each ring (see `measure_noise`)."""
        weights = torch.zeros_like(noise_power)
        inside = slice(band.first, band.last + 1)
        # The scale of the weights cancels; a mean of 1 keeps the sums in range.
        weights[inside] = noise_power[inside].mean() / noise_power[inside]
        return cls(kind, band, weights)

    def agreement(self, data: Tensor, model: Tensor) -> Tensor:
        """Agreement of each particle with its projected model.

        Parameters
        ----------
        data, model : Tensor, shape (B, D, D // 2 + 1)
            Complex half planes; the model has the CTF.

        Returns
        -------
        Tensor, shape (B,)
        """
        if self.kind == "frc":
            return mean_frc(data, model, self.band)
        sums = (products @ self.ring_weights for products in ring_statistics(data, model))
        return correlation_from_products(*sums)


def mean_frc(data: Tensor, model: Tensor, band: Band) -> Tensor:
    """Fourier ring correlation (B,), averaged over the rings of the band."""
    curve = fourier_ring_correlation(data, model)
    return curve[:, band.first : band.last + 1].mean(dim=1)


def residual_power(data: Tensor, model: Tensor) -> Tensor:
    """Power (B, R) that a particle keeps once the model, scaled to fit ring by ring, is removed.

    The mean over particles estimates the power of the noise as it is in these
    images, coloured or not, without knowing their scale.
    """
    cross, power, of_model = ring_statistics(data, model)
    return power * (1.0 - correlation_from_products(cross, power, of_model).square())


def latent_penalty(latent: Tensor) -> Tensor:
    """``0.1 mean(max(|z| - 1, 0))`` over a batch (B, Z) of latent vectors."""
    # The square root's gradient at 0 is infinite; the clamp's is 0.
    length = latent.square().sum(dim=1).clamp_min(1e-12).sqrt()
    return LATENT_PENALTY * (length - 1.0).clamp_min(0.0).mean()
