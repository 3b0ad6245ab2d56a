"""The scale of amplitudes, which the losses leave free.

A correlation does not change when all amplitudes of a particle are multiplied
by one number, so a trained decoder may let them drift together. What does not
vary from particle to particle sets the scale: it is the same matter everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

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
"""Most rounds in which reference and scale determine each other."""

UPPER_QUANTILE = 0.9
"""Quantile over the particles that stands for a Gaussian that is there: a mean would sink with
its absence."""

LOWEST_LEVEL = 0.3
"""Least level of being there, of the reference's: what is hardly ever there must not have its
noise blown up."""

SHARE_OF_UNIFORM = 0.75
"""Share of a uniform distribution's variance that lies between its halves."""

LARGEST_ABSENT = 0.5
"""Of the level of being there: what stays above half of it in every particle never is away."""

PRESENT_ABOVE = 0.5
"""Relative amplitude above which a particle has a Gaussian, or a part."""

WEIGHT_OF_ABSENT = 1e-3
"""Of a particle that does not have a Gaussian, in the Gaussian's mean displacement: what is
nowhere has a mean all the same."""

COLUMNS = 1024
"""Gaussians whose levels are found at a time: bounds the memory."""


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


@dataclass(frozen=True)
class OwnLevels:
    """What each Gaussian's amplitude is without it and with it, on the reference's scale.

    Parameters
    ----------
    absent, present : array, shape (N,)
        `absent` is 0 where the amplitudes do not fall into two groups.
    """

    absent: NDArray[np.float32]
    present: NDArray[np.float32]

    def relative(self, amplitudes: Tensor) -> Tensor:
        """Amplitudes (B, N) between 0, not there, and 1, there."""
        absent, present = (
            torch.as_tensor(level, device=amplitudes.device)
            for level in (self.absent, self.present)
        )
        return (amplitudes - absent) / (present - absent)


def own_levels(amplitudes: NDArray[np.float32]) -> OwnLevels:
    """Each Gaussian's own levels.

    The neutral model gives no Gaussian exactly the mass that the data want,
    neighbours trade mass at no cost to the agreement, and a network does not
    reach 0; so being there does not mean an amplitude of 1, nor being away one
    of 0. Where the amplitudes fall into two groups, these are the levels
    (`_two_groups`). Elsewhere the level is the mean over the particles that have
    the Gaussian, those above half of its upper decile; a Gaussian that is hardly
    ever there keeps a level of `LOWEST_LEVEL`, lest its noise be blown up.

    Parameters
    ----------
    amplitudes : array, shape (S, N)
        Of a sample of particles, on the scale of the reference Gaussians.
    """
    upper = np.quantile(amplitudes, UPPER_QUANTILE, axis=0)
    there = amplitudes > 0.5 * upper
    mean = (amplitudes * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    absent = np.zeros_like(mean)
    present = np.maximum(mean, LOWEST_LEVEL)
    for start in range(0, amplitudes.shape[1], COLUMNS):
        chosen = slice(start, start + COLUMNS)
        low, high, clear = _two_groups(amplitudes[:, chosen])
        clear &= high >= LOWEST_LEVEL
        absent[chosen] = np.where(clear, low, absent[chosen])
        present[chosen] = np.where(clear, high, present[chosen])
    return OwnLevels(absent.astype(np.float32), present.astype(np.float32))


def _two_groups(
    amplitudes: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Means (n,) of the two groups of each column (S, n), and whether they are two.

    Cut where the variance between the groups is largest (Otsu 1979, IEEE Trans.
    Syst. Man Cybern. 9, 62). They count as two if that is more than its share in
    a uniform distribution and the lower mean is less than half of the upper one.
    """
    ordered = np.sort(amplitudes.astype(np.float64), axis=0)
    size = len(ordered)
    if size < 2:
        nothing = np.zeros(amplitudes.shape[1])
        return nothing, nothing, nothing.astype(bool)
    below = np.arange(1, size)[:, None]
    sums = np.cumsum(ordered, axis=0)
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (size - below)
    between = (high - low) ** 2 * below * (size - below) / size**2
    cut = between.argmax(axis=0)[None]
    lower, upper, share = (
        np.take_along_axis(values, cut, axis=0)[0] for values in (low, high, between)
    )
    clear = (share > SHARE_OF_UNIFORM * ordered.var(axis=0)) & (lower < LARGEST_ABSENT * upper)
    return lower, upper, clear


def sums_where_there(moved: Tensor, amplitude: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sums over the particles of each Gaussian's displacement (N, 3), and of its weight (N, 1).

    Their ratio is the mean over the particles that have the Gaussian: where it is away its
    displacement is nobody's, and may be anything.

    Parameters
    ----------
    moved : Tensor, shape (B, N, 3)
        Displacements of some particles.
    amplitude : Tensor, shape (B, N), or None
        0 not there, 1 there; None where all is there.
    """
    there = torch.ones_like(moved[..., :1])
    if amplitude is not None:
        there = torch.where(amplitude[..., None] > PRESENT_ABOVE, there, WEIGHT_OF_ABSENT)
    return (there * moved).sum(dim=0), there.sum(dim=0)


@dataclass(frozen=True)
class Calibration:
    """The scales on which a run's decoder answers; None what did not vary.

    Parameters
    ----------
    reference : bool array, shape (N,), or None
        Gaussians whose amplitudes vary least: the scale of amplitudes is theirs.
    levels : OwnLevels or None
        Each Gaussian's own amplitude without and with it.
    mean_displacement : float32 array, shape (N, 3), or None
        Mean over the particles that have a Gaussian, Å: the neutral model's own misfit. Where
        the neutral model does not fit the mean of the data, every particle moves its Gaussians
        alike; that is no motion of the molecule.
    """

    reference: NDArray[np.bool_] | None
    levels: OwnLevels | None
    mean_displacement: NDArray[np.float32] | None

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """What is there, by name, for an .npz."""
        arrays: dict[str, NDArray[Any]] = {}
        if self.reference is not None and self.levels is not None:
            arrays |= {
                "reference": self.reference,
                "absent": self.levels.absent,
                "present": self.levels.present,
            }
        if self.mean_displacement is not None:
            arrays["mean_displacement"] = self.mean_displacement
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Inverse of `as_arrays`."""
        levels = None
        if "reference" in arrays:
            levels = OwnLevels(arrays["absent"], arrays["present"])
        return cls(arrays.get("reference"), levels, arrays.get("mean_displacement"))
