"""How much of each part every image shows, measured in the image itself.

The decoder's amplitudes are what a network guesses from an image, and the guess
for one part leaks into another: among truly independent parts of a simulation
they correlate by up to 0.04, which ten thousand particles call significant.
Here the parts' projections, each part alone in the particle's pose and CTF (and,
where positions vary, displaced as decoded), are fitted to the image by weighted
least squares:

    minimise  sum_k |Y(k) - sum_j a_j T_j(k)|² / noise(k)

The amplitudes a are then unbiased whatever the other parts do, and their
covariance, overlap of the parts in that view included, follows from the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.image_model.losses import resolution_band
from cryoparts.image_model.template_fit import fit_templates
from cryoparts.imaging.fourier import ring_count, ring_index, ring_weights
from cryoparts.imaging.projection import project
from cryoparts.parallel.current import team
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.training.setup import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.forward_model import ParticleBatch
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]
    DisplacementsOf = Callable[[NDArray[np.int64]], NDArray[np.floating]]

BATCH = 64
NOISE_SAMPLE = 512
"""Particles on which the noise is measured."""


@dataclass(frozen=True)
class ImageAmplitudes:
    """Amplitudes of K parts in P images, in units of the neutral model.

    Parameters
    ----------
    names : str array, shape (P,)
    amplitude : array, shape (P, K)
        1 where the part is there as in the neutral model, 0 where it is absent.
    covariance : array, shape (P, K, K)
        Of the errors, by the noise of the image.
    """

    names: NDArray[np.str_]
    amplitude: FloatArray
    covariance: FloatArray

    def __post_init__(self) -> None:
        count, parts = self.amplitude.shape
        if self.covariance.shape != (count, parts, parts) or self.names.shape != (count,):
            raise ValueError(
                f"amplitudes {self.amplitude.shape} do not fit covariances "
                f"{self.covariance.shape} and {self.names.shape} names"
            )

    @property
    def variance(self) -> FloatArray:
        """Variance (P, K) of each amplitude's error."""
        return np.diagonal(self.covariance, axis1=1, axis2=2)


