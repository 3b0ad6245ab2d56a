"""A state's map and half maps from the images of its particles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.errors import InputError
from cryoparts.reconstruction.backprojection import (
    PROCESSOR,
    Chosen,
    gather,
    invert,
    shell_mean_weight,
)
from cryoparts.reconstruction.card_insertion import room_on
from cryoparts.reconstruction.fourier_filters import by_shell, filtered
from cryoparts.reconstruction.fsc import resolution_at
from cryoparts.reconstruction.passes import passes_over
from cryoparts.reconstruction.phase_randomisation import FscCurves, fsc_curves
from cryoparts.reconstruction.sharpening import reference_correlation
from cryoparts.reconstruction.windows import effective_count
from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.reconstruction.insertion import FourierSums
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

Weighting = Literal["wiener", "cref"]

FEWEST_IN_A_HALF = 2
"""With fewer particles in a half its FSC says nothing."""

_FLOOR = 0.1
"""Regulariser of the half maps, as a part of the shell's mean weight: keeps voxels
that hardly any image reaches, and CTF zeros, from filling with noise."""


@dataclass(frozen=True)
class HalfMaps:
    """Two independent maps of a set of particles, and the sums of all of them.

    Parameters
    ----------
    half1, half2 : float32 array, shape (D, D, D)
        Each from one half set alone; not filtered. Zero where a half has no particle.
    whole : FourierSums
        Of all particles.
    padding : int
        Of the sums.
    n_in_halves : (int, int)
    effective_particles : float
        Particles of equal weight that would be as noisy.
    pixel_size_angstrom : float
    """

    half1: Map
    half2: Map
    whole: FourierSums
    padding: int
    n_in_halves: tuple[int, int]
    effective_particles: float
    pixel_size_angstrom: float

    @property
    def has_halves(self) -> bool:
        """Whether each half has enough particles for an FSC."""
        return min(self.n_in_halves) >= FEWEST_IN_A_HALF

    @property
    def unfiltered(self) -> Map:
        """The map of all particles with the half maps' regulariser, no FSC weighting."""
        floor = _FLOOR * shell_mean_weight(self.whole, self.padding)
        return invert(self.whole, floor, padding=self.padding)


@dataclass(frozen=True)
class Reconstruction:
    """The map of a set of particles.

    Parameters
    ----------
    map : float32 array, shape (D, D, D)
        From all particles, weighted by the half maps' FSC.
    half1, half2 : float32 array, shape (D, D, D)
        From the two half sets, each independent of the other; not filtered.
        Zero where a half has no particle.
    curves : FscCurves
        Of the half maps per shell; NaN with fewer than 2 particles in a half.
    resolution_angstrom : float or None
        Where the corrected FSC falls below 0.143; None where undefined or never above.
    n_particles : int
    n_in_halves : (int, int)
    pixel_size_angstrom : float
    effective_particles : float
        Fewer than `n_particles` where they count differently.
    """

    map: Map
    half1: Map
    half2: Map
    curves: FscCurves
    resolution_angstrom: float | None
    n_particles: int
    n_in_halves: tuple[int, int]
    pixel_size_angstrom: float
    effective_particles: float

    @property
    def fsc(self) -> FloatArray:
        """The corrected FSC, from which the resolution is read."""
        return self.curves.corrected

    @property
    def has_halves(self) -> bool:
        """Whether each half has enough particles for an FSC."""
        return min(self.n_in_halves) >= FEWEST_IN_A_HALF

    @property
    def mean_of_halves(self) -> Map:
        """Average of the half maps, not filtered; the map itself where there are none."""
        return 0.5 * (self.half1 + self.half2) if self.has_halves else self.map

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


@dataclass(frozen=True)
class HalfSums:
    """What was summed of the two halves of a group's images.

    Parameters
    ----------
    group : Chosen
    first, second : FourierSums
    padding : int
        Of the sums.
    pixel_size_angstrom : float
    """

    group: Chosen
    first: FourierSums
    second: FourierSums
    padding: int
    pixel_size_angstrom: float

    def maps(self) -> HalfMaps:
        """The two maps."""
        half1, half2 = (
            invert(s, _FLOOR * shell_mean_weight(s, self.padding), padding=self.padding)
            for s in (self.first, self.second)
        )
        return HalfMaps(
            half1,
            half2,
            self.first + self.second,
            self.padding,
            (self.first.n_images, self.second.n_images),
            effective_count(self.group.all_weights),
            self.pixel_size_angstrom,
        )


