"""What is wrong with simulated particles: junk, poses, CTF, scale, views, background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cryoparts.simulation.options import require

JunkKind = Literal["noise", "ice", "edge", "neighbour", "off-centre", "broken", "other"]
JUNK_KINDS: tuple[JunkKind, ...] = get_args(JunkKind)


@dataclass(frozen=True)
class Nuisances:
    """What a particle image can have against it; everything is off by default."""

    junk: float = 0.0
    """Share of the images that are no particle in its place."""

    junk_kinds: tuple[JunkKind, ...] = JUNK_KINDS
    """What the junk is: noise alone, ice crystals, a carbon edge, two neighbours and
    nothing between them, a particle off centre, a broken particle, another molecule."""

    junk_weights: tuple[float, ...] | None = None
    """Relative frequency of each of the junk kinds. Default: all the same."""

    pose_error_degrees: float = 0.0
    """Root mean square angle between the given and the true orientations, degrees."""

    shift_error_angstrom: float = 0.0
    """Root mean square distance of the given from the true centres, Å."""

    lost_poses: float = 0.0
    """Share of the images that are good particles with a random pose given."""

    defocus_error_angstrom: float = 0.0
    """Standard deviation of the given from the true defocus, Å."""

    magnification_error: float = 0.0
    """Relative error of the magnification: 0.01 shows particles 1% larger than the given
    pixel size says, and 1% smaller in every second optics group."""

    scale_spread: float = 0.0
    """Standard deviation of the particles' contrast about 1 (at least 0.1)."""

    largest_b_factor: float = 0.0
    """B-factors of the particles are uniform from 0 to this, Å²; none is given."""

    background_gradient: float = 0.0
    """Standard deviation of a background's rise across the box, along x and along y, in
    standard deviations of the noise."""

    preferred_views: tuple[str, ...] = ()
    """Directions of view that are frequent, "X,Y,Z:CONCENTRATION=SHARE": a von
    Mises-Fisher density about the direction (X, Y, Z) of the model; "0,0,1:10=0.6" has 60%
    of the particles seen along z, most within 25 degrees. The others are seen from anywhere."""

    optics_groups: tuple[str, ...] = ()
    """Further optics groups, "share=0.3,voltage_kv=200,defocus=5000:12000": of voltage_kv,
    spherical_aberration_mm, amplitude_contrast and defocus what differs from the first group."""

    def __post_init__(self) -> None:
        self._check_shares()
        for option, value in (
            ("--pose-error-degrees", self.pose_error_degrees),
            ("--shift-error", self.shift_error_angstrom),
            ("--defocus-error", self.defocus_error_angstrom),
            ("--scale-spread", self.scale_spread),
            ("--largest-b-factor", self.largest_b_factor),
            ("--background-gradient", self.background_gradient),
        ):
            sound = np.isfinite(value) and value >= 0.0
            require(sound, option, "at least 0", value, "0 leaves it out.")
        require(
            -0.5 < self.magnification_error < 0.5,
            "--magnification-error",
            "between -0.5 and 0.5",
            self.magnification_error,
            "0.01 is 1%.",
        )

    def _check_shares(self) -> None:
        for option, share in (("--junk", self.junk), ("--lost-poses", self.lost_poses)):
            require(0.0 <= share < 1.0, option, "from 0 to below 1", share, "0.15 is 15%.")
        require(
            self.junk + self.lost_poses < 1.0,
            "--lost-poses",
            "below 1 together with --junk",
            self.lost_poses,
            "Some good particles must be left.",
        )
        kinds, weights = self.junk_kinds, self.junk_weights
        require(
            len(kinds) > 0 and set(kinds) <= set(JUNK_KINDS) and len(set(kinds)) == len(kinds),
            "--junk-kinds",
            f"one or more of {', '.join(JUNK_KINDS)}, each once",
            kinds,
            "Leave the option out for all of them.",
        )
        require(
            weights is None
            or (
                len(weights) == len(kinds)
                and all(np.isfinite(w) and w >= 0.0 for w in weights)
                and sum(weights) > 0.0
            ),
            "--junk-weights",
            "one number of at least 0 for each junk kind, not all 0",
            weights,
            "Leave the option out for equal shares.",
        )

    @property
    def any(self) -> bool:
        """Whether anything is wrong at all."""
        usual = Nuisances(junk_kinds=self.junk_kinds, junk_weights=self.junk_weights)
        return self != usual
