"""What the simulated images are like, whatever molecule is in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import Literal

from cryoparts.errors import InputError

Progress = Callable[[int, int], None]
"""Called with the number of particles done and their total."""


def require(condition: object, option: str, rule: str, value: object, cure: str) -> None:
    """Raise `InputError` unless `condition` is true.

    Parameters
    ----------
    condition : object
        Its truth is tested.
    option, rule, value, cure : str
        "OPTION: must be RULE, got VALUE. CURE".
    """
    if not condition:
        raise InputError(option, f"must be {rule}, got {value!r}", cure)


@dataclass(frozen=True)
class ImagingOptions:
    """The microscope, the orientations and the noise of a simulated data set."""

    n_particles: int = 3200
    """Number of particle images."""

    box_size: int = 64
    """Side of the images, pixels (even)."""

    pixel_size_angstrom: float = 5.0
    """Å per pixel."""

    snr: float | None = 0.1
    """Signal-to-noise ratio: mean over the particles of the variance of the clean
    image (CTF applied, whole box), over the variance of all noise together.
    None makes images without noise."""

    coloured_noise_fraction: float = 0.1
    """Share of the noise variance that comes from the sample and so passes the
    CTF; the rest is white noise of the detector. (Baxter et al. 2009, J. Struct.
    Biol. 166, 126, measured about 0.07 at an SNR of 0.1.)"""

    coloured_noise_correlation_angstrom: float = 10.0
    """Correlation length l of the sample's noise, Å: its power before the CTF is
    1 / (1 + (2 pi l k)²)."""

    poses_file: Path | None = None
    """Table that orientations and CTFs are drawn from (.npz with rotation (P, 3, 3),
    or any particle table that can be read). Default: orientations uniform over
    all rotations."""

    shift_sigma_angstrom: float = 6.0
    """Standard deviation of the particles' shifts along x and along y, Å."""

    defocus_range_angstrom: tuple[float, float] = (8000.0, 25000.0)
    """Smallest and largest mean defocus, Å; unused where a poses file gives the CTF."""

    astigmatism_angstrom: float = 300.0
    """Largest difference of the two defoci, Å; drawn uniformly from 0, with the
    angle uniform."""

    voltage_kv: float = 300.0
    """Accelerating voltage, kV."""

    spherical_aberration_mm: float = 2.7
    """Spherical aberration, mm."""

    amplitude_contrast: float = 0.1
    """Amplitude contrast, 0 to 1."""

    contrast: Literal["bright", "dark"] = "bright"
    """Whether protein is brighter or darker than the background, after the sign
    of the CTF."""

    seed: int = 0
    """Of everything random; the same options and seed give the same files."""

    def __post_init__(self) -> None:
        self._check_images()
        self._check_noise()
        self._check_microscope()

    def _check_images(self) -> None:
        require(
            self.n_particles >= 2,
            "--n-particles",
            "at least 2",
            self.n_particles,
            "Each half set needs a particle.",
        )
        require(
            self.box_size >= 16 and self.box_size % 2 == 0,
            "--box-size",
            "an even number of at least 16 pixels",
            self.box_size,
            "Choose an even box, 64 or 128 for example.",
        )
        require(
            _positive(self.pixel_size_angstrom),
            "--pixel-size",
            "positive",
            self.pixel_size_angstrom,
            "Give Å per pixel.",
        )
        require(self.seed >= 0, "--seed", "at least 0", self.seed, "Give a whole number.")
        require(
            self.contrast in ("bright", "dark"),
            "--contrast",
            "bright or dark",
            self.contrast,
            "RELION's particles are bright, raw micrographs dark.",
        )

    def _check_noise(self) -> None:
        require(
            self.snr is None or _positive(self.snr),
            "--snr",
            "positive or none",
            self.snr,
            "0.1 is usual; none makes images without noise.",
        )
        require(
            0.0 <= self.coloured_noise_fraction <= 1.0,
            "--coloured-noise-fraction",
            "from 0 to 1",
            self.coloured_noise_fraction,
            "0 is white noise only.",
        )
        require(
            _positive(self.coloured_noise_correlation_angstrom),
            "--coloured-noise-correlation",
            "positive",
            self.coloured_noise_correlation_angstrom,
            "10 Å is usual.",
        )

    def _check_microscope(self) -> None:
        require(
            self.shift_sigma_angstrom >= 0.0,
            "--shift-sigma",
            "at least 0",
            self.shift_sigma_angstrom,
            "0 leaves every particle centred.",
        )
        low, high = self.defocus_range_angstrom
        require(
            math.isfinite(high) and low <= high,
            "--defocus-range",
            "two numbers, the smaller first",
            self.defocus_range_angstrom,
            "8000 25000 is usual.",
        )
        require(
            self.astigmatism_angstrom >= 0.0,
            "--astigmatism",
            "at least 0",
            self.astigmatism_angstrom,
            "0 makes round CTFs.",
        )
        require(
            _positive(self.voltage_kv), "--voltage-kv", "positive", self.voltage_kv, "300 is usual."
        )
        require(
            self.spherical_aberration_mm >= 0.0,
            "--spherical-aberration-mm",
            "at least 0",
            self.spherical_aberration_mm,
            "2.7 is usual.",
        )
        require(
            0.0 <= self.amplitude_contrast <= 1.0,
            "--amplitude-contrast",
            "from 0 to 1",
            self.amplitude_contrast,
            "0.1 is usual, 0.07 in some microscopes.",
        )


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0.0