def gather_half_sums(
    source: ImageSource,
    sets: Sequence[Sequence[Chosen]],
    *,
    padding: int = 2,
    threads: int = 1,
    seed: int = 0,
    most_bytes: float = math.inf,
    device: torch.device = PROCESSOR,
    progress: Callable[[int], None] | None = None,
) -> Iterator[HalfSums]:
    """Back-project the particles of each half of every group, reading each image once.

    Parameters
    ----------
    source : ImageSource
        Prepared particles, for example.
    sets : sequence of sequences of Chosen
        Groups that belong together: the states of one part, or windows along a
        coordinate. Groups may share particles. See `passes.passes_over`.
    padding : int
        1 or 2; see `backprojection.gather`.
    threads : int
    seed : int
        Particles whose half set is unknown are dealt to the halves at random.
    most_bytes : float
        Where the sums of all groups need more memory than this, the groups are made
        in several passes, of at least one group each; a pass reads its own groups'
        images only.
    device : torch.device, optional
        See `backprojection.gather`.
    progress : callable, optional
        Called with the number of images of each batch done.

    Yields
    ------
    HalfSums
        Of each group in turn.

    Raises
    ------
    InputError
        If a group has no particle.
    """
    if not all(len(group) for groups in sets for group in groups):
        raise InputError("state", "it has no particles to reconstruct", "Choose fewer states.")
    most_bytes = min(most_bytes, room_on(device))
    for one in passes_over(source, sets, padding, most_bytes):
        halves = [half for group in one.inserted for half in _halves(source, group, seed)]
        gathered = gather(
            source,
            halves,
            padding=padding,
            threads=threads,
            most_bytes=most_bytes,
            device=device,
            progress=progress,
        )
        whole = (next(gathered), next(gathered)) if one.whole is not None else None
        for groups, derived in one.sets:
            sums = [
                None if number == derived else (next(gathered), next(gathered))
                for number in range(len(groups))
            ]
            for number, group in enumerate(groups):
                pair = sums[number]
                if pair is None and whole is not None:
                    first, second = (
                        total.without([s[half] for s in sums if s is not None])
                        for half, total in enumerate(whole)
                    )
                    pair = first, second
                assert pair is not None
                yield HalfSums(group, *pair, padding, source.pixel_size_angstrom)


def _halves(source: ImageSource, group: Chosen, seed: int) -> list[Chosen]:
    halves = split_halves(source.half_set[group.rows], seed)
    return [group.take(halves == half) for half in (1, 2)]


def weighted_map(
    halves: HalfMaps,
    mask: ArrayLike | None = None,
    *,
    weighting: Weighting = "wiener",
    seed: int = 0,
    curves: FscCurves | None = None,
) -> Reconstruction:
    """FSC of the half maps, and the map of all particles weighted by it.

    With "wiener" the map is ``sum(CTF Y) / (sum(CTF^2) + w / SSNR)`` per voxel,
    w the shell's mean of sum(CTF^2) and SSNR = 2 FSC / (1 - FSC), the
    signal-to-noise ratio of the whole from the FSC of the halves (Scheres 2012,
    J. Struct. Biol. 180, 519): nearest to the truth voxel by voxel. With "cref"
    it is the unfiltered map times sqrt(2 FSC / (1 + FSC)) (Rosenthal &
    Henderson 2003): amplitudes nearest to the truth's.

    Parameters
    ----------
    halves : HalfMaps
    mask : array, shape (D, D, D), optional
        Soft mask for the FSC (the maps are not masked).
    weighting : "wiener" or "cref"
    seed : int
        Of the random phases.
    curves : FscCurves, optional
        Of the half maps in that mask, where they are known.
    """
    box = len(halves.half1)
    if not halves.has_halves:
        curves = FscCurves.undefined(box)
    elif curves is None:
        curves = fsc_curves(halves.half1, halves.half2, mask, seed=seed)
    if weighting == "cref" and halves.has_halves:
        window = by_shell(reference_correlation(curves.corrected), box)
        density = filtered(halves.unfiltered, window).astype(np.float32)
    else:
        regulariser = wiener_regulariser(halves.whole, curves.corrected, halves.padding)
        density = invert(halves.whole, regulariser, padding=halves.padding)
    return Reconstruction(
        map=density,
        half1=halves.half1,
        half2=halves.half2,
        curves=curves,
        resolution_angstrom=resolution_at(curves.corrected, box, halves.pixel_size_angstrom),
        n_particles=sum(halves.n_in_halves),
        n_in_halves=halves.n_in_halves,
        pixel_size_angstrom=halves.pixel_size_angstrom,
        effective_particles=halves.effective_particles,
    )


def reconstruct_half_maps(
    source: ImageSource,
    indices: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    padding: int = 2,
    threads: int = 1,
    seed: int = 0,
    mask: ArrayLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> Reconstruction:
    """Half maps, their FSC and the Wiener-filtered map: `gather_half_sums`, `weighted_map`.

    Raises
    ------
    InputError
        If there is no particle.
    """
    group = Chosen(
        np.asarray(indices, dtype=np.int64),
        None if weights is None else np.asarray(weights, dtype=np.float64),
    )
    (sums,) = gather_half_sums(
        source, [[group]], padding=padding, threads=threads, seed=seed, progress=progress
    )
    return weighted_map(sums.maps(), mask, seed=seed)


def split_halves(half_set: NDArray[np.int8], seed: int) -> NDArray[np.int8]:
    """Half 1 or 2 of each particle: as known, else dealt so that the halves stay even."""
    halves = half_set.copy()
    unknown = random_for(seed, Purpose.MAP_HALVES).permutation(np.flatnonzero(half_set == 0))
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
