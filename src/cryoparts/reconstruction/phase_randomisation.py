"""FSC of masked half maps, with what the mask itself contributes taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfftn, rfftn

from cryoparts.imaging.shells import shells_of_half_volume
from cryoparts.reconstruction.fsc import half_map_fsc
from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

RANDOMISED_BELOW = 0.8
"""Phases are randomised from the shell on at which the unmasked FSC falls below this."""

UNTOUCHED_SHELLS = 2
"""Shells after the first randomised one in which true and random phases still mix."""

DRAWS = 4
"""Random sets of phases that are averaged: in a small mask one alone is noisy."""


@dataclass(frozen=True)
class FscCurves:
    """Correlation of two half maps per shell 0 ... D // 2.

    Parameters
    ----------
    unmasked : array, shape (D // 2 + 1,)
    masked : array, shape (D // 2 + 1,)
        Inside the soft mask.
    randomised : array, shape (D // 2 + 1,)
        Inside the mask after the phases were randomised: what mask alone makes
        agree. NaN in shells that keep their phases.
    corrected : array, shape (D // 2 + 1,)
        (masked - randomised) / (1 - randomised); the masked FSC in the shells
        that keep their phases.
    randomised_from : int or None
        First shell with random phases; None where none was needed (no mask, or
        no shell below 0.8).
    """

    unmasked: FloatArray
    masked: FloatArray
    randomised: FloatArray
    corrected: FloatArray
    randomised_from: int | None

    @classmethod
    def undefined(cls, box_size: int) -> FscCurves:
        """Curves of NaN, for too few particles."""
        nothing = np.full(box_size // 2 + 1, np.nan)
        return cls(nothing, nothing, nothing, nothing, None)


def fsc_curves(
    half1: ArrayLike, half2: ArrayLike, mask: ArrayLike | None = None, *, seed: int = 0
) -> FscCurves:
    """FSC without and with a mask, and corrected for the mask by phase randomisation.

    Chen et al. 2013, Ultramicroscopy 135, 24. Both half maps' phases are drawn
    anew, independently, from the shell on where the unmasked FSC falls below
    0.8. What then agrees inside the mask is the mask's doing.

    Parameters
    ----------
    half1, half2 : array, shape (D, D, D)
        Not masked.
    mask : array, shape (D, D, D), optional
        Soft, between 0 and 1. Without it all curves are the unmasked one.
    seed : int
        Of the random phases.
    """
    first, second = np.asarray(half1, np.float64), np.asarray(half2, np.float64)
    unmasked = half_map_fsc(first, second)
    none = np.full_like(unmasked, np.nan)
    if mask is None:
        return FscCurves(unmasked, unmasked, none, unmasked, None)
    masked = half_map_fsc(first, second, mask)
    below = np.flatnonzero(unmasked[1:] < RANDOMISED_BELOW)
    if not len(below):
        return FscCurves(unmasked, masked, none, masked, None)
    start = int(below[0]) + 1
    random = random_for(seed, Purpose.PHASES)
    draws = [
        half_map_fsc(
            with_random_phases(first, start, random),
            with_random_phases(second, start, random),
            mask,
        )
        for _ in range(DRAWS)
    ]
    randomised = none.copy()
    randomised[start:] = np.mean(draws, axis=0)[start:]
    corrected = masked.copy()
    certain = start + UNTOUCHED_SHELLS
    by_mask = np.clip(randomised[certain:], None, 0.999)
    corrected[certain:] = np.clip((masked[certain:] - by_mask) / (1 - by_mask), -1.0, 1.0)
    return FscCurves(unmasked, masked, randomised, corrected, start)


def with_random_phases(
    density: ArrayLike, first_shell: int, random: np.random.Generator
) -> FloatArray:
    """The map with its amplitudes, and random phases from a shell on.

    The phases are those of a map of white noise, so Friedel mates agree and the
    result is real.

    Parameters
    ----------
    density : array, shape (D, D, D)
    first_shell : int
    random : numpy.random.Generator
    """
    original = np.asarray(density, dtype=np.float64)
    transform = rfftn(original)
    noise = rfftn(random.normal(size=original.shape))
    phases = noise / np.maximum(np.abs(noise), 1e-30)
    changed = shells_of_half_volume(len(original)) >= first_shell
    transform = np.where(changed, np.abs(transform) * phases, transform)
    return np.asarray(irfftn(transform, s=original.shape, axes=(0, 1, 2)))
