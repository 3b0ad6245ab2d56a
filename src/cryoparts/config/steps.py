"""Options of single steps, which a run leaves at their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import Literal

from cryoparts.errors import InputError

Frame = Literal["core", "lab"]


@dataclass(frozen=True)
class MotionOptions:
    """How motions are measured."""

    frame: Frame = "core"
    """core: as seen from the core, whose own motion is undone; lab: as decoded."""

    refine: bool | None = None
    """Correct by the images; None: where the training refined latent vectors."""


MOST_EXCEPTIONS = 0.05
"""Particles with the later part that may lack the earlier one, as far as the images
can tell them apart (upper end of the 95% interval)."""


FEWEST_PERMUTATIONS = 99
"""Fewer cannot give a p-value of 1%."""


@dataclass(frozen=True)
class CoordinationOptions:
    """How dependence is tested."""

    exceptions: float = MOST_EXCEPTIONS
    """Share of the particles with the later part that may lack the earlier one, 0 to 1."""

    permutations: int = 999
    """Permutations of the particles in each test, at least 99."""

    def __post_init__(self) -> None:
        """Check the limits."""
        if not 0.0 <= self.exceptions <= 1.0:
            raise InputError(
                "--exceptions", f"must be from 0 to 1, got {self.exceptions:g}", "Try 0.05."
            )
        if self.permutations < FEWEST_PERMUTATIONS:
            raise InputError(
                "--permutations",
                f"must be at least {FEWEST_PERMUTATIONS}, got {self.permutations}",
                "Try 999.",
            )


@dataclass(frozen=True)
class MaskOptions:
    """Shape and frame of the masks."""

    box_size: int | None = None
    """Box of the masks, pixels. Default: that of the original particles."""

    pixel_size_angstrom: float | None = None
    """Pixel size of the masks, Å. Default: that of the original particles."""

    radius_angstrom: float | None = None
    """How far a mask reaches from the centres of the part's Gaussians, Å. Default:
    twice the typical width of a Gaussian, at least a pixel."""

    edge_pixels: float = 6.0
    """Width of the cosine edge outside, pixels."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        for option, value in (
            ("--box-size", self.box_size),
            ("--pixel-size", self.pixel_size_angstrom),
            ("--radius", self.radius_angstrom),
        ):
            if value is not None and not value > 0:
                raise InputError(option, f"must be positive, got {value!r}", "Leave it out.")
        if not self.edge_pixels >= 0:
            raise InputError(
                "--edge-pixels", f"must be at least 0, got {self.edge_pixels!r}", "6 is usual."
            )


SplitBy = Literal["change", "place"]


Action = Literal["merge", "split", "add", "rename", "remove", "undo", "restore", "list"]


@dataclass(frozen=True)
class EditOptions:
    """How parts are edited."""

    name: str | None = None
    """merge, add: name of the part."""

    into: int = 2
    """split: number of pieces."""

    by: SplitBy = "change"
    """split: Gaussians that change alike (change) or lie near each other (place)."""

    mask: Path | None = None
    """add: map (.mrc) in the box of the particles; the part is where it exceeds 0.5."""

    select: str | None = None
    """add: chains and residues, like A, or A:391-646,B."""

    structure: Path | None = None
    """add: structure for --select. Default: the one that the run was made from."""

    to: Literal["core", "unassigned"] = "core"
    """remove: what becomes of the part's Gaussians."""


@dataclass(frozen=True)
class AtRestOptions:
    """How maps are made in which every part is at rest."""

    deformable: bool = False
    """Also follow what does not move rigidly: neighbourhoods of Gaussians, each with its own
    motion as the decoder has it."""

    neighbourhoods: int = 24
    """How many neighbourhoods follow a deformation."""

    halves: bool = False
    """Train each half of the particles apart, unless that is done, and keep the halves apart
    to the last step: only then are the half maps independent."""

    box_size: int | None = None
    """Box of the maps at rest, pixels; the images are cropped in Fourier space. Default: the
    particles' own."""

    pixel_size_angstrom: float | None = None
    """Pixel size of the maps at rest, Å, in place of --box-size. Default: the particles' own."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        pixel = self.pixel_size_angstrom
        for option, value, least, advice in (
            ("--neighbourhoods", self.neighbourhoods, 2, "24 is usual."),
            ("--box-size", self.box_size, 16, "Leave it out."),
            ("--pixel-size", pixel, 0.0, "Leave it out."),
        ):
            if value is not None and not value >= least:
                raise InputError(option, f"must be at least {least:g}, got {value:g}", advice)
        if self.box_size is not None and pixel is not None:
            raise InputError("--box-size", "cannot be given with --pixel-size", "Give one of them.")


FRAMES = 5
"""Frames along a coordinate: a few hundred particles each at the least in most data sets."""


@dataclass(frozen=True)
class Conditions:
    """What a particle must satisfy; all that are given are joined by `and`."""

    where: str | None = None
    """Condition on columns: "amplitude:part_3 < 0.3 and angle:part_1 > 5"
    (`cryoparts columns` lists them)."""

    part: str | None = None
    """Part, or parts joined by +, that the next four options are about."""

    states: tuple[int, ...] = ()
    """In one of these states."""

    coordinate: tuple[float, float] | None = None
    """Between these places along the curve or the first component."""

    sparsest: float | None = None
    """In the sparsest places: this fraction of the particles (0 to 1)."""

    certainty_below: float | None = None
    """Between the clusters: belongs to its state with a probability below this."""

    all_of: tuple[str, ...] = ()
    """In all of these selections (and)."""

    any_of: tuple[str, ...] = ()
    """In at least one of these selections (or)."""

    none_of: tuple[str, ...] = ()
    """In none of these selections (minus)."""

    file: Path | None = None
    """Named in this .csv (column name)."""
