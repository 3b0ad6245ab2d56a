"""A state's map and half maps from the images of its particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.reconstruction.backprojection import gather, invert, shell_mean_weight
from cryoparts.reconstruction.fsc import half_map_fsc, resolution_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.reconstruction.insertion import FourierSums
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

FEWEST_IN_A_HALF = 2
"""With fewer particles in a half its FSC says nothing."""

_FLOOR = 0.1
"""Regulariser of the half maps, as a part of the shell's mean weight: keeps voxels
that hardly any image reaches, and CTF zeros, from filling with noise."""


@dataclass(frozen=True)
class Reconstruction:
    """The map of a set of particles.

    Parameters
    ----------
    map : float32 array, shape (D, D, D)
        From all particles, Wiener-filtered by the half maps' FSC.
    half1, half2 : float32 array, shape (D, D, D)
        From the two half sets, each independent of the other; not filtered.
        Zero where a half has no particle.
    fsc : array, shape (D // 2 + 1,)
        Of the half maps per shell; NaN with fewer than 2 particles in a half.
    resolution_angstrom : float or None
        Where the FSC falls below 0.143; None where undefined or never above.
    n_particles : int
    n_in_halves : (int, int)
    pixel_size_angstrom : float
    """

    map: Map
    half1: Map
    half2: Map
    fsc: FloatArray
    resolution_angstrom: float | None
    n_particles: int
    n_in_halves: tuple[int, int]
    pixel_size_angstrom: float

    @property
    def has_halves(self) -> bool:
        """Whether each half has enough particles for an FSC."""
        return min(self.n_in_halves) >= FEWEST_IN_A_HALF

    @property
    def note(self) -> str:
        """What a reader must know, or an empty string."""
        if not self.has_halves:
            first, second = self.n_in_halves
            return (
                f"too few particles for half maps ({first} and {second}, at least "
                f"{FEWEST_IN_A_HALF} each): no FSC and no resolution"
            )
        if self.resolution_angstrom is None:
            return "the half maps do not agree at any resolution"
        return ""


def reconstruct_half_maps(
    source: ImageSource,
    indices: ArrayLike,
    *,
    padding: int = 2,
    threads: int = 1,
    seed: int = 0,
    mask: ArrayLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> Reconstruction:
    """Reconstruct the chosen particles: two half maps, their FSC, and the map of all.

    The map is ``sum(CTF Y) / (sum(CTF^2) + w / SSNR)`` per voxel, w the shell's
    mean of sum(CTF^2) and SSNR = 2 FSC / (1 - FSC), the signal-to-noise ratio of
    the whole from the FSC of the halves (Scheres 2012, J. Struct. Biol. 180, 519).

    Parameters
    ----------
    source : ImageSource
        Prepared particles, for example.
    indices : int array, shape (n,)
        Rows of the particles.
    padding : int
        1 or 2; see `backprojection.gather`.
    threads : int
    seed : int
        Particles whose half set is unknown are dealt to the halves at random.
    mask : array, shape (D, D, D), optional
        Soft mask for the FSC (the maps are not masked).
    progress : callable, optional
        Called with the number of images of each batch done.

    Raises
    ------
    InputError
        If there is no particle.
    """
    rows = np.asarray(indices, dtype=np.int64)
    if not len(rows):
        raise InputError("state", "it has no particles to reconstruct", "Choose fewer states.")
    halves = split_halves(source.half_set[rows], seed)
    sums = [
        gather(source, rows[halves == half], padding=padding, threads=threads, progress=progress)
        for half in (1, 2)
    ]
    counts = (sums[0].n_images, sums[1].n_images)
    half1, half2 = (
        invert(s, _FLOOR * shell_mean_weight(s, padding), padding=padding) for s in sums
    )
    fsc = np.full(source.box_size // 2 + 1, np.nan)
    if min(counts) >= FEWEST_IN_A_HALF:
        fsc = half_map_fsc(half1, half2, mask)
    whole = sums[0] + sums[1]
    return Reconstruction(
        map=invert(whole, wiener_regulariser(whole, fsc, padding), padding=padding),
        half1=half1,
        half2=half2,
        fsc=fsc,
        resolution_angstrom=resolution_at(fsc, source.box_size, source.pixel_size_angstrom),
        n_particles=len(rows),
        n_in_halves=counts,
        pixel_size_angstrom=source.pixel_size_angstrom,
    )


def split_halves(half_set: NDArray[np.int8], seed: int) -> NDArray[np.int8]:
    """Half 1 or 2 of each particle: as known, else dealt so that the halves stay even."""
    halves = half_set.copy()
    unknown = np.random.default_rng(seed).permutation(np.flatnonzero(half_set == 0))
    lead = int((half_set == 1).sum()) - int((half_set == 2).sum())
    # first make up for the half that is behind, then in turns
    behind = min(abs(lead), len(unknown))
    halves[unknown[:behind]] = 2 if lead > 0 else 1
    rest = unknown[behind:]
    halves[rest[0::2]] = 1
    halves[rest[1::2]] = 2
    return halves


def wiener_regulariser(sums: FourierSums, fsc: FloatArray, padding: int) -> FloatArray:
    """Noise-to-signal power per shell, in the unit of the weight, from the halves' FSC.

    Where the FSC is undefined, the floor used for half maps.
    """
    weight = shell_mean_weight(sums, padding)
    if not np.isfinite(fsc).all():
        return _FLOOR * weight
    certain = np.clip(fsc, 0.01, 0.999)
    regulariser: FloatArray = weight * (1 - certain) / (2 * certain)
    return regulariser
