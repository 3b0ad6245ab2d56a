"""FSC of masked half maps, with what the mask itself contributes taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.fft import irfftn, rfftn

from cryoparts.imaging.shells import shells_of_half_volume
from cryoparts.reconstruction.fsc import half_map_fsc
from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    return fsc_in_masks(half1, half2, [mask], seed=seed)[0]


def fsc_in_masks(
    half1: ArrayLike,
    half2: ArrayLike,
    masks: Sequence[ArrayLike | None],
    *,
    seed: int = 0,
    randomised_from: int | None = None,
) -> list[FscCurves]:
    """`fsc_curves` in each of several masks: phases are drawn once for all of them.

    Parameters
    ----------
    half1, half2 : array, shape (D, D, D)
        Not masked.
    masks : sequence of (array, shape (D, D, D), or None)
    seed : int
        Of the random phases.
    randomised_from : int, optional
        That shell, where curves of several maps are compared. Default: as in `fsc_curves`.
    """
    unmasked, start = half_map_fsc(half1, half2), randomised_from
    if start is None:
        below = np.flatnonzero(unmasked[1:] < RANDOMISED_BELOW)
        start = int(below[0]) + 1 if len(below) else None
    asked = [mask for mask in masks if mask is not None]
    by_mask = iter(
        _agreement_of_random_phases(half1, half2, asked, start, seed)
        if start is not None and asked
        else [None] * len(asked)
    )
    none = np.full_like(unmasked, np.nan)
    curves = []
    for mask in masks:
        if mask is None:
            curves.append(FscCurves(unmasked, unmasked, none, unmasked, None))
            continue
        masked = half_map_fsc(half1, half2, mask)
        curves.append(_corrected(unmasked, masked, next(by_mask), start))
    return curves


def _agreement_of_random_phases(
    half1: ArrayLike, half2: ArrayLike, masks: list[ArrayLike], start: int, seed: int
) -> list[FloatArray]:
    """FSC within each mask of the maps with random phases from `start` on; mean of the draws."""
    random = random_for(seed, Purpose.PHASES)
    maps = [_RandomPhases.of(half, start) for half in (half1, half2)]
    total = [np.zeros(len(np.asarray(half1)) // 2 + 1) for _ in masks]
    for _ in range(DRAWS):
        first, second = (one.drawn(random) for one in maps)
        for found, mask in zip(total, masks, strict=True):
            found += half_map_fsc(first, second, mask)
    return [found / DRAWS for found in total]


def _corrected(
    unmasked: FloatArray, masked: FloatArray, by_mask: FloatArray | None, start: int | None
) -> FscCurves:
    """The curves in one mask, less what the mask alone makes agree from shell `start` on."""
    none = np.full_like(unmasked, np.nan)
    if by_mask is None or start is None:
        return FscCurves(unmasked, masked, none, masked, None)
    randomised = none.copy()
    randomised[start:] = by_mask[start:]
    corrected = masked.copy()
    certain = start + UNTOUCHED_SHELLS
    agreeing = np.clip(randomised[certain:], None, 0.999)
    corrected[certain:] = np.clip((masked[certain:] - agreeing) / (1 - agreeing), -1.0, 1.0)
    return FscCurves(unmasked, masked, randomised, corrected, start)


def with_random_phases(
    density: ArrayLike, first_shell: int, random: np.random.Generator
) -> NDArray[np.floating]:
    """The map with its amplitudes, and random phases from a shell on.

    The phases are those of a map of white noise, so Friedel mates agree and the
    result is real.

    Parameters
    ----------
    density : array, shape (D, D, D)
    first_shell : int
    random : numpy.random.Generator
    """
    return _RandomPhases.of(density, first_shell).drawn(random)


@dataclass(frozen=True)
class _RandomPhases:
    """A map whose phases are drawn anew; single precision stays single."""

    kept: NDArray[np.complexfloating]
    """The transform where it keeps its phases, 0 elsewhere."""
    amplitude: NDArray[np.floating]
    """Its length elsewhere, 0 where it is kept."""

    @classmethod
    def of(cls, density: ArrayLike, first_shell: int) -> Self:
        given = np.asarray(density)
        transform = rfftn(given.astype(np.result_type(given, np.float32), copy=False))
        changed = shells_of_half_volume(len(given)) >= first_shell
        amplitude = np.where(changed, np.abs(transform), 0)
        transform[changed] = 0
        return cls(transform, amplitude)

    def drawn(self, random: np.random.Generator) -> NDArray[np.floating]:
        shape = (len(self.amplitude),) * 3
        phases = rfftn(random.standard_normal(shape, dtype=self.amplitude.dtype.type))
        phases *= self.amplitude / np.maximum(np.abs(phases), 1e-30)
        phases += self.kept
        return np.asarray(irfftn(phases, s=shape, axes=(0, 1, 2), overwrite_x=True))
