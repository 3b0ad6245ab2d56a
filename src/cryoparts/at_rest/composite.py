"""One map of the whole molecule at rest: every voxel from the body that owns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.at_rest.ownership import blended
from cryoparts.at_rest.regions import (
    Quality,
    TimesParticles,
    Volumes,
    gained_shells,
    is_better,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Map = NDArray[np.float32]

Kind = Literal["consensus", "rigid", "deformable"]

CONSENSUS: Kind = "consensus"


@dataclass(frozen=True)
class Region:
    """Where one part is, at rest.

    Parameters
    ----------
    name : str
        "core", "part_1", ...
    label : str
        What the user calls it.
    mask : float32 array, shape (D, D, D)
        Soft mask around its Gaussians, in which resolutions are measured.
    share : float32 array, shape (D, D, D)
        How much each voxel belongs to it.
    """

    name: str
    label: str
    mask: Map
    share: Map


@dataclass(frozen=True)
class JudgedRegion:
    """A region's maps compared, and which of them the composite takes.

    Parameters
    ----------
    name, label : str
    qualities : dict of str to Quality
        Of the consensus first, then of each other kind that there is.
    kept : {"consensus", "rigid", "deformable"}
    gained_shells : float
        Of the kept map over the consensus, where the region owns the voxels.
    times_particles : float
        By how many times more particles the consensus would be as good (`TimesParticles`).
    effective_particles : float
        Particles of equal weight that the part's own map has.
    """

    name: str
    label: str
    qualities: dict[Kind, Quality]
    kept: Kind
    gained_shells: float
    times_particles: float
    effective_particles: float

    @property
    def before(self) -> Quality:
        """Of the consensus."""
        return self.qualities[CONSENSUS]

    @property
    def after(self) -> Quality:
        """Of the map that is kept."""
        return self.qualities[self.kept]


def judge_region(
    region: Region,
    volumes: Mapping[Kind, Volumes],
    pixel_size_angstrom: float,
    effective_particles: float,
    seed: int,
) -> JudgedRegion:
    """Measure every kind of map within the region; keep the best that is better than consensus.

    What is better is asked where the region owns the voxels, which alone the composite takes: in
    the part's own map all that is beside the part is smeared, and some of it is in its mask.

    Parameters
    ----------
    region : Region
    volumes : mapping
        The consensus, and what else there is.
    pixel_size_angstrom : float
    effective_particles : float
    seed : int
        Of the random phases: every kind has the same.
    """
    masks, box = [region.mask, region.mask * region.share], len(region.mask)
    before, own = Quality.in_masks(volumes[CONSENSUS], masks, pixel_size_angstrom, seed)
    pairs: dict[Kind, Sequence[Quality]] = {CONSENSUS: (before, own)} | {
        kind: Quality.in_masks(each, masks, pixel_size_angstrom, seed, beside=before)
        for kind, each in volumes.items()
        if kind != CONSENSUS
    }
    owned = {kind: after for kind, (_, after) in pairs.items()}
    times = {kind: TimesParticles.of(own, after).mean for kind, after in owned.items()}
    better = [k for k, after in owned.items() if is_better(own, after, box, pixel_size_angstrom)]
    kept = max(better, key=lambda kind: times[kind], default=CONSENSUS)
    return JudgedRegion(
        region.name,
        region.label,
        {kind: within for kind, (within, _) in pairs.items()},
        kept,
        gained_shells(own, owned[kept], box, pixel_size_angstrom),
        times[kept],
        effective_particles,
    )


@dataclass(frozen=True)
class Composite:
    """The map of the molecule at rest.

    Parameters
    ----------
    volumes : Volumes
        Blended, not filtered: for FSC and local resolution.
    shown : float32 array, shape (D, D, D)
        Every region filtered by its own FSC.
    sharpened : float32 array, shape (D, D, D), or None
        With the B-factor asked for.
    """

    volumes: Volumes
    shown: Map
    sharpened: Map | None


def compose(
    regions: Sequence[Region],
    judged: Sequence[JudgedRegion],
    volumes: Sequence[Mapping[Kind, Volumes]],
    whole: Quality,
    pixel_size_angstrom: float,
    b_factor: float | None = None,
) -> Composite:
    """Blend each region's kept map into the consensus.

    Parameters
    ----------
    regions, judged, volumes : sequences, alike
        See `judge_region`; at least one.
    whole : Quality
        Of the consensus within the molecule's mask: the filter of what no region owns.
    pixel_size_angstrom : float
    b_factor : float, optional
        Å²; negative sharpens.
    """
    consensus = volumes[0][CONSENSUS]
    weights = [region.share for region in regions]
    kept = [each[one.kept] for each, one in zip(volumes, judged, strict=True)]
    halves = Volumes(
        *(
            blended(getattr(consensus, name), [getattr(v, name) for v in kept], weights)
            for name in ("half1", "half2", "whole")
        )
    )
    background, sharp = shown(consensus, whole, pixel_size_angstrom, b_factor)
    made = [
        shown(v, one.after, pixel_size_angstrom, b_factor)
        for v, one in zip(kept, judged, strict=True)
    ]
    sharpened = None
    if sharp is not None:
        # a region without resolution has nothing to be sharpened
        sharpened = blended(
            sharp, [np.zeros_like(sharp) if s is None else s for _, s in made], weights
        )
    return Composite(halves, blended(background, [m for m, _ in made], weights), sharpened)
