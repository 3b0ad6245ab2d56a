"""Options of what is made of a training: parts, states and maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryoparts.config.limits import require

Order = Literal["clusters", "mixture", "curve"]
"""How particles become states: K-means, a mixture of Gaussians, cuts of a principal curve."""


@dataclass(frozen=True)
class PartsConfig:
    """How Gaussians that change together are grouped into parts."""

    sample: int = 2000
    """Particles (drawn at random) whose decoder output describes the Gaussians."""

    embedding: Literal["umap", "pca"] = "umap"
    """How Gaussians are laid out in the plane before clustering."""

    min_part_size: int | None = None
    """Fewest Gaussians in a part. Default: 0.4% of the Gaussians, at least 5."""

    keep_flagged: bool = False
    """Keep parts that null particles, in which nothing changes, show as well (by default
    they are put back into the core), and small ones that fade by the networks, but not in
    the images (by default their Gaussians are in no part)."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        require(self.sample >= 2, "--sample", "at least 2", self.sample, "2000 is usual.")
        size = self.min_part_size
        require(size is None or size >= 1, "--min-part-size", "at least 1", size, "Try 10.")


@dataclass(frozen=True)
class FocusConfig:
    """How particles are grouped by one part."""

    states: int | None = None
    """Number of states. Default: found from the data, 1 to 5."""

    order: Literal["auto", "clusters", "mixture", "curve"] = "auto"
    """Group the particles by k-means (clusters) or by a mixture of Gaussians (its number
    chosen by BIC), or cut them into states along a principal curve. auto: a part that the
    images show to come and go is there, or away; else clusters."""

    trajectory_points: int = 10
    """Points along a curve at which the molecule is written as a trajectory."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        states = self.states
        require(
            states is None or 1 <= states <= 50, "--states", "1 to 50", states, "2 to 5 is usual."
        )
        points = self.trajectory_points
        require(2 <= points <= 200, "--trajectory-points", "2 to 200", points, "10 is usual.")


@dataclass(frozen=True)
class ReconstructionConfig:
    """How maps are made of groups of particles, and compared."""

    solvent_mask: str = "density"
    """Mask for FSC and differences: density (made from the maps), model (around the
    Gaussians), or a map file (.mrc) with values from 0 to 1 and the maps' box."""

    weighting: Literal["wiener", "cref"] = "wiener"
    """Weights of the maps by their FSC: Wiener filter, or C_ref = sqrt(2 FSC / (1 + FSC))."""

    b_factor: Literal["auto"] | float | None = None
    """Write sharpened maps too: auto (from the Guinier plot) or a number, Å² (negative
    sharpens). Default: none."""

    noise: Literal["local", "global"] = "local"
    """Noise that differences are judged by: of each voxel's surroundings, or of the whole map."""

    false_discovery_rate: float = 0.01
    """Share of the voxels called different that may be noise."""

    test_within: Literal["molecule", "part"] = "molecule"
    """Where differences are looked for: in all of the molecule, or in the part alone."""

    padding: Literal[1, 2] = 2
    """Images are padded to this many times their side before back-projection; 1 takes an
    eighth of the memory and is less exact at the map's edge."""

    memory_gigabytes: float | None = None
    """Memory for the sums of the maps that are made at once, GB. With more, images are read
    fewer times where boxes are large or parts are many. Default: a third of what is left, 4 at
    the least (half of what is left at the most, whatever is asked for)."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        rate = self.false_discovery_rate
        require(0 < rate < 1, "--false-discovery-rate", "between 0 and 1", rate, "Try 0.01.")
        memory = self.memory_gigabytes
        require(
            memory is None or memory > 0, "--memory-gigabytes", "positive", memory, "4 is usual."
        )
        mask = self.solvent_mask
        require(
            mask in ("density", "model") or mask.lower().endswith((".mrc", ".map", ".ccp4")),
            "--solvent-mask",
            "density, model or a map file (.mrc)",
            mask,
            "Leave it out for a mask from the density.",
        )