def measure_amplitudes(
    particles: PreparedParticles,
    model: GaussianModel,
    labels: PartLabels,
    config: TrainingConfig,
    displacements_of: DisplacementsOf | None = None,
    progress: Callable[[int, int], None] | None = None,
    counted: NDArray[np.bool_] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> ImageAmplitudes:
    """Measure every part's amplitude in every particle image of a run.

    The core and what is in no part are fitted along, and set the scale. The
    noise is measured ring by ring on what the fit leaves over.

    Parameters
    ----------
    particles : PreparedParticles
        The working images with poses and CTFs.
    model : GaussianModel
        The neutral model.
    labels : PartLabels
        With at least one part.
    config : TrainingConfig
        Gives the band of resolution and the device.
    displacements_of : callable or None
        Gives the displacements (n, N, 3) in Å of the Gaussians in chosen particles,
        from their neutral positions; None where nothing moves.
    progress : callable or None
        Told the particles done, and their total.
    counted : bool array, shape (P,), optional
        Particles that noise and common scale are measured on. Default: all.
    rows : int array, shape (n,), optional
        Particles that are measured, at least one of them counted. Default: all.

    Raises
    ------
    ValueError
        If there is no part.
    """
    if labels.n_parts == 0:
        raise ValueError("there is no part to measure")
    fit = PartsFit(particles, model, labels, config, displacements_of)
    asked = np.arange(len(particles)) if rows is None else rows
    count = len(asked)
    usual = np.arange(count) if counted is None else np.flatnonzero(counted[asked])
    noise = fit.measure_noise(asked[usual])
    amplitude = np.empty((count, fit.groups))
    covariance = np.empty((count, fit.groups, fit.groups))
    solved = team().sweep(partial(fit.solve, noise=noise), asked, BATCH, progress)
    for place, found in solved:
        amplitude[place], covariance[place] = found
    scale = np.full(count, 1.0)
    if fit.has_core:
        scale = _shrunk_scale(amplitude[:, 0], covariance[:, 0, 0], usual)
        amplitude, covariance = amplitude[:, 1:], covariance[:, 1:, 1:]
    else:  # nothing is always there: the upper quartile of all parts is the best guess
        scale *= max(float(np.quantile(amplitude[usual], 0.75)), 1e-30)
    return ImageAmplitudes(
        names=particles.names[asked],
        amplitude=amplitude / scale[:, None],
        covariance=covariance / (scale**2)[:, None, None],
    )


def _shrunk_scale(core: FloatArray, variance: FloatArray, usual: NDArray[np.int64]) -> FloatArray:
    """Scale (P,) of the images: the core's amplitude, drawn to the usual one by its error."""
    common = float(np.median(core[usual]))
    spread = max(float(np.var(core[usual]) - variance[usual].mean()), 0.0)
    weight = spread / (spread + variance)
    scale: FloatArray = np.maximum(common + weight * (core - common), 0.1 * abs(common) + 1e-30)
    return scale


@dataclass(frozen=True)
class FitNoise:
    """Inverse noise power (M,) of the frequencies used, and the factor of the covariances."""

    weights: Tensor
    inflation: float


class PartsFit:
    """Least squares of images by the parts' projections, over the frequencies of the band."""

    def __init__(
        self,
        particles: PreparedParticles,
        model: GaussianModel,
        labels: PartLabels,
        config: TrainingConfig,
        displacements_of: DisplacementsOf | None,
    ) -> None:
        device = choose_device(config.device)
        self.displacements_of = displacements_of
        self.forward = ForwardModel(particles, device)
        self.box, self.pixel = particles.box_size, particles.pixel_size_angstrom
        band = resolution_band(
            self.box, self.pixel, config.min_resolution_angstrom, config.max_resolution_angstrom
        )
        ring = ring_index(self.box, device).flatten()
        # places, not a mask: what a mask takes has a size that only the device knows
        self.inside = torch.nonzero((ring >= band.first) & (ring <= band.last))[:, 0]
        self.ring = ring[self.inside]
        self.pairs = ring_weights(self.box, device).flatten()[self.inside]
        self.degrees = float(self.pairs.sum())
        members = [labels.labels <= 0, *(labels.members(k) for k in range(1, labels.n_parts + 1))]
        self.has_core = bool(members[0].any())
        self.members = [np.flatnonzero(m) for m in (members if self.has_core else members[1:])]
        self.groups = len(self.members)
        self.positions = torch.as_tensor(model.positions, device=device)
        self.amplitudes = torch.as_tensor(model.amplitudes, device=device)
        self.widths = torch.as_tensor(model.widths, device=device)

    def slopes(self, rows: NDArray[np.int64], weights: Tensor) -> Tensor:
        """Of each image's log-likelihood (B, N), by the amplitude of each Gaussian.

        Where the parts' amplitudes are those that fit the image best; in units of the
        neutral model's. Frequencies have `weights` (M,).
        """
        batch, positions = self.forward.batch(rows), self._placed(rows)
        images, templates = self._fitted(batch, positions)
        residual = _least_squares(images, templates, weights)[2]
        shape = (len(rows), len(self.amplitudes))
        relative = torch.ones(shape, device=positions.device, requires_grad=True)
        whole = project(
            positions.expand(*shape, 3),
            self.amplitudes * relative,
            self.widths,
            batch.rotation,
            self.box,
            self.pixel,
        )
        seen = (whole * batch.ctf).flatten(1)[:, self.inside]
        agreement = (residual.conj() * seen).real * weights
        return torch.autograd.grad(agreement.sum(), relative)[0]

    def _placed(self, rows: NDArray[np.int64]) -> Tensor:
        """Positions (N, 3) or (B, N, 3) of the Gaussians in these particles."""
        if self.displacements_of is None:
            return self.positions
        moved = self.displacements_of(rows)
        return self.positions + torch.as_tensor(moved).to(self.positions)

    def inputs(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (B, M) and templates (B, G, M) at the frequencies used."""
        return self._fitted(self.forward.batch(rows), self._placed(rows))

    def _fitted(self, batch: ParticleBatch, positions: Tensor) -> tuple[Tensor, Tensor]:
        """As `inputs`, of the particles of a batch, with the Gaussians at positions."""
        templates = torch.stack(
            [
                project(
                    positions[..., index, :],
                    self.amplitudes[index],
                    self.widths[index],
                    batch.rotation,
                    self.box,
                    self.pixel,
                )
                for index in self.members
            ],
            dim=1,
        )
        templates = templates * batch.ctf[:, None]
        return batch.data.flatten(1)[:, self.inside], templates.flatten(2)[:, :, self.inside]

    def measure_noise(self, usual: NDArray[np.int64]) -> FitNoise:
        """Of these particles, and how much surer a fit looks than it is."""
        weights = self.measure_weights(usual)
        return FitNoise(weights, self._inflation(evenly_spaced(usual, NOISE_SAMPLE), weights))

    def measure_weights(self, usual: NDArray[np.int64]) -> Tensor:
        """Inverse noise power (M,), by what an unweighted fit of these particles leaves over."""
        sample = evenly_spaced(usual, NOISE_SAMPLE)
        rings = ring_count(self.box)
        power, number = torch.zeros(2, rings, dtype=torch.float64, device=self.pairs.device)
        power.index_add_(0, self.ring, team().total(self._left_over, sample, BATCH))
        number.index_add_(0, self.ring, self.pairs.double() * len(sample))
        mean = power / number.clamp_min(1.0)
        floor = 1e-6 * float(mean.max()) + 1e-30
        weights: Tensor = (self.pairs / mean.clamp_min(floor)[self.ring]).float()
        return weights

    def _left_over(self, rows: NDArray[np.int64]) -> Tensor:
        """Power (M,) that an unweighted fit leaves over, summed over the particles."""
        images, templates = self.inputs(rows)
        residual = _least_squares(images, templates, self.pairs)[2]
        return (residual.abs().square() * self.pairs).sum(dim=0).double()

    def _inflation(self, sample: NDArray[np.int64], weights: Tensor) -> float:
        """Variance of fits to pure noise over that of independent frequencies.

        The mask around the particle makes neighbouring frequencies alike (by one
        over the area it leaves). Measured by fitting what is left of each
        particle with the templates of another. What the two particles' templates
        have in common is no longer in it, and counts for nothing.
        """
        task = partial(self._strange_fit, weights=weights)
        total, expected = team().total(task, sample, BATCH)
        # particles that are all seen alike leave nothing to measure on
        enough = expected > 0.05 * self.groups * len(sample)
        return max(total / expected, 1.0) if enough else 1.0

    def _strange_fit(self, rows: NDArray[np.int64], weights: Tensor) -> tuple[float, float]:
        """Sum of squares of a batch's fits by strangers' templates, and what is expected of it."""
        images, templates = self.inputs(rows)
        residual = _least_squares(images, templates, weights)[2]
        strange = torch.roll(residual, 1, dims=0)
        amplitudes, normal, _ = _least_squares(strange, templates, weights)
        own = torch.roll(templates, 1, dims=0)
        total = float((amplitudes[:, None] @ normal @ amplitudes[..., None]).sum())
        return total, len(rows) * self.groups - _common(templates, own, weights)

    def solve(self, rows: NDArray[np.int64], noise: FitNoise) -> tuple[FloatArray, FloatArray]:
        """Amplitudes (B, G) and their covariances (B, G, G)."""
        images, templates = self.inputs(rows)
        amplitudes, normal, residual = _least_squares(images, templates, noise.weights)
        # some micrographs are noisier than others
        free = max(self.degrees - self.groups, 1.0)
        own = (residual.abs().square() * noise.weights).sum(dim=1).double() / free
        covariance = torch.linalg.inv_ex(normal)[0] * (noise.inflation * own)[:, None, None]
        return amplitudes.cpu().numpy(), covariance.cpu().numpy()


def _common(one: Tensor, other: Tensor, weights: Tensor) -> float:
    """Dimensions that the spaces of templates (B, G, M) and (B, G, M) share, in all B."""
    root = weights.sqrt()
    bases = [torch.view_as_real(t * root).flatten(2).double() for t in (one, other)]
    a, b = (torch.linalg.qr(basis.transpose(1, 2))[0] for basis in bases)
    return float((a.transpose(1, 2) @ b).square().sum())


def _least_squares(
    images: Tensor, templates: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Amplitudes (B, G), normal matrices (B, G, G) in double precision, residuals (B, M)."""
    root = weights.sqrt()
    rows = torch.view_as_real(templates * root).flatten(2)
    right = torch.view_as_real(images * root).flatten(1)
    amplitudes, normal = fit_templates(rows, right)
    residual = images - (templates * amplitudes.float()[..., None]).sum(dim=1)
    return amplitudes, normal, residual
