"""How good a map is in one region, and whether it has become better than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.reconstruction.fourier_filters import by_shell, filtered
from cryoparts.reconstruction.fsc import HALF_MAP_THRESHOLD, resolution_at
from cryoparts.reconstruction.phase_randomisation import FscCurves, fsc_in_masks
from cryoparts.reconstruction.sharpening import guinier_plot, sharpened_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.reconstruction.half_maps import HalfMaps

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

LEAST_GAIN_SHELLS = 1.0
"""Shells of agreement that a map must gain in a region to be called better there: an FSC curve's
crossing moves by a part of a shell by chance."""

LEAST_TIMES_PARTICLES = 1.1
"""Or as by how many times more particles: of maps that agree well in all shells, FSC curves gain
little, however blurred they are (a domain that moves by 1.4 Å: 0.8 shells, 1.3 times as many
particles; its map-model FSC rose from 0.92 to 0.97). Fitting noise feigns 1.07 times as many,
where halves share one model and parts that stand still are moved by 0.6 Å at an SNR of 0.1."""

FEWEST_SHELLS = 5
"""By which it can be told how surely."""

ALIKE = 0.995
"""FSC from which on what little is left of 1 is rounding and the masks' edge."""


@dataclass(frozen=True)
class Volumes:
    """A map and its half maps, none of them filtered.

    Parameters
    ----------
    half1, half2, whole : float32 arrays, shape (D, D, D)
    """

    half1: Map
    half2: Map
    whole: Map

    @classmethod
    def of(cls, halves: HalfMaps) -> Self:
        """Those of sums over particles, which are let go of."""
        return cls(halves.half1, halves.half2, halves.unfiltered)


@dataclass(frozen=True)
class Quality:
    """What the half maps say of one map within one mask.

    Parameters
    ----------
    curves : FscCurves
        Within the mask, corrected for it by phase randomisation.
    resolution_angstrom : float or None
        Where the corrected FSC falls below 0.143.
    b_factor : float or None
        Of the Guinier plot within the mask, Å²; None where it has too few shells.
    """

    curves: FscCurves
    resolution_angstrom: float | None
    b_factor: float | None

    @classmethod
    def of(cls, volumes: Volumes, mask: Map, pixel_size_angstrom: float, seed: int) -> Self:
        """Measure it within one mask; see `in_masks`."""
        return cls.in_masks(volumes, [mask], pixel_size_angstrom, seed)[0]

    @classmethod
    def in_masks(
        cls,
        volumes: Volumes,
        masks: Sequence[Map],
        pixel_size_angstrom: float,
        seed: int,
        beside: Quality | None = None,
    ) -> list[Self]:
        """Measure it within each of several masks.

        Parameters
        ----------
        volumes : Volumes
        masks : sequence of float32 array, shape (D, D, D)
            Soft.
        pixel_size_angstrom : float
        seed : int
            Of the random phases: the same for maps that are compared.
        beside : Quality, optional
            What it is compared with: phases are random from the same shell on.
        """
        start = None if beside is None else beside.curves.randomised_from
        halves, mean = (volumes.half1, volumes.half2), 0.5 * (volumes.half1 + volumes.half2)
        every = fsc_in_masks(*halves, masks, seed=seed, randomised_from=start)
        measured = []
        for mask, curves in zip(masks, every, strict=True):
            guinier = guinier_plot(mean, mask, curves.corrected, pixel_size_angstrom)
            resolution = resolution_at(curves.corrected, len(mask), pixel_size_angstrom)
            measured.append(cls(curves, resolution, guinier.b_factor))
        return measured

    def shells(self, box_size: int, pixel_size_angstrom: float) -> float:
        """The resolution as a number of shells; 0 where there is none."""
        resolution = self.resolution_angstrom
        return 0.0 if resolution is None else box_size * pixel_size_angstrom / resolution


def gained_shells(before: Quality, after: Quality, box_size: int, pixel: float) -> float:
    """By how many shells of full agreement the half maps agree better after than before.

    The difference of the areas under both corrected FSC curves, up to the resolution of
    either. Where only the crossing moves it is about the crossing's way; it also counts what
    is gained before Nyquist's frequency where both maps reach it.
    """
    last = int(np.ceil(max(q.shells(box_size, pixel) for q in (before, after)))) + 1
    known = [np.nan_to_num(q.curves.corrected[1:last]).sum() for q in (before, after)]
    return float(known[1] - known[0])


@dataclass(frozen=True)
class TimesParticles:
    """By how many times more particles half maps would agree as much better as they do.

    Particles multiply the signal-to-noise ratio of a map, 2 FSC / (1 - FSC), in every shell.
    This is the geometric mean over the shells in which both maps have one; that of a curve near
    1, which hardly rises any more, counts as others do.

    Parameters
    ----------
    mean : float
        1 where no shell tells it.
    surely : float
        Less three standard errors over the shells; 0 where too few tell it.
    """

    mean: float
    surely: float

    @classmethod
    def of(cls, before: Quality, after: Quality) -> Self:
        """Compare two maps within one mask."""
        curves = np.stack([np.nan_to_num(q.curves.corrected) for q in (before, after)])
        told = np.all((curves > HALF_MAP_THRESHOLD) & (curves < ALIKE), axis=0)
        told[0] = False
        if not told.any():
            return cls(1.0, 0.0)
        rise = np.diff(np.log(curves[:, told] / (1.0 - curves[:, told])), axis=0)[0]
        times = float(np.exp(rise.mean()))
        if len(rise) < FEWEST_SHELLS:
            return cls(times, 0.0)
        error = rise.std(ddof=1) / np.sqrt(len(rise))
        return cls(times, float(np.exp(rise.mean() - 3 * error)))


def is_better(before: Quality, after: Quality, box_size: int, pixel: float) -> bool:
    """Whether a map is better in a region: by a shell, or as by more particles; and no coarser."""
    gained = gained_shells(before, after, box_size, pixel) >= LEAST_GAIN_SHELLS
    more = TimesParticles.of(before, after).surely >= LEAST_TIMES_PARTICLES
    finer = after.shells(box_size, pixel) >= before.shells(box_size, pixel) - LEAST_GAIN_SHELLS
    return (gained or more) and finer


def wiener_filtered(density: Map, fsc: FloatArray) -> Map:
    """The map times 2 FSC / (1 + FSC) in each shell up to the resolution.

    That is SSNR / (1 + SSNR) of the map of all particles, SSNR = 2 FSC / (1 - FSC) from
    the half maps (Scheres 2012, J. Struct. Biol. 180, 519).
    """
    known = np.clip(np.nan_to_num(fsc), 0.0, 1.0)
    below = np.flatnonzero(known[1:] < HALF_MAP_THRESHOLD)
    if len(below):
        known[int(below[0]) + 2 :] = 0.0
    return filtered(density, by_shell(2 * known / (1 + known), len(density))).astype(np.float32)


def shown(
    volumes: Volumes, quality: Quality, pixel: float, b_factor: float | None
) -> tuple[Map, Map | None]:
    """A map filtered by its FSC in a region, and sharpened where a B-factor is given, Å²."""
    fsc = quality.curves.corrected
    sharpened = None
    if b_factor is not None and quality.resolution_angstrom is not None:
        mean = 0.5 * (volumes.half1 + volumes.half2)
        sharpened = sharpened_map(mean, fsc, b_factor, quality.resolution_angstrom, pixel)
    return wiener_filtered(volumes.whole, fsc), sharpened
