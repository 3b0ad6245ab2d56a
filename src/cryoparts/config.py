"""Every option of a run, with its default, its meaning and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryoparts.errors import InputError


def _require(condition: bool, option: str, rule: str, value: object, cure: str) -> None:  # noqa: FBT001
    if not condition:
        raise InputError(option, f"must be {rule}, got {value!r}", cure)


@dataclass(frozen=True)
class PreprocessingConfig:
    """How raw particle images become the working images."""

    box_size: int | None = None
    """Side of the working images after Fourier cropping, pixels (even). Default:
    the smallest even box whose Nyquist frequency lies a quarter beyond the
    finest resolution used in training, at most the box of the images."""

    mask_radius_angstrom: float | None = None
    """Radius of the soft circular mask, Å. Default: 0.45 of the box."""

    mask_edge_pixels: float = 4.0
    """Width of the mask's cosine edge, working pixels."""

    contrast: Literal["auto", "bright", "dark"] = "auto"
    """Whether protein is bright or dark in the raw images."""

    normalise: bool = True
    """Bring each image's background (outside the mask) to mean 0, deviation 1."""

    def __post_init__(self) -> None:
        box = self.box_size
        _require(
            box is None or (box >= 16 and box % 2 == 0),
            "--box-size",
            "an even number of at least 16 pixels",
            box,
            "Choose an even box, 64 or 128 for example.",
        )
        radius = self.mask_radius_angstrom
        _require(
            radius is None or radius > 0,
            "--mask-radius-angstrom",
            "positive",
            radius,
            "Give the molecule's radius in Å, with a margin.",
        )
        _require(
            self.mask_edge_pixels >= 0,
            "--mask-edge-pixels",
            "at least 0",
            self.mask_edge_pixels,
            "4 is usual.",
        )
