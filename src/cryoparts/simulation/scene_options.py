"""Options of each kind of simulated scene: what is in the particles, and how it varies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import Literal

import numpy as np

from cryoparts.simulation.options import require

Centre = Literal["mass"] | tuple[float, float, float]
"""Which point of the file goes to the box centre: the centre of mass, or (x, y, z) in Å."""


@dataclass(frozen=True)
class CompositionOptions:
    """Which segments the molecule has and how often each is there."""

    segments_file: Path | None = None
    """Table (.csv) of the segments: chain,segment or
    chain,first_residue,last_residue,segment. Default: the structure is cut
    automatically."""

    n_segments: int = 9
    """Number of pieces to cut into where no table is given."""

    keep_chains: bool = False
    """Keep whole chains together when cutting automatically, rather than residues."""

    core: str | None = None
    """Name of the segment that is always present. Default: the heaviest."""

    probability: float = 0.5
    """Probability that each other segment is present in a particle."""

    couple: tuple[str, ...] = ()
    """What depends on what: "segment_3 requires segment_2" (then it is there only
    where the other is), or "segment_2,segment_4=0.6" (their presences correlate).
    Default: all independent."""

    centre: Centre = "mass"
    """Point of the structure at the box centre: "mass" or (x, y, z) in Å."""

    def __post_init__(self) -> None:
        require(
            self.n_segments >= 2,
            "--n-segments",
            "at least 2",
            self.n_segments,
            "One stays, the others come and go; the published benchmark has 9.",
        )
        require(
            0.0 <= self.probability <= 1.0,
            "--probability",
            "from 0 to 1",
            self.probability,
            "0.5 is usual.",
        )


@dataclass(frozen=True)
class MotionOptions:
    """Which regions move and how far."""

    regions_file: Path | None = None
    """Table (.csv) of the moving regions: chain,region or
    chain,first_residue,last_residue,region; what it leaves out stays still. The
    first row of a region may give axis_x, axis_y, axis_z and pivot_x, pivot_y,
    pivot_z (Å, in the structure's own frame). Default: the structure is cut
    automatically, and the largest piece stays still."""

    n_regions: int = 3
    """Number of moving regions where no table is given."""

    rmsd_angstrom: float = 2.23
    """Displacement, Å: root mean square over all atoms, mean over the particles.
    The largest angle, the same for all regions, follows from it."""

    couple: tuple[str, ...] = ()
    """Regions whose angles correlate, "region_1,region_2=0.8" for example.
    Default: all independent."""

    centre: Centre = "mass"
    """Point of the structure at the box centre: "mass" or (x, y, z) in Å."""

    def __post_init__(self) -> None:
        require(
            self.n_regions >= 1,
            "--n-regions",
            "at least 1",
            self.n_regions,
            "The published benchmark has 3 that move and 1 that does not.",
        )
        require(
            np.isfinite(self.rmsd_angstrom) and self.rmsd_angstrom > 0.0,
            "--rmsd",
            "positive",
            self.rmsd_angstrom,
            "The published benchmark has 2.23 Å.",
        )


@dataclass(frozen=True)
class BendOptions:
    """How far the molecule bends along its longest axis."""

    n_slabs: int = 40
    """Thin slabs that what bends is cut into."""

    still_fraction: float = 0.4
    """Share of the atoms, at one end, that stays as it is."""

    rmsd_angstrom: float = 2.23
    """Displacement, Å: root mean square over all atoms, mean over the particles."""

    centre: Centre = "mass"
    """Point of the structure at the box centre: "mass" or (x, y, z) in Å."""

    def __post_init__(self) -> None:
        require(self.n_slabs >= 3, "--n-slabs", "at least 3", self.n_slabs, "40 is usual.")
        require(
            0.0 <= self.still_fraction < 1.0,
            "--still-fraction",
            "from 0 to below 1",
            self.still_fraction,
            "0.4 is usual.",
        )
        require(
            np.isfinite(self.rmsd_angstrom) and self.rmsd_angstrom > 0.0,
            "--rmsd",
            "positive",
            self.rmsd_angstrom,
            "2.23 Å is usual.",
        )


@dataclass(frozen=True)
class BothOptions(CompositionOptions):
    """Which segments the molecule has, which of them turn, and which come and go."""

    n_segments: int = 6
    """Number of pieces to cut into where no table is given."""

    move: tuple[str, ...] = ()
    """Names of the segments that turn about an axis through their contact with the rest.
    Default: all but the core."""

    vanish: tuple[str, ...] = ()
    """Names of the segments that come and go. Default: all but the core."""

    rmsd_angstrom: float = 4.0
    """Displacement, Å: root mean square over all atoms of the whole molecule, mean over the
    particles. The largest angle, the same for all segments that turn, follows from it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            np.isfinite(self.rmsd_angstrom) and self.rmsd_angstrom > 0.0,
            "--rmsd",
            "positive",
            self.rmsd_angstrom,
            "4 Å is usual.",
        )


@dataclass(frozen=True)
class MapsOptions:
    """How often each map is drawn and how it is read."""

    weights: tuple[float, ...] | None = None
    """Relative frequency of each map, in the order given. Default: all the same."""

    voxel_size_angstrom: float | None = None
    """Å per voxel where the headers are wrong or say nothing."""

    def __post_init__(self) -> None:
        weights = self.weights
        require(
            weights is None
            or (all(np.isfinite(w) and w >= 0.0 for w in weights) and sum(weights) > 0.0),
            "--weights",
            "at least 0 and not all 0",
            weights,
            "Give one number a map, or leave the option out.",
        )
        voxel = self.voxel_size_angstrom
        require(
            voxel is None or (np.isfinite(voxel) and voxel > 0.0),
            "--voxel-size",
            "positive",
            voxel,
            "Give Å per voxel.",
        )
